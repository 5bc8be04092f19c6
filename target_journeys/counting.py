"""Journeys as the store's rows hold them, for counting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from journeys.measures import Counters, Counting, Journey, add, measures
from target_journeys.rows import JSON_COLUMNS

_JSON = [place for place, name in enumerate(Journey._fields) if name in JSON_COLUMNS]
_NOTHING = Journey._field_defaults
_decode = msgspec.json.Decoder().decode


def journey_of(row: Sequence[object]) -> Journey:
    """A journey from its row, in the order of the fields."""
    values: list[Any] = list(row)
    for place in _JSON:
        text = values[place]
        values[place] = _decode(text) if text else _NOTHING.get(Journey._fields[place], ())
    return Journey._make(values)


def counted(rows: Iterable[Sequence[object]], how: Counting) -> Counters:
    """The counters of some journeys, in memory."""
    counters: Counters = {}
    for journey in journeys_of(rows):
        add(counters, measures(journey, how), 1)
    return counters


def journeys_of(rows: Iterable[Sequence[object]]) -> Iterator[Journey]:
    """Journeys from their rows."""
    return map(journey_of, rows)
