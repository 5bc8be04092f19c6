"""The outbox in SQLite as people see it: what is left, what would be sent, what runs came to."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from target_journeys.stores.sqlite_outbox import ROW, Row

LEFT = "('refused', 'unknown')"  # what somebody has to see to


class SQLiteBacklog:
    """Counts and lists rows, and lets them go; transactions are its caller's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def left(
        self, destination: str | None = None, key: str | None = None
    ) -> list[tuple[str, str, str, str, int, str | None]]:
        """(destination, kind, key, status, attempts, start of the answer) of what needs a look."""
        return self.connection.execute(
            "select destination, kind, record_key, status, attempts, answer from outbox "
            f"where status in {LEFT} and status <> 'sent' and destination = ifnull(?1, destination)"
            " and record_key = ifnull(?2, record_key) order by destination, kind, record_key",
            (destination, key),
        ).fetchall()

    def rows_left(self, destination: str, key: str) -> list[Row]:
        """The rows of one key that need a look, as they would be told."""
        found = self.connection.execute(
            f"select {ROW} from outbox as o where o.status in {LEFT} and o.status <> 'sent' "
            "and o.destination = ? and o.record_key = ?",
            (destination, key),
        )
        return [Row(*row) for row in found]

    def release(self, status: str, destination: str | None = None, key: str | None = None) -> int:
        """Let what needs a look wait again, or drop it ("suppressed"); how many rows."""
        return self.connection.execute(
            "update outbox set status = ?1, attempts = 0, next_attempt_at = null, "
            "answer = case ?1 when 'waiting' then null else 'dropped by hand' end "
            f"where status in {LEFT} and status <> 'sent' and destination = ifnull(?2, destination)"
            " and record_key = ifnull(?3, record_key)",
            (status, destination, key),
        ).rowcount

    def counts(self) -> dict[tuple[str, str], int]:
        """(destination, status) → rows that somebody waits for or has to see to."""
        found = self.connection.execute(
            "select destination, case when status in ('leased', 'accepted') then 'waiting' "
            "else status end as s, count(*) from outbox where status <> 'sent' "
            "and status not in ('suppressed', 'superseded') group by destination, s"
        )
        return {(destination, status): count for destination, status, count in found}

    def planned(self, destination: str) -> dict[str, int]:
        """What a delivery would do, counted: create, update, delete, append, and the rest."""
        found = self.connection.execute(
            "select case when status not in ('waiting', 'leased', 'accepted') then "
            "case status when 'sent' then 'unchanged' else status end "
            "when op = 'upsert' then case when told then 'update' else 'create' end else op end "
            "as what, count(*) from outbox where destination = ? and not "
            "(status = 'sent' and (op = 'delete' or kind = 'transition')) group by what",
            (destination,),
        )
        return dict(found.fetchall())

    def mirrored(self, destination: str) -> tuple[int, int]:
        """(deletes that wait, records that it was told of) of one destination."""
        found = self.connection.execute(
            "select count(*) filter (where status = 'waiting' and op = 'delete'), count(*) filter "
            "(where not (status = 'sent' and op = 'delete')) from outbox "
            "where destination = ? and kind = 'record' and told",
            (destination,),
        ).fetchone()
        return int(found[0]), int(found[1])

    def oldest_waiting(self, destination: str) -> str | None:
        """Since when the row waits that waits longest."""
        found: Any = self.connection.execute(
            "select min(queued_at) from outbox where destination = ? and status <> 'sent' "
            "and status in ('waiting', 'leased', 'accepted')",
            (destination,),
        ).fetchone()[0]
        return None if found is None else str(found)

    def keep_delivery(self, row: Sequence[object]) -> None:
        """Write one line of the history: a run and a destination."""
        self.connection.execute(
            "insert or replace into deliveries values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
        )
