"""What was done about gaps, and what came of it: the same trouble before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from journeys.event import isoformat
from journeys.maps import share
from journeys.measures import window
from journeys.model import StageModel
from journeys.statistics import difference
from journeys.tallies import Spot, Tally
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.gaps import Window, tallies_of
from target_journeys.stores.sqlite import SQLiteStore

BEYOND = datetime(9999, 1, 1, tzinfo=UTC)  # what began after the action is inside the window


def act(store: SQLiteStore, gap: Mapping[str, Any], what: str, since: datetime) -> None:
    """Note what was done about a gap; the gap itself may be gone when somebody asks again."""
    spot = [gap[name] for name in Spot._fields]
    store.maps.keep_action(
        str(gap["gap_id"]), isoformat(since), str(gap["category"]), json.dumps(spot), what
    )


def effects(
    store: SQLiteStore, model: StageModel, settings: ExperienceSettings
) -> Iterator[dict[str, Any]]:
    """Every action with how often its trouble was met before and since, the latest first.

    Keys: ``gap_id``, ``since``, ``category``, ``place``, ``what``, ``before``, ``after`` and
    ``difference`` (None where there is nothing to compare). It says what happened after the
    action; other things may have changed, too. Reads the journeys of the category.
    """
    for gap_id, since, category, spot_text, what in store.maps.actions():
        spot = Spot(*json.loads(spot_text))
        after = Window(since, window(datetime.fromisoformat(since), BEYOND))
        tally = tallies_of(store, model, settings, category, after).of.get(spot, Tally())
        hits, n = min(tally.hits, tally.n), tally.n
        hits_before, n_before = min(tally.hits_outside, tally.n_outside), tally.n_outside
        moved = difference(hits, n, hits_before, n_before, settings.confidence)
        yield {
            "gap_id": gap_id,
            "since": since,
            "category": category,
            "place": ", ".join(part for part in (category, *spot) if part),
            "what": what,
            "before": share(int(hits_before), int(n_before), settings.confidence),
            "after": share(int(hits), int(n), settings.confidence),
            "difference": moved._asdict() if n and n_before else None,
        }
