"""What a delivery would do, counted and shown, without a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from target_journeys.deliveries import requests_of
from target_journeys.destinations.base import Destination
from target_journeys.stores.sqlite import SQLiteStore

ALWAYS = ("create", "update", "unchanged", "delete", "append", "suppressed")
SAMPLES = 3  # rows of each kind that are shown


class Planned(NamedTuple):
    """What one destination would be told."""

    destination: str
    counts: Mapping[str, int]
    samples: list[dict[str, Any]]


def plan(
    store: SQLiteStore, destinations: Mapping[str, Destination], now: datetime
) -> Iterator[Planned]:
    """Counts and sample requests of every destination."""
    for name, destination in destinations.items():
        counts = dict.fromkeys(ALWAYS, 0) | store.backlog.planned(name)
        samples: list[dict[str, Any]] = []
        for op in ("upsert", "append", "delete"):
            rows = list(islice((r for r in store.outbox.waiting(name) if r.op == op), SAMPLES))
            samples += requests_of(store, name, destination, rows, now)
        yield Planned(name, counts, samples)
