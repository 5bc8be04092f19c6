"""The views of a report that the counters make: maps by category, and gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from journeys.map_changes import changes
from journeys.maps import draw
from journeys.model import StageModel
from target_journeys.actions import effects
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.gaps import find_all
from target_journeys.maps import PERIOD, PERSONA, overview
from target_journeys.report.flow_map import picture
from target_journeys.report.portfolio import NO_CATEGORY
from target_journeys.stores.sqlite import SQLiteStore

MAPS_SHOWN = 40
GAPS_SHOWN = 200
CHANGES_SHOWN = 5


def category_maps(
    store: SQLiteStore, model: StageModel, settings: ExperienceSettings, due: set[str]
) -> dict[str, Any]:
    """Values of the view of maps: each category in the latest periods, and what changed before."""
    periods = store.experience.periods()
    recent = periods[-settings.recent :]
    before = periods[-2 * settings.recent : -settings.recent]
    maps = [
        _map(store, model, settings, category, recent, before, is_due=category in due)
        for category in store.experience.categories()
    ]
    maps = sorted((each for each in maps if each["journeys"]["all"]), key=_most_first)
    return {
        "maps": maps[:MAPS_SHOWN],
        "all": {each["category"] or NO_CATEGORY: each for each in maps},
        "total": len(maps),
        "period": "..".join(dict.fromkeys((recent[0], recent[-1]))) if recent else "",
        "classes": {stage.name: f"s{place}" for place, stage in enumerate(model.stages)},
    }


def _most_first(drawn: Mapping[str, Any]) -> tuple[int, str]:
    return -drawn["journeys"]["all"], drawn["category"]


def _map(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    category: str,
    recent: Sequence[str],
    before: Sequence[str],
    *,
    is_due: bool,
) -> dict[str, Any]:
    order = [stage.name for stage in model.stages]
    counted: dict[tuple[str, bool], list[tuple[Sequence[str], int]]] = {}
    for key, n, _ in store.experience.counters(category, periods=[*recent, *before]):
        now = key[PERIOD] in recent
        for persona in {"", key[PERSONA]}:
            counted.setdefault((persona, now), []).append((key, n))
    drawn = draw(counted.get(("", True), ()), order, settings.confidence)
    earlier = draw(counted.get(("", False), ()), order, settings.confidence)
    changed = changes(earlier, drawn, settings.confidence)[:CHANGES_SHOWN] if before else []
    personas = [
        draw(found, order, settings.confidence) | {"persona": persona}
        for (persona, now), found in sorted(counted.items())
        if persona and now
    ]
    return drawn | {
        "category": category,
        "picture": picture(drawn),
        "changes": [each._asdict() for each in changed],
        "before": "..".join(dict.fromkeys((before[0], before[-1]))) if before else "",
        "personas": [each for each in personas if each["journeys"]["all"]],
        "review_due": is_due,
    }


def due_reviews(store: SQLiteStore, settings: ExperienceSettings, as_of: datetime) -> set[str]:
    """The categories whose maps nobody has looked at for long."""
    found = overview(store, settings.review_every, as_of)
    return {each["category"] for each in found if each["review_due"]}


def gap_list(store: SQLiteStore, model: StageModel, settings: ExperienceSettings) -> dict[str, Any]:
    """Values of the view of gaps: what the last run found, and what was done."""
    found = find_all(store, model, settings, None)
    return {
        "gaps": found[:GAPS_SHOWN],
        "total": len(found),
        "period": found[0]["period"] if found else "",
        "actions": list(effects(store, model, settings)),
    }
