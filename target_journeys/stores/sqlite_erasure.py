"""Erasing people, in SQL: everything that a store holds of somebody, and the hashes that stay."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


class SQLiteErasure:
    """What is deleted of people, table by table; each method tells how many rows."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.connection = connection
        self.path = path

    def hashes(self) -> set[str]:
        """The hashes of who was forgotten."""
        return {found for (found,) in self.connection.execute("select hash from forgotten")}

    def remember(self, hashes: Iterable[str]) -> None:
        """Keep hashes of who was forgotten."""
        self.connection.executemany(
            "insert or ignore into forgotten values (?)", ((each,) for each in hashes)
        )

    def events_of(self, ids: Iterable[str]) -> list[str]:
        """Their events, and what others say of their ids, as JSON; reads all events."""
        found = self.connection.execute(
            "select body from event_log where subject in (select value from json_each(?1)) "
            "union select body from event_log where body like '%\"linked\":%' "
            "and json_extract(body, '$.properties.linked') in (select value from json_each(?1))",
            (json.dumps(list(ids)),),
        )
        return [body for (body,) in found]

    def items_of_others(self, items: Iterable[str], ids: Iterable[str]) -> set[str]:
        """Which of these items events of others, or of accounts, are about; reads all events."""
        found = self.connection.execute(
            "select distinct json_extract(scope.value, '$.id') from event_log as e "
            "join json_each(e.body, '$.scopes') as scope "
            "where instr(e.body, '\"item\"') and json_extract(scope.value, '$.grain') = 'item' "
            "and json_extract(scope.value, '$.id') in (select value from json_each(?1)) "
            "and (e.account is not null or e.subject not in (select value from json_each(?2)))",
            (json.dumps(list(items)), json.dumps(list(ids))),
        )
        return {item for (item,) in found}

    def drop_events(self, event_ids: Iterable[str]) -> int:
        """Delete events and what follows from them, but not that they supersede others."""
        gone = (json.dumps(list(event_ids)),)
        self.connection.execute(
            "delete from facts where kind <> 'superseded' and event_id in "
            "(select value from json_each(?))",
            gone,
        )
        return self.connection.execute(
            "delete from event_log where event_id in (select value from json_each(?))", gone
        ).rowcount

    def events_with(self, texts: Iterable[str]) -> list[str]:
        """Events of others, as JSON, that hold one of these texts; reads all events."""
        found = self.connection.execute(
            "select body from event_log where exists (select 1 from json_each(?) as texts "
            "where instr(lower(body), texts.value))",
            (json.dumps([text.lower() for text in texts]),),
        )
        return [body for (body,) in found]

    def rows(self, ids: Iterable[str]) -> dict[str, int]:
        """Their journeys, visits, links and all else but events and outbox, by table."""
        names = json.dumps(list(ids))
        found = {}
        for table, where in (
            ("journey_stages", "subject in ids"),
            ("stage_visits", "subject in ids"),
            ("customers", "subject in ids"),
            ("scope_names", "subject in ids"),
            ("unresolved_events", "subject in ids"),
            ("identities", "kind = 'people' and id in ids"),
            ("pairs", "kind = 'people' and (low in ids or high in ids)"),
            ("mailboxes", "id in ids"),
            ("facts", "kind in ('member', 'owns', 'profile', 'erasure') and id in ids"),
        ):
            where = where.replace("in ids", "in (select value from json_each(?1))")
            done = self.connection.execute(f"delete from {table} where {where}", (names,))
            found[table] = done.rowcount
        return found

    def unmapped(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Records that are not used, by (stream, rule, key)."""
        self.connection.executemany(
            "delete from unmapped_records where stream = ? and rule = ? and record_key = ?", rows
        )

    def unmapped_keys(self) -> list[tuple[str, str, str, str]]:
        """(stream, rule, key, reason) of every record that is not used."""
        return self.connection.execute(
            "select stream, rule, record_key, reason from unmapped_records"
        ).fetchall()

    def teams_with(self, ids: Iterable[str]) -> set[str]:
        """The accounts in whose buying teams they are."""
        found = self.connection.execute(
            "select distinct t.subject from buying_teams as t join json_each(t.members) as member "
            "where json_extract(member.value, '$.subject') in (select value from json_each(?))",
            (json.dumps(list(ids)),),
        )
        return {account for (account,) in found}

    def outbox(self, ids: Iterable[str]) -> Counter[str]:
        """What waits to be told of them; destinations that were told get a delete.

        Destination → deletes that wait. Their rows go when they were sent: see ``settle``.
        """
        left: Counter[str] = Counter()
        for name in ids:
            first = json.dumps([name], ensure_ascii=False, separators=(",", ":"))[:-1] + ","
            theirs = (first, first[:-1] + "-", first[:-1] + "]")  # "-" comes next after ","
            left += self._erase_rows(
                "record_key >= ?1 and record_key < ?2 or record_key = ?3", theirs
            )
        return left

    def items(self, items: Iterable[str], ids: Iterable[str]) -> Counter[str]:
        """The same for journeys that others, such as their accounts, had with their items."""
        names = (json.dumps(list(items)), json.dumps(list(ids)))
        wanted = "in (select value from json_each(?1))"
        self.connection.execute(f"delete from scope_names where name {wanted}", names[:1])
        self.connection.execute(
            f"delete from stage_visits where scope_grain = 'item' and scope_id {wanted}", names[:1]
        )
        who, grain, item = (f"json_extract(record_key, '$[{place}]')" for place in range(3))
        others = f"{who} not in (select value from json_each(?2))"
        which = f"{grain} = 'item' and {item} {wanted} and {others}"
        return self._erase_rows(which, names)

    def _erase_rows(self, which: str, parameters: Sequence[str]) -> Counter[str]:
        self.connection.execute(
            f"delete from outbox where ({which}) and (kind = 'transition' or not told "
            "or (op = 'delete' and status = 'sent'))",
            parameters,
        )
        self.connection.execute(
            "update outbox set op = 'erase', version = version + 1, status = case "
            "when status in ('leased', 'accepted') then status else 'waiting' end, "
            "payload_hash = 'erased', attempts = 0, next_attempt_at = null, answer = null "
            f"where ({which}) and op <> 'erase'",
            parameters,
        )
        found = self.connection.execute(
            f"select destination, count(*) from outbox where {which} group by destination",
            parameters,
        )
        return Counter(dict(found.fetchall()))

    def left(self) -> dict[str, int]:
        """Destination → records of forgotten people that it was not told to delete yet."""
        found = self.connection.execute(
            "select destination, count(*) from outbox where op = 'erase' and status <> 'sent' "
            "group by destination"
        )
        return dict(found.fetchall())

    def values_with(self, text: str) -> Iterator[str]:
        """Every value of the store that holds a text; reads all of it."""
        tables = self.connection.execute("select name from sqlite_master where type = 'table'")
        for (table,) in tables.fetchall():
            columns = self.connection.execute("select name from pragma_table_info(?)", (table,))
            for (column,) in columns.fetchall():
                for (value,) in self.connection.execute(
                    f'select "{column}" from "{table}" where instr("{column}", ?)', (text,)
                ):
                    yield str(value)

    def vacuum(self) -> None:
        """Write the file anew, without what was deleted. Raises ``sqlite3.OperationalError``."""
        self.connection.execute("pragma wal_checkpoint(truncate)")
        self.connection.execute("vacuum")
        busy, *_ = self.connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:  # it says so, and raises nothing
            raise sqlite3.OperationalError("a reader holds on to what there was")

    def files(self) -> list[Path]:
        """The files of the store that are there."""
        names = (self.path, f"{self.path}-wal", f"{self.path}-shm", f"{self.path}-journal")
        return [path for path in map(Path, names) if path.exists()]
