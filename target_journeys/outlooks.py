"""What comes next for one journey, learned from the counters of its category."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from journeys.outlook import Stays, groups_of, outlook, stays_of
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.stores.sqlite import SQLiteStore

NAMES = ("stay", "waiting")  # the counters that say how stays went


class Outlooks:
    """Looks ahead for the journeys of a store; counters are read once for each category."""

    def __init__(self, store: SQLiteStore, settings: ExperienceSettings, as_of: datetime) -> None:
        self.store = store
        self.settings = settings
        self.as_of = as_of
        self._categories: list[str] | None = None
        self._stays: dict[str, Mapping[tuple[str, str], Stays]] = {}

    def of(self, journey: Mapping[str, Any]) -> dict[str, Any] | None:
        """The outlook of a journey, a stage record as a mapping; None once it has ended."""
        if journey["outcome"] is not None:
            return None
        category = journey["category"]
        root = (category or "").partition("/")[0]
        relatives = [each for each in self.categories() if each.partition("/")[0] == root]
        stays = {each: self._stays_of(each) for each in relatives}
        entered = datetime.fromisoformat(journey["stage_entered_at"])
        found = outlook(
            journey["stage"],
            groups_of(stays, category, journey["persona"], journey["stage"]),
            max(0.0, (self.as_of - entered).total_seconds()),
            least=self.settings.minimum,
            confidence=self.settings.confidence,
        )
        return found._asdict() | {"ways": [way._asdict() for way in found.ways]}

    def categories(self) -> list[str]:
        """The categories that have counters."""
        if self._categories is None:
            self._categories = self.store.experience.categories()
        return self._categories

    def _stays_of(self, category: str) -> Mapping[tuple[str, str], Stays]:
        if category not in self._stays:
            counters = self.store.experience.counters(category, NAMES)
            self._stays[category] = stays_of(((key, n) for key, n, _ in counters), self.as_of)
        return self._stays[category]
