"""Who is whom, in SQL: the pairs of ids that links name, and the groups that they come to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from journeys.identity import SHARED, Pair, Tie, pair_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
COLUMNS = "kind, low, apart, high, high_is_left, since, event_id, unlinked_at, unlinked_by, refused"


PairKey = tuple[str, str]  # two ids, the smaller first


class PairRow(NamedTuple):
    """What a store knows of two ids."""

    pair: Pair
    refused: str | None = None  # why the tie joins nothing


class SQLiteIdentities:
    """The tables `pairs` and `identities`; ``kind`` is "people" or "accounts" throughout."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def is_empty(self) -> bool:
        """Whether no link is known at all."""
        return not self._one("select exists(select 1 from pairs)")

    def clear(self) -> None:
        """Forget everything; it can be computed from the events."""
        self.connection.execute("delete from pairs")
        self.connection.execute("delete from identities")
        self.connection.execute("delete from mailboxes")

    # -- groups ----------------------------------------------------------------------------

    def canonical(self, kind: str, ids: Iterable[str]) -> dict[str, str]:
        """Id → canonical id, for those that belong to a group."""
        found = self.connection.execute(
            "select i.id, i.canonical from json_each(?2) as ids cross join identities as i "
            "on i.kind = ?1 and i.id = ids.value",
            (kind, json.dumps(list(ids))),
        )
        return dict(found.fetchall())

    def group(self, kind: str, canonical_ids: Iterable[str]) -> list[tuple[str, str]]:
        """(canonical id, id) of everybody in these groups."""
        return self.connection.execute(
            "select i.canonical, i.id from json_each(?2) as ids cross join identities as i "
            "on i.kind = ?1 and i.canonical = ids.value",
            (kind, json.dumps(list(canonical_ids))),
        ).fetchall()

    def keep(self, kind: str, canonical: Mapping[str, str], alone: Iterable[str]) -> None:
        """Store id → canonical id of groups, and who belongs to none any more."""
        self.connection.executemany(
            "delete from identities where kind = ? and id = ?", ((kind, name) for name in alone)
        )
        self.connection.executemany(
            "insert into identities (kind, id, canonical) values (?, ?, ?) "
            "on conflict (kind, id) do update set canonical = excluded.canonical",
            sorted((kind, name, root) for name, root in canonical.items()),
        )

    # -- pairs -----------------------------------------------------------------------------

    def pairs(self, kind: str, keys: Iterable[PairKey]) -> dict[PairKey, PairRow]:
        """What is known of these pairs (smaller id, larger id)."""
        found = self.connection.execute(
            f"select {columns('p')} from json_each(?2) as keys cross join pairs as p "
            "on p.kind = ?1 and p.low = json_extract(keys.value, '$[0]') and p.apart in (0, 1, 2) "
            "and p.high = json_extract(keys.value, '$[1]')",
            (kind, json.dumps(list(keys))),
        )
        return dict(map(read, found))

    def ties(self, kind: str, ids: Iterable[str]) -> Iterator[tuple[PairKey, PairRow]]:
        """What joins these ids, which must be whole groups."""
        found = self.connection.execute(
            f"select {columns('p')} from json_each(?2) as ids cross join pairs as p "
            "on p.kind = ?1 and p.low = ids.value and p.apart = 0",
            (kind, json.dumps(list(ids))),
        )
        return map(read, found)

    def last_refused(self, kind: str, ids: Iterable[str]) -> dict[str, datetime]:
        """Id → moment of the last tie that a limit keeps apart from it, where there is one."""
        latest: dict[str, datetime] = {}
        wanted = json.dumps(list(ids))
        for side in ("low", "high"):
            found = self.connection.execute(
                f"select ids.value, (select max(since) from pairs where kind = ?1 and {side} = "
                "ids.value and apart > 0 and apart = 1) as last from json_each(?2) as ids "
                "where last is not null",
                (kind, wanted),
            )
            for name, last in found:
                moment = EPOCH + last * MICROSECOND
                latest[name] = max(latest.get(name, moment), moment)
        return latest

    def refused(self, kind: str, ids: Iterable[str]) -> Iterator[tuple[PairKey, PairRow]]:
        """The ties of these ids that a limit keeps apart."""
        return self._apart(kind, ids, "p.apart = 1")

    def links_of(self, kind: str, ids: Iterable[str]) -> dict[PairKey, PairRow]:
        """The pairs that name any of these ids, joined or not; the ids must be whole groups."""
        wanted = list(ids)
        return dict(self.ties(kind, wanted)) | dict(self._apart(kind, wanted))

    def _apart(
        self, kind: str, ids: Iterable[str], which: str = "true"
    ) -> Iterator[tuple[PairKey, PairRow]]:
        wanted = json.dumps(list(ids))
        for side in ("low", "high"):
            found = self.connection.execute(
                f"select {columns('p')} from json_each(?2) as ids cross join pairs as p "
                f"on p.kind = ?1 and p.{side} = ids.value and p.apart > 0 and {which}",
                (kind, wanted),
            )
            yield from map(read, found)

    def keep_pairs(self, kind: str, rows: Mapping[PairKey, PairRow]) -> None:
        """Store what is known of pairs now, in place of what was."""
        self.connection.executemany(
            "delete from pairs where kind = ? and low = ? and apart in (0, 1, 2) and high = ?",
            ((kind, *pair) for pair in rows),
        )
        self.connection.executemany(
            f"insert into pairs ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            sorted(
                written(kind, pair, row)
                for pair, row in rows.items()
                if row.pair.tie or row.pair.unlinked
            ),
        )

    # -- addresses by domain ---------------------------------------------------------------

    def keep_mailboxes(self, rows: Iterable[tuple[str, str]]) -> None:
        """Store (account of a domain, e-mail id)."""
        self.connection.executemany("insert or ignore into mailboxes values (?, ?)", sorted(rows))

    def mailboxes(self, accounts: Iterable[str], most: int) -> list[tuple[str, str]]:
        """(account, e-mail id) of these domains; one more than ``most`` where there are more."""
        found: list[tuple[str, str]] = []
        for account in accounts:
            found += self.connection.execute(
                "select account, id from mailboxes where account = ? limit ?", (account, most + 1)
            )
        return found

    def _one(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()[0]


def columns(table: str) -> str:
    """The columns of `pairs`, with the table's short name in front."""
    return ", ".join(f"{table}.{name}" for name in COLUMNS.split(", "))


def read(row: tuple[Any, ...]) -> tuple[PairKey, PairRow]:
    """A row of `pairs`."""
    _, low, _, high, turned, since, event_id, unlinked_at, unlinked_by, refused = row
    left, right = (high, low) if turned else (low, high)
    tie = None if since is None else Tie(EPOCH + since * MICROSECOND, event_id, left, right)
    unlinked = None if unlinked_at is None else (EPOCH + unlinked_at * MICROSECOND, unlinked_by)
    return (low, high), PairRow(Pair(tie, unlinked), refused)


def written(kind: str, pair: PairKey, row: PairRow) -> tuple[Any, ...]:
    """A row of `pairs`, in the order of COLUMNS."""
    tie, unlinked = row.pair.tie, row.pair.unlinked
    assert tie is None or pair_of(tie) == pair
    return (
        kind,
        pair[0],
        0 if tie and row.refused is None else 1 if tie and row.refused != SHARED else 2,
        pair[1],
        int(tie is not None and tie.left == pair[1]),
        None if tie is None else (tie.since - EPOCH) // MICROSECOND,
        None if tie is None else tie.event_id,
        None if unlinked is None else (unlinked[0] - EPOCH) // MICROSECOND,
        None if unlinked is None else unlinked[1],
        row.refused,
    )
