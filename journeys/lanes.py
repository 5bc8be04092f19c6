"""The events of one subject laid out by journey, for a picture of all journeys side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from journeys.catalogue import Catalogue
from journeys.event import JourneyEvent
from journeys.fold import Folded, in_order, routes
from journeys.model import UNDECLARED, Category, StageModel
from journeys.regions import RETURNING, SEEKING_SUPPORT, Regions, concerns
from journeys.snapshots import history

OPEN_STATES = {"support": SEEKING_SUPPORT, "return": RETURNING}


class Span(NamedTuple):
    """How long something was open beside the main line."""

    region: str  # "support" or "return"
    state: str
    since: datetime
    until: datetime | None  # None: still open


@dataclass(slots=True)
class Lane:
    """What happened in one journey, over all its episodes."""

    events: list[JourneyEvent] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


def lanes(
    model: StageModel, catalogue: Catalogue, events: Iterable[JourneyEvent], as_of: datetime
) -> dict[tuple[str, str], Lane]:
    """(grain, id) of each journey → its events in order, and when support and returns were open."""
    found: dict[tuple[str, str], Lane] = {}
    replays: dict[tuple[str, str], Replay] = {}
    unused = Folded()
    for event in history(in_order(model, events)):
        meaning = model.meanings.get(event.event_type, UNDECLARED)
        if meaning.is_fact or not event.scopes:
            continue
        for route in routes(model, catalogue, event, meaning, unused):
            lane = found.setdefault(route.key, Lane())
            lane.events.append(event)
            if meaning.region in OPEN_STATES and concerns(event):
                replay = replays.setdefault(route.key, Replay(route.category, lane))
                replay.take(event)
    for replay in replays.values():
        replay.end(as_of)
    return found


class Replay:
    """The regions of one lane while its events go by, noted whenever they change."""

    def __init__(self, category: Category, lane: Lane) -> None:
        self.category = category
        self.lane = lane
        self.regions = Regions()
        self.next_check_at: datetime | None = None
        self.open: dict[str, tuple[str, datetime]] = {}  # region → state, since

    def take(self, event: JourneyEvent) -> None:
        """Let time pass until the event, then let the event do its part."""
        self._pass_until(event.occurred_at)
        self.regions.apply(event)
        self._note(event.occurred_at)

    def end(self, as_of: datetime) -> None:
        """Close the picture: what is open stays open."""
        self._pass_until(as_of)
        for region, (state, since) in self.open.items():
            self.lane.spans.append(Span(region, state, since, None))

    def _pass_until(self, moment: datetime) -> None:
        while self.next_check_at is not None and self.next_check_at <= moment:
            self._note(self.next_check_at)

    def _note(self, at: datetime) -> None:
        states: dict[str, dict[str, Any]]
        states, check = self.regions.states(
            at,
            contact_closes_after=self.category.contact_closes_after,
            usage_window=self.category.usage_window,
            declining_below=self.category.usage_declining_below,
        )
        self.next_check_at = check if check is not None and check > at else None
        for region, words in OPEN_STATES.items():
            state = states.get(region, {}).get("state")
            now = state if state in words else None
            before = self.open.get(region)
            if before is not None and before[0] == now:
                continue
            if before is not None:
                self.lane.spans.append(Span(region, before[0], before[1], at))
                del self.open[region]
            if now is not None:
                self.open[region] = (now, at)
