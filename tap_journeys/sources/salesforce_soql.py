"""Queries in SOQL: the rows of an object that have changed in a window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tap_journeys.sources.windows import Window


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one object; all of them where it has no stamp."""

    object: str
    stamp: str | None
    window: Window

    def number(self) -> str:
        """The query for how many there are."""
        return f"SELECT COUNT() FROM {self.object}{self._where()}"

    def unordered(self, names: Iterable[str]) -> str:
        """The query for them, as a job wants it."""
        return f"SELECT {', '.join(names)} FROM {self.object}{self._where()}"

    def ordered(self, names: Iterable[str]) -> str:
        """The query for them in the order of their stamps, those of one stamp by their ids."""
        order = f"{self.stamp}, Id" if self.stamp else "Id"
        return f"{self.unordered(names)} ORDER BY {order}"

    def first(self) -> str:
        """The query for the earliest stamp."""
        return f"{self.ordered(('Id', self.stamp or 'Id'))} LIMIT 1"

    def _where(self) -> str:
        if self.stamp is None:
            return ""
        since, until = map(_literal, self.window)
        return f" WHERE {self.stamp} >= {since} AND {self.stamp} < {until}"


def _literal(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
