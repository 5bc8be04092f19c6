"""The journeys behind a gap, found by counting those of its category once more, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from journeys.gaps import slow_from
from journeys.measures import INSIDE, Journey, counting
from journeys.model import StageModel
from journeys.tallies import Spot
from journeys.traces import evidence, met, slow, step_of
from target_journeys.counting import journeys_of
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.explain import events, who
from target_journeys.gaps import Window, tallies_of
from target_journeys.identities import COLUMN
from target_journeys.stores.sqlite import SQLiteStore


@dataclass(frozen=True, slots=True)
class Traced:
    """One journey that met a gap."""

    journey: Journey
    spot: Spot

    def as_mapping(self, store: SQLiteStore) -> dict[str, Any]:
        """For people: the journey's key and the events that show it."""
        journey = self.journey
        wanted = evidence(journey, self.spot)
        step = step_of(self.spot)
        if step is not None:
            wanted += steps(store, journey, step)
        found = {event["event_id"]: event for event in events(store.bodies_of(wanted))}
        return {
            "subject": journey.subject,
            "scope_grain": journey.scope_grain,
            "scope_id": journey.scope_id,
            "episode": journey.episode,
            "stage": journey.stage,
            "outcome": journey.outcome,
            "events": sorted(found.values(), key=lambda event: str(event["occurred_at"])),
        }


def traced(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    gap: Mapping[str, Any],
    when: Window,
) -> Iterator[Traced]:
    """The journeys that met a gap, in the order of the store."""
    spot = Spot(*(gap[name] for name in Spot._fields))
    how = counting(model, when.period)
    limit = None
    if spot.type == "dwell":
        found = tallies_of(store, model, settings, gap["category"], when)
        limit = slow_from(found, spot.stage, spot.persona)
    for journey in journeys_of(store.experience.journeys(gap["category"])):
        if limit is not None:
            if slow(journey, spot, how, INSIDE, limit):
                yield Traced(journey, spot)
        elif met(journey, spot, how, INSIDE):
            yield Traced(journey, spot)


def steps(store: SQLiteStore, journey: Journey, step: str) -> list[str]:
    """The subject's events of one type that are about what the journey is about."""
    kind, canonical = who(store, journey.subject)
    ids = {name for _, name in store.identities.group(kind, [canonical])} | {canonical}
    about = {journey.scope_id, journey.product, journey.category}
    found = []
    for _, bodies in store.events_of(COLUMN[kind], ids):
        for event in msgspec.json.decode(bodies) if bodies else ():
            scopes = {scope["id"] for scope in event.get("scopes") or ()}
            if event["event_type"] == step and (not scopes or scopes & about):
                found.append(event["event_id"])
    return found
