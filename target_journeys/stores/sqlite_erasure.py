"""Erasing people, in SQL: everything that a store holds of somebody, and the hashes that stay."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
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

    def events(self, ids: Iterable[str]) -> int:
        """Their events, what others say of their ids, and what follows from these."""
        names = json.dumps(list(ids))
        theirs = (
            "select event_id from event_log where subject in (select value from json_each(?1)) "
            "union select event_id from event_log where body like '%\"linked\":%' "
            "and json_extract(body, '$.properties.linked') in (select value from json_each(?1))"
        )
        self.connection.execute("create temp table going (event_id text primary key)")
        self.connection.execute(f"insert into going {theirs}", (names,))
        self.connection.execute(
            "delete from facts where kind <> 'superseded' and event_id in "
            "(select event_id from going)"
        )
        count = self.connection.execute(
            "delete from event_log where event_id in (select event_id from going)"
        ).rowcount
        self.connection.execute("drop table going")
        return count

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
            ("facts", "kind = 'member' and id in ids"),
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

    def outbox(self, ids: Iterable[str]) -> dict[str, int]:
        """What waits to be told of them; destinations that were told get a delete.

        Destination → deletes that wait. Their rows go when they were sent: see ``settle``.
        """
        left: dict[str, int] = {}
        for name in ids:
            first = json.dumps([name], ensure_ascii=False, separators=(",", ":"))[:-1] + ","
            theirs = (first, first[:-1] + "-", first[:-1] + "]")  # "-" comes next after ","
            which = "(record_key >= ? and record_key < ? or record_key = ?)"
            self.connection.execute(
                f"delete from outbox where {which} and (kind = 'transition' or not told "
                "or (op = 'delete' and status = 'sent'))",
                theirs,
            )
            self.connection.execute(
                "update outbox set op = 'erase', version = version + 1, status = case "
                "when status in ('leased', 'accepted') then status else 'waiting' end, "
                "payload_hash = 'erased', attempts = 0, next_attempt_at = null, answer = null "
                f"where {which} and op <> 'erase'",
                theirs,
            )
            for destination, count in self.connection.execute(
                f"select destination, count(*) from outbox where {which} group by destination",
                theirs,
            ):
                left[destination] = left.get(destination, 0) + count
        return left

    def left(self) -> dict[str, int]:
        """Destination → records of forgotten people that it was not told to delete yet."""
        found = self.connection.execute(
            "select destination, count(*) from outbox where op = 'erase' and status <> 'sent' "
            "group by destination"
        )
        return dict(found.fetchall())

    def vacuum(self) -> None:
        """Write the file anew, without what was deleted. Raises ``sqlite3.OperationalError``."""
        self.connection.execute("pragma wal_checkpoint(truncate)")
        self.connection.execute("vacuum")
        self.connection.execute("pragma wal_checkpoint(truncate)")

    def files(self) -> list[Path]:
        """The files of the store that are there."""
        names = (self.path, f"{self.path}-wal", f"{self.path}-shm", f"{self.path}-journal")
        return [path for path in map(Path, names) if path.exists()]
