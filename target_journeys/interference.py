"""What trouble on one product does to progress with others, from the journeys of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from journeys.interference import Effect, Own, Stay, Strata, effects, expose
from journeys.measures import GOOD_ENDS, Counting, Journey, counting, month
from journeys.model import StageModel
from target_journeys.counting import journeys_of
from target_journeys.stores.sqlite import SQLiteStore

TROUBLES = frozenset({"ticket", "return"})  # roadblocks that people feel on other products, too


def interference(
    store: SQLiteStore, model: StageModel, as_of: datetime, confidence: float
) -> list[Effect]:
    """The effects in every category and stage; reads all journeys, subject by subject."""
    how = counting(model, month)
    strata: Strata = {}
    for _, own in groupby(journeys_of(store.experience.by_subject()), attrgetter("subject")):
        several = list(own)
        if len(several) > 1:
            expose(strata, [own_of(each, how, as_of) for each in several])
    return effects(strata, confidence)


def own_of(journey: Journey, how: Counting, as_of: datetime) -> Own:
    """The stays of a journey, and when a ticket or a return was open."""
    troubles = [
        (datetime.fromisoformat(each["since"]), moment(each["until"], as_of))
        for each in journey.roadblocks
        if each["type"] in TROUBLES
    ]
    return Own(list(stays(journey, how, as_of)), troubles)


def stays(journey: Journey, how: Counting, as_of: datetime) -> Iterator[Stay]:
    """Each stay in a stage, and whether it ended by going on."""
    ends: Iterable[tuple[str | None, str | None]] = [
        *((visit[0], visit[1]) for visit in journey.path[1:]),
        (journey.outcome, journey.ended_at),
    ]
    for visit, (to, at) in zip(journey.path, ends, strict=True):
        stage, since = visit[0], datetime.fromisoformat(visit[1])
        went_on = to in GOOD_ENDS or how.order.get(to or "", -1) > how.order.get(stage, 0)
        until = max(since, moment(at, as_of))
        yield Stay(journey.category or "", stage, since, until, went_on)


def moment(text: str | None, as_of: datetime) -> datetime:
    """A moment of the store; what is not over lasts until now."""
    return as_of if text is None else datetime.fromisoformat(text)
