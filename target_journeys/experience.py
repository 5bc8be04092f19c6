"""Counts what journeys were like, keeps the counters true as they change, and finds the gaps."""

from __future__ import annotations

import gc
import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from journeys.gaps import ranked
from journeys.measures import PERIODS, Counters, add, counting, measures
from journeys.model import StageModel
from target_journeys.counting import journey_of
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.gaps import Window, find, money_of, shown
from target_journeys.learned import LEARNED, learn, learns
from target_journeys.maps import redraw
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_experience import COUNTED

VERSION = 1  # raised when journeys.measures counts something else
WINDOW = "experience window"  # the note of the periods that the gaps are of
AT_ONCE = 200_000  # counters that are held in memory, some 300 bytes each, before they are written


class Experience:
    """The analysis of one store."""

    def __init__(
        self,
        store: SQLiteStore,
        model: StageModel,
        as_of: datetime,
        settings: ExperienceSettings | None = None,
    ) -> None:
        self.store = store
        self.model = model
        self.as_of = as_of
        self.settings = settings or ExperienceSettings()
        self.how = counting(model, PERIODS[self.settings.period])

    def prepare(self) -> None:
        """Before the last fold: do not remember what will be counted anew in any case."""
        known = self.store.note("model")
        experience = self.store.experience
        if experience.is_counted() and (
            known != self.model.hash or self.store.note(COUNTED) != self._name()
        ):
            experience.start_over()

    def update(self) -> set[str]:
        """Bring counters and gaps up to date; tells the categories that were touched."""
        if not self.settings.enabled and not self.store.experience.is_counted():
            return set()
        with self.store.transaction():
            return self.refresh()

    def refresh(self) -> set[str]:
        """As :meth:`update`, within the caller's transaction; what changed is then forgotten."""
        experience = self.store.experience
        if not self.settings.enabled:
            experience.start_over()
            return set()
        places = self.count()
        touched = {category for category, _ in places}
        if not touched:
            return touched
        self._draw(places)
        periods = self.recent()
        if self.store.note(WINDOW) != shown(periods):  # then all gaps are of the past
            touched = {*touched, *experience.categories()}
            self.store.keep_note(WINDOW, shown(periods))
            self.store.drop_note(LEARNED)
        if learns(self.model) and self.store.note(LEARNED) is None:
            learn(self.store, self.model, self.as_of)
        when = replace(Window.of(self.settings, shown(periods)), periods=tuple(periods))
        for category in sorted(touched):
            rows = find(self.store, self.model, self.settings, category, when)
            experience.keep_gaps(category, rows)
        worths = {
            category: money_of(experience.worth(category)).mean
            for category in experience.categories()
        }
        experience.rank_gaps(ranked(experience.excesses(), worths))
        return touched

    def _draw(self, places: Collection[tuple[str, str]]) -> None:
        """Draw the maps of the recent periods; older ones are drawn when somebody asks."""
        recent = set(self.recent())
        periods: dict[str, set[str]] = {}
        for category, period in places:
            if period in recent:
                periods.setdefault(category, set()).add(period)
        self.store.maps.mark_stale(place for place in places if place[1] not in recent)
        order = [stage.name for stage in self.model.stages]
        confidence = self.settings.confidence
        for category, touched in sorted(periods.items()):
            redraw(self.store, category, touched, order, at=self.as_of, confidence=confidence)

    def recent(self) -> list[str]:
        """The periods that are looked at for gaps."""
        return self.store.experience.periods()[-self.settings.recent :]

    # -- counting --------------------------------------------------------------------------

    def count(self) -> set[tuple[str, str]]:
        """Count what changed, or everything if that was never done, within a transaction.

        Tells the (category, period) of all counters that are not what they were.
        """
        experience = self.store.experience
        if self.store.note(COUNTED) == self._name():
            return self._count_changes()
        experience.begin_anew()
        was_enabled = gc.isenabled()
        gc.disable()  # what is counted holds no cycles; to look for some took half of the time
        try:
            self._count_all()
        finally:
            if was_enabled:
                gc.enable()
        self.store.keep_note(COUNTED, self._name())
        return experience.places()

    def _count_all(self) -> None:
        experience = self.store.experience
        counters: Counters = {}
        for row in experience.journeys():
            add(counters, measures(journey_of(row), self.how), 1)
            if len(counters) >= AT_ONCE:
                experience.gather(counters)
                counters = {}
        experience.gather(counters)
        experience.settle()

    def _count_changes(self) -> set[tuple[str, str]]:
        experience = self.store.experience
        counters: Counters = {}
        for before, now in experience.changed():
            if before is not None:
                add(counters, measures(journey_of(before), self.how), -1)
            if now is not None:
                add(counters, measures(journey_of(now), self.how), 1)
        experience.forget_changes()
        experience.add(counters)
        return {(key[0], key[-1]) for key, (n, total) in counters.items() if n or total}

    def _name(self) -> str:
        """What the counters depend on beside the journeys."""
        stages = [(stage.name, stage.side) for stage in self.model.stages]
        return json.dumps([VERSION, self.settings.period, stages])
