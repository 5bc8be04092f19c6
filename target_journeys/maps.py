"""Maps of a store: drawn anew where journeys changed, compared, and due for a look."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from journeys.event import isoformat
from journeys.map_changes import changes, drift
from journeys.maps import draw
from journeys.model import StageModel
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
    for key, n, _ in store.experience.counters(category, periods=periods):
        for who in {"", key[PERSONA]}:
            counted.setdefault((who, key[PERIOD]), []).append((key, n))
    drawn = {place: draw(found, order, confidence) for place, found in counted.items()}
    store.maps.keep(category, drawn, isoformat(at))
    store.maps.drop(category, drawn, periods)


def catch_up(
    store: SQLiteStore, model: StageModel, category: str, *, at: datetime, confidence: float
) -> None:
    """Draw the older maps of a category whose journeys have changed since."""
    stale = store.maps.stale(category)
    if stale:
        order = [stage.name for stage in model.stages]
        with store.transaction():
            redraw(store, category, stale, order, at=at, confidence=confidence)


def between(
    store: SQLiteStore,
    model: StageModel,
    category: str,
    persona: str,
    periods: Sequence[str],
    confidence: float,
) -> dict[str, Any]:
    """The map of some periods together, drawn for the occasion; of one, the one that is kept."""
    if len(periods) == 1:
        kept = store.maps.one(category, persona, periods[0])
        assert kept is not None
        return kept
    counted = [
        (key, n)
        for key, n, _ in store.experience.counters(category, periods=periods)
        if persona in ("", key[PERSONA])
    ]
    head = {
        "category": category,
        "persona": persona,
        "period": f"{periods[0]}..{periods[-1]}",
        "revision": None,
    }
    return head | draw(counted, [stage.name for stage in model.stages], confidence)


def overview(store: SQLiteStore, every: timedelta, as_of: datetime) -> Iterator[dict[str, Any]]:
    """Which maps there are, and whether a look at them is due."""
    for category, persona, latest, reviewed_at in store.maps.overview():
        yield {
            "category": category,
            "persona": persona,
            "latest": latest,
            "reviewed_at": reviewed_at,
            "review_due": is_due(reviewed_at, every, as_of),
        }


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
