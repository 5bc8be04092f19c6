"""What a store's own counters teach the stage model: when a stay is slow, and when stalled.

It is learned anew when a new period has begun, not in every run: what was learned is part of the
model, and another model means that all journeys are folded again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from journeys.competing_risks import DAY, PROGRESS, Stay
from journeys.learning import BACK, Cell, learned, taught
from journeys.measures import edges
from journeys.model import Dwell, Limits, StageModel
from target_journeys.stores.sqlite import SQLiteStore

LEARNED = "learned"  # the note of what was learned
DAY_S = DAY.total_seconds()
MOST_STAYS = 20_000  # of one category and stage; more teach no more
RULES = ("quantile", "learned")


def learns(model: StageModel) -> bool:
    """Whether any category takes its limits from what happened."""
    settings = (*model.categories.values(), *model.products.values())
    rules = {model.defaults.stall_rule, *(each.get("stall_rule") for each in settings)}
    return not rules.isdisjoint(RULES)


def learn(store: SQLiteStore, model: StageModel, as_of: datetime) -> None:
    """Keep what the counters teach of the categories that want it, within a transaction."""
    stays = [
        (cell, stay)
        for category in store.experience.categories()
        if category and model.category(category).stall_rule in RULES
        for cell, stay in stays_of(store, category, as_of)
    ]
    found: dict[str, list[list[object]]] = {"limits": [], "dwells": []}
    for rule in RULES:
        limits, dwells = learned(model, stays, as_quantile=rule == "quantile")
        for (path, stage), limit in limits.items():
            if model.category(path).stall_rule == rule:
                found["limits"].append([path, stage, *map(in_seconds, limit)])
        for (path, stage), dwell in dwells.items():
            if model.category(path).stall_rule == rule:
                found["dwells"].append([path, stage, in_seconds(dwell.p50), in_seconds(dwell.p90)])
    store.keep_note(LEARNED, json.dumps(found))


def with_learned(store: SQLiteStore, model: StageModel) -> StageModel:
    """The model with what was learned in earlier runs; itself where it learns nothing."""
    text = store.note(LEARNED)
    if text is None or not learns(model):
        return model
    found = json.loads(text)
    limits = {
        (path, stage): Limits(length(slow), length(stalled))
        for path, stage, slow, stalled in found["limits"]
    }
    dwells = {
        (path, stage): Dwell(timedelta(seconds=p50), timedelta(seconds=p90))
        for path, stage, p50, p90 in found["dwells"]
    }
    name = hashlib.blake2b(f"{model.hash} {text}".encode(), digest_size=8).hexdigest()
    return replace(taught(model, limits, dwells), hash=name)


def stays_of(store: SQLiteStore, category: str, as_of: datetime) -> Iterator[tuple[Cell, Stay]]:
    """The stays of a category from its counters, each as long as the middle of its bucket."""
    cells: dict[Cell, dict[Stay, int]] = {}
    for key, n, _ in store.experience.counters(category, ("stay", "waiting")):
        _, name, bucket, _, stage, _, _, _ = key
        if name == "waiting":
            since = datetime.fromisoformat(f"{bucket}T00:00:00+00:00")
            stay = Stay(max(0.0, (as_of - since) / DAY), None)
        else:
            way, _, length_ = bucket.rpartition("|")
            kind, _, to = way.partition(">")
            low, high = edges(int(length_))
            days = (math.sqrt(low * high) if low else high / 2) / DAY_S
            stay = Stay(days, PROGRESS if kind == "progress" else BACK if kind == "back" else to)
        counts = cells.setdefault((category, stage), {})
        counts[stay] = counts.get(stay, 0) + n
    for cell, counts in cells.items():
        share = min(1.0, MOST_STAYS / sum(counts.values()))
        for stay, n in counts.items():
            for _ in range(max(1, round(n * share))):
                yield cell, stay


def in_seconds(value: timedelta | None) -> float | None:
    """A length as JSON holds it."""
    return None if value is None else value.total_seconds()


def length(seconds: float | None) -> timedelta | None:
    """A length from JSON."""
    return None if seconds is None else timedelta(seconds=seconds)
