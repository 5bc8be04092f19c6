"""Queries in SOQL: the rows of a window, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tap_journeys.sources.windows import Window


class Position(NamedTuple):
    """A row in the order of reading."""

    stamp: str  # empty for objects without one
    id: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one object: of a window, behind one row and up to another."""

    object: str
    cursor: str | None
    window: Window
    after: Position | None = None
    upto: Position | None = None

    def count(self) -> str:
        """The query for their number."""
        return f"SELECT COUNT() FROM {self.object}{self._where()}"

    def all(self, names: Iterable[str]) -> str:
        """The query for them in no order, as a job wants it."""
        return f"SELECT {', '.join(names)} FROM {self.object}{self._where()}"

    def first(self, names: Iterable[str], most: int) -> str:
        """The query for the first of them, in order."""
        order = f"{self.cursor}, Id" if self.cursor else "Id"
        return f"{self.all(names)} ORDER BY {order} LIMIT {most}"

    def _where(self) -> str:
        conditions = list(self._conditions())
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _conditions(self) -> Iterable[str]:
        stamp, after, upto = self.cursor, self.after, self.upto
        if stamp is None:
            if after:
                yield f"Id > {_text(after.id)}"
            if upto:
                yield f"Id <= {_text(upto.id)}"
            return
        yield f"{stamp} >= {after.stamp if after else _moment(self.window.since)}"
        yield f"{stamp} < {_moment(self.window.until)}"
        if after:
            yield f"({stamp} > {after.stamp} OR Id > {_text(after.id)})"
        if upto:
            yield f"({stamp} < {upto.stamp} OR ({stamp} = {upto.stamp} AND Id <= {_text(upto.id)}))"


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
