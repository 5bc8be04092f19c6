"""Many rows in one statement: SQLite then takes two thirds of the time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from target_journeys.stores.base import chunks

MOST_VALUES = 999  # in one statement; what every build of SQLite takes


class Insert:
    """An insert of any number of rows, with what happens on a conflict."""

    def __init__(self, start: str, row: str, end: str = "") -> None:
        """``start`` names table and columns, ``row`` holds a ``?`` for each value of a row."""
        self._width = MOST_VALUES // row.count("?")  # rows
        self._one = f"{start} values {row} {end}"
        self._many = f"{start} values {', '.join([row] * self._width)} {end}"

    def run(self, connection: sqlite3.Connection, rows: Iterable[Sequence[object]]) -> None:
        """Write the rows, in their order."""
        for some in chunks(rows, self._width):
            if len(some) == self._width:
                connection.execute(self._many, list(chain.from_iterable(some)))
            else:
                connection.executemany(self._one, some)


def places(count: int) -> str:
    """``(?, ?, …)``."""
    return f"({', '.join('?' * count)})"
