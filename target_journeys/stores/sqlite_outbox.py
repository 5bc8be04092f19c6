"""The outbox in SQLite: what waits, what is under way, and what became of it.

``waiting`` → ``leased`` → ``sent``, ``accepted``, ``waiting``, ``refused``, ``suppressed`` or
``unknown``; ``superseded`` is a row that ceased to matter before anybody was told. A row that
changes while it is leased keeps its lease; the newer version waits when the older is settled.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from target_journeys.stores.sqlite_rows import Insert

IN_FLIGHT = "('leased', 'accepted')"


class Row(NamedTuple):
    """One row that is about to be told."""

    number: int
    kind: str
    key: str
    op: str
    version: int
    content: str  # hash of what the destination would see
    payload: str | None
    attempts: int
    told: int
    entered_at: str | None
    about: str | None
    order_key: str
    told_as: str | None  # JSON: what a job has of it that accepted it


ROW = (
    "o.rowid, o.kind, o.record_key, o.op, o.version, o.payload_hash, o.payload, o.attempts, "
    "o.told, o.entered_at, o.about, o.order_key, o.told_as"
)


_QUEUE = Insert(
    "insert into outbox (destination, kind, record_key, op, version, payload_hash, payload, "
    "order_key, status, queued_at)",
    "(?, ?, ?, ?, 1, ?, ?, ?, 'waiting', ?)",
    "on conflict (destination, kind, record_key) do update set op = excluded.op, "
    "version = version + 1, payload_hash = excluded.payload_hash, "
    "payload = excluded.payload, attempts = 0, next_attempt_at = null, answer = null, "
    "queued_at = case status when 'waiting' then queued_at else excluded.queued_at end, "
    f"status = case when status in {IN_FLIGHT} then status "
    "when sent_hash = excluded.payload_hash then 'sent' else 'waiting' end "
    "where payload_hash <> excluded.payload_hash",
)


class Outcome(NamedTuple):
    """What became of a leased row."""

    number: int
    status: str
    answer: str | None
    next_attempt_at: str | None
    attempted: int  # 0 where the destination only asked for patience
    entered_at: str | None
    job: str | None = None


class SQLiteOutbox:
    """The SQL of the outbox; transactions are its caller's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    # -- queueing --------------------------------------------------------------------------

    def queue(self, rows: Iterable[Sequence[object]], at: str) -> None:
        """Queue (destination, kind, key, op, hash, payload, order key); the latest version counts.

        A row whose destination would see nothing new stays as it is; one that returns to what was
        sent last needs no sending.
        """
        _QUEUE.run(self.connection, ((*row, at) for row in rows))

    def queue_deletes(self, rows: Iterable[Sequence[object]], at: str) -> None:
        """Tell (destination, key) that a record ceased to exist, where it was ever told of it."""
        self.connection.executemany(
            "update outbox set op = 'delete', version = version + 1, payload_hash = 'deleted', "
            "attempts = 0, next_attempt_at = null, answer = null, "
            f"queued_at = case status when 'waiting' then queued_at else '{at}' end, "
            f"status = case when status in {IN_FLIGHT} then status "
            "when told then 'waiting' else 'superseded' end "
            "where destination = ? and kind = 'record' and record_key = ? "
            "and op not in ('delete', 'erase')",
            rows,
        )

    def drop_transitions(self, destination: str, subjects: Iterable[str]) -> None:
        """Forget what waits to be told of stages that these subjects entered."""
        for subject in subjects:
            first = json.dumps([subject], ensure_ascii=False, separators=(",", ":"))[:-1] + ","
            self.connection.execute(
                "delete from outbox where destination = ? and kind = 'transition' "
                "and record_key >= ? and record_key < ? and status = 'waiting'",
                (destination, first, first[:-1] + "-"),  # "-" comes next after ","
            )

    # -- sending ---------------------------------------------------------------------------

    def due(self, destination: str, now: str, limit: int, *, deletes: bool) -> list[Row]:
        """Rows that may be sent now, of each order key the first, and none that has one under way.

        ``deletes`` is false while they are held back.
        """
        found = self.connection.execute(
            f"select {ROW} from outbox as o where o.destination = ?1 and o.status = 'waiting' "
            "and o.status <> 'sent' and ifnull(o.next_attempt_at, '') <= ?2 "
            "and (?4 or o.op <> 'delete') and not exists ("
            "select 1 from outbox as p where p.destination = o.destination "
            "and p.order_key = o.order_key and p.status in ('waiting', 'leased', 'accepted') "
            f"and p.rowid <> o.rowid and (p.rowid < o.rowid or p.status in {IN_FLIGHT}) "
            "and (?4 or p.op <> 'delete')) "
            "order by ifnull(o.next_attempt_at, ''), o.rowid limit ?3",
            (destination, now, limit, deletes),
        )
        return [Row(*row) for row in found]

    def waiting(self, destination: str) -> Iterator[Row]:
        """Every row that waits, in the order of queueing."""
        found = self.connection.execute(
            f"select {ROW} from outbox as o where o.destination = ? and o.status = 'waiting' "
            "and o.status <> 'sent' order by o.rowid",
            (destination,),
        )
        return (Row(*row) for row in found)

    def next_due(self, destination: str, status: str) -> str | None:
        """The earliest moment for a row that is "waiting" or "accepted"; "" means at once."""
        (found,) = self.connection.execute(
            "select min(ifnull(next_attempt_at, '')) from outbox "
            "where destination = ? and status = ? and status <> 'sent'",
            (destination, status),
        ).fetchone()
        return None if found is None else str(found)

    def lease(
        self, rows: Iterable[tuple[int, str | None, str | None, str]], by: str, until: str
    ) -> None:
        """Take (row number, entered_at, about, told as) for a run.

        What was sent before is in doubt now.
        """
        self.connection.executemany(
            "update outbox set status = 'leased', leased_version = version, "
            "leased_hash = payload_hash, leased_by = ?5, lease_until = ?6, told = 1, "
            "sent_hash = null, entered_at = ?2, about = coalesce(?3, about), told_as = ?4, "
            "job = null where rowid = ?1",
            [(*row, by, until) for row in rows],
        )

    def lease_job(
        self, destination: str, now: str, by: str, until: str
    ) -> tuple[str, list[Row]] | None:
        """Take the rows of one accepted job whose outcome is to be asked."""
        found = self.connection.execute(
            "select job from outbox where destination = ? and status = 'accepted' "
            "and status <> 'sent' and ifnull(next_attempt_at, '') <= ? "
            "order by ifnull(next_attempt_at, '') limit 1",
            (destination, now),
        ).fetchone()
        if found is None:
            return None
        (job,) = found
        own = (destination, job)
        where = "destination = ? and status = 'accepted' and job = ? and status <> 'sent'"
        rows = self.connection.execute(
            f"select {ROW} from outbox as o where {where} order by o.rowid", own
        ).fetchall()
        self.connection.execute(
            f"update outbox set status = 'leased', leased_by = ?, lease_until = ? where {where}",
            (by, until, *own),
        )
        return str(job), [Row(*row) for row in rows]

    def renew(self, by: str, until: str) -> None:
        """Keep the leases of a run that is still at work."""
        self.connection.execute(
            "update outbox set lease_until = ?2 where leased_by = ?1 and status = 'leased' "
            "and status <> 'sent'",
            (by, until),
        )

    def settle(self, outcomes: Iterable[Outcome], by: str) -> None:
        """Write what became of leased rows; a row that changed meanwhile waits in its new version.

        A hash counts as sent only here. An outcome whose lease was lost is not written. What was
        sent of somebody who was forgotten leaves no row.
        """
        outcomes = list(outcomes)
        self.connection.executemany(
            "update outbox set status = case when ?2 = 'accepted' then ?2 "
            "when version = leased_version then ?2 "
            "when ?2 = 'sent' and payload_hash = leased_hash then ?2 else 'waiting' end, "
            "sent_hash = case ?2 when 'sent' then leased_hash end, "
            "answer = case when version = leased_version then ?3 end, "
            "next_attempt_at = case when version = leased_version or ?2 in ('waiting', 'accepted') "
            "then ?4 end, attempts = case when version = leased_version then attempts + ?5 else 0 "
            "end, entered_at = coalesce(?6, entered_at), "
            "job = case ?2 when 'accepted' then ?7 end, "
            "told_as = case ?2 when 'accepted' then told_as end, "
            "leased_by = null, lease_until = null "
            f"where rowid = ?1 and status = 'leased' and leased_by = '{by}'",
            outcomes,
        )
        self.connection.executemany(
            "delete from outbox where rowid = ? and op = 'erase' and status = 'sent'",
            [(outcome.number,) for outcome in outcomes],
        )

    def refuse(self, rows: Iterable[tuple[int, str]]) -> None:
        """Mark (row number, reason) as refused before anything was sent."""
        self.connection.executemany(
            "update outbox set status = 'refused', answer = ?2 where rowid = ?1", rows
        )

    def reclaim(self, destination: str, now: str, unrepeatable: Sequence[str]) -> int:
        """Take back the leases of runs that died; how many.

        Rows of ``unrepeatable`` kinds may have arrived, and nobody can tell: they are unknown.
        """
        found = self.connection.execute(
            "update outbox set leased_by = null, lease_until = null, "
            "status = case when job is not null then 'accepted' "
            "when kind in (select value from json_each(?3)) and version = leased_version "
            "then 'unknown' else 'waiting' end "
            "where destination = ?1 and status = 'leased' and status <> 'sent' "
            "and lease_until <= ?2",
            (destination, now, json.dumps(list(unrepeatable))),
        )
        return found.rowcount

    def latest_entered(self, destination: str, order_keys: Iterable[str]) -> dict[str, str]:
        """Order key → the latest stage that a destination was told of, as a transition."""
        found = self.connection.execute(
            "select o.order_key, max(json_extract(o.payload, '$.entered_at')) "
            "from json_each(?2) as keys join outbox as o on o.order_key = keys.value "
            "where o.destination = ?1 and o.kind = 'transition' and o.told group by o.order_key",
            (destination, json.dumps(list(order_keys))),
        )
        return dict(found.fetchall())
