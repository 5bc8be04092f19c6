"""Maps of a store: drawn anew where journeys changed, compared, and due for a look."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from journeys.event import isoformat
from journeys.map_changes import changes, drift
from journeys.maps import draw
from target_journeys.stores.sqlite import SQLiteStore

PERSONA, PERIOD = 3, 7  # places in a counter's key


def redraw(
    store: SQLiteStore,
    category: str,
    periods: Collection[str],
    order: Sequence[str],
    *,
    at: datetime,
    confidence: float,
) -> None:
    """Draw the maps of a category in these periods, of all personas and of each.

    A map that says the same as before keeps its revision.
    """
    counted: dict[tuple[str, str], list[tuple[Sequence[str], int]]] = {}
    for key, n, _ in store.experience.counters(category):
        persona, period = key[PERSONA], key[PERIOD]
        if period in periods:
            for who in {"", persona}:
                counted.setdefault((who, period), []).append((key, n))
    drawn = {place: draw(found, order, confidence) for place, found in counted.items()}
    store.maps.keep(category, drawn, isoformat(at))
    store.maps.drop(category, drawn, periods)


def compared(before: dict[str, Any], after: dict[str, Any], confidence: float) -> dict[str, Any]:
    """What changed between two maps, and how far the ways have drifted."""
    found = drift(before, after)
    return {
        "before": {name: before[name] for name in ("period", "revision")},
        "after": {name: after[name] for name in ("period", "revision")},
        "changes": [each._asdict() for each in changes(before, after, confidence)],
        "drift": found and found._asdict(),
    }


def is_due(reviewed_at: str | None, every: timedelta, as_of: datetime) -> bool:
    """Whether people should look at the maps of a category again."""
    return reviewed_at is None or datetime.fromisoformat(reviewed_at) + every <= as_of
