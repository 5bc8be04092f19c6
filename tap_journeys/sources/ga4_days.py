"""Which tables of GA4's export are to be read: one day after the other, and late ones again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

TABLE = re.compile(r"events_(?:(?P<part>intraday|fresh)_)?(?P<day>\d{8})")
LATE_DAYS = 4  # a day is closed when the next one begins, and may change for three days more


class Listed(NamedTuple):
    """A table of events, as the list of tables tells of it."""

    day: str
    part: str  # "intraday", "fresh", or "" for the daily table
    name: str
    created_ms: int

    @classmethod
    def of(cls, name: str, created_ms: int) -> Listed | None:
        """The table of this name, if it holds events."""
        match = TABLE.fullmatch(name)
        return cls(match["day"], match["part"] or "", name, created_ms) if match else None


class Marked(Protocol):
    """A table that is read, and what of it changes when it does."""

    @property
    def name(self) -> str: ...
    @property
    def mark(self) -> str: ...
    @property
    def is_streaming(self) -> bool: ...


class Days:
    """What earlier runs have read, and what of a dataset may be new.

    The daily table counts; until it is there, what has been streamed and the fresh table, which
    have the same events. Tables of the last days are looked at in every run and read when they have
    changed, and so is every table that was made since, however old its day.
    """

    def __init__(self, bookmark: Mapping[str, Any]) -> None:
        value = bookmark.get("replication_key_value")
        self.last = str(value) if value else ""  # newest day that was read
        self.created_ms = int(bookmark.get("created_ms") or 0)  # newest table that was seen
        self.marks: dict[str, str] = dict(bookmark.get("tables") or {})

    def due(self, tables: Iterable[Listed], since: str) -> list[list[Listed]]:
        """The tables to look at, by day; none of days before ``since``."""
        days: dict[str, list[Listed]] = {}
        for table in tables:
            if table.day >= since:
                days.setdefault(table.day, []).append(table)
        chosen = [[t for t in found if not t.part] or found for found in days.values()]
        return [
            found
            for found in chosen
            if found[0].day >= self._late_from()
            or any(table.created_ms > self.created_ms for table in found)
        ]

    def _late_from(self) -> str:
        return day_before(self.last, LATE_DAYS) if self.last else ""

    def after(self, day: str, tables: Iterable[Marked]) -> dict[str, Any]:
        """The bookmark once these tables of a day are read."""
        self.last = max(self.last, day)
        self.marks |= {table.name: table.mark for table in tables if not table.is_streaming}
        from_day = self._late_from()
        self.marks = {
            name: mark for name, mark in self.marks.items() if name.rpartition("_")[2] >= from_day
        }
        return self.bookmark()

    def bookmark(self) -> dict[str, Any]:
        return {
            "replication_key": "event_date",
            "replication_key_value": self.last,
            "created_ms": self.created_ms,
            "tables": dict(self.marks),
        }


def day_before(day: str, days: int) -> str:
    """The day (YYYYMMDD) so many days before."""
    at = datetime.strptime(day, "%Y%m%d") - timedelta(days=days)  # noqa: DTZ007  # a date
    return f"{at:%Y%m%d}"
