"""What a check asks of a SQLite store: what came, from where and when; nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from target_journeys.stores.base import StoreError
from target_journeys.stores.sqlite_errors import in_words


class StreamSeen(NamedTuple):
    """The events of one type from one stream."""

    stream: str
    event_type: str
    events: int
    at_midnight: int  # of these, at 00:00:00 UTC
    at_whole_hours: int
    ahead: int  # later than the moment that was asked for


class SQLiteCoverage:
    """Questions of a check; each is at most one pass over a table."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.connection = connection
        self.path = path

    def obstacle(self) -> StoreError | None:
        """Why a run could not write now; takes the write lock and gives it back at once."""
        (timeout_ms,) = self.connection.execute("pragma busy_timeout").fetchone()
        self.connection.execute("pragma busy_timeout = 0")
        try:
            self.connection.execute("begin immediate")
        except sqlite3.OperationalError as error:
            return in_words(error, self.path)
        finally:
            self.connection.execute(f"pragma busy_timeout = {timeout_ms}")
        self.connection.execute("rollback")
        return None

    def streams(self, now: str) -> Iterator[StreamSeen]:
        """Every stream and event type; the times are UTC, so their text can be compared."""
        found = self.connection.execute(
            "select source, event_type, count(*), "
            "sum(substr(at, 12, 8) = '00:00:00'), sum(substr(at, 15, 5) = '00:00'), sum(at > ?) "
            "from (select json_extract(body, '$.source') as source, "
            "json_extract(body, '$.event_type') as event_type, "
            "json_extract(body, '$.occurred_at') as at from event_log) group by 1, 2",
            (now,),
        )
        return (StreamSeen(*row) for row in found)

    def crm_stages(self) -> list[tuple[str, str, int]]:
        """(pipeline or "*", stage, events) of what the CRM said of deals."""
        return self.connection.execute(
            "select coalesce(json_extract(body, '$.properties.pipeline'), '*'), "
            "coalesce(json_extract(body, '$.properties.stage'), ''), count(*) from event_log "
            "where body like '%\"opportunity_stage_changed\"%' and "
            "json_extract(body, '$.event_type') = 'opportunity_stage_changed' "
            "group by 1, 2 order by 3 desc, 1, 2"
        ).fetchall()

    def busiest(self, at_least: int, limit: int) -> list[tuple[str, int]]:
        """(id, events) of the people with that many events, most first."""
        return self.connection.execute(
            "select subject, count(*) as n from event_log where subject is not null "
            "group by subject having n >= ? order by n desc, subject limit ?",
            (at_least, limit),
        ).fetchall()

    def stopped(self, destination: str) -> str | None:
        """Why the latest delivery to a destination ended before all was sent."""
        found = self.connection.execute(
            "select stopped from deliveries where destination = ? order by ended_at desc limit 1",
            (destination,),
        ).fetchone()
        return None if found is None or found[0] is None else str(found[0])

    def last_delivery(self) -> str | None:
        """When the latest delivery ended, by the clock of the machine that made it."""
        (found,) = self.connection.execute("select max(ended_at) from deliveries").fetchone()
        return None if found is None else str(found)
