"""Where everything lies in the picture of one customer: a lane per product on one time axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from journeys.lanes import Lane
from journeys.vocabulary import FAMILIES

WIDTH = 1000.0  # of the drawing, in its own units
FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}
LABEL_FITS = 8.0  # units that one letter takes
MOST_MARKS = 400  # a lane with more is drawn with every n-th; the table below it says how many
TICKS = (  # at most about ten of them
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=30),
    timedelta(days=91),
    timedelta(days=365),
    timedelta(days=3650),
)


class Axis(NamedTuple):
    """The stretch of time that is drawn."""

    since: datetime
    until: datetime

    def x(self, moment: datetime) -> float:
        """Where a moment lies, 0 to WIDTH."""
        share = (moment - self.since) / (self.until - self.since)
        return round(min(max(share, 0.0), 1.0) * WIDTH, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Moments to write under the axis."""
        step = next((t for t in TICKS if (self.until - self.since) / t <= 10), TICKS[-1])
        first = self.since.replace(minute=0, second=0, microsecond=0)
        if step >= timedelta(days=1):
            first = first.replace(hour=0)
        moments = [first + n * step for n in range(1, 12)]
        words = "%d %b %H:%M" if step < timedelta(days=1) else "%d %b %Y"
        return [(self.x(each), each.strftime(words)) for each in moments if each < self.until]


class Block(NamedTuple):
    """A stay in a stage, or something open beside it."""

    x: float
    width: float
    word: str
    label: str  # the word, or nothing where it does not fit
    title: str


class Drawn(NamedTuple):
    """One lane."""

    stages: list[Block]
    beside: list[Block]
    marks: list[tuple[float, str, str]]  # x, family, title
    marks_left_out: int


def axis_of(journeys: Iterable[Mapping[str, Any]], as_of: datetime) -> Axis:
    """From the first event of all journeys to now."""
    first = min((moment(each["first_event_at"]) for each in journeys), default=as_of)
    last = max([as_of, *(moment(each["last_event_at"]) for each in journeys)])
    return Axis(first, max(last, first + timedelta(hours=1)))


def drawn(axis: Axis, episodes: Sequence[Mapping[str, Any]], lane: Lane, now: datetime) -> Drawn:
    """All episodes of one journey as blocks and marks."""
    stages: list[Block] = []
    for journey in episodes:
        steps = journey["steps"]
        end = moment(journey["ended_at"]) if journey["ended_at"] else now
        ends = [*(moment(step["entered_at"]) for step in steps[1:]), end]
        for step, until in zip(steps, ends, strict=True):
            stages.append(block(axis, step["stage"], moment(step["entered_at"]), until))
        if journey["outcome"]:
            stages.append(block(axis, journey["outcome"], end, end))
    beside = [
        block(axis, f"{span.region} {span.state}", span.since, span.until or now)
        for span in lane.spans
    ]
    every = max(1, -(-len(lane.events) // MOST_MARKS))
    marks = [
        (
            axis.x(event.occurred_at),
            FAMILY_OF.get(event.event_type, "other"),
            f"{words(event.event_type)}, {event.channel or 'channel unknown'}, "
            f"{event.occurred_at:%Y-%m-%d %H:%M} ({event.source})",
        )
        for event in lane.events[::every]
    ]
    return Drawn(stages, beside, marks, len(lane.events) - len(marks))


def block(axis: Axis, word: str, since: datetime, until: datetime) -> Block:
    """A stretch of time with its word."""
    x, end = axis.x(since), axis.x(max(since, until))
    label = words(word) if len(word) * LABEL_FITS <= end - x else ""
    return Block(
        x,
        round(max(end - x, 2.0), 1),
        word,
        label,
        f"{words(word)}: {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}",
    )


def moment(text: str) -> datetime:
    """A moment as the store writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def words(name: str) -> str:
    """``no_decision`` as people read it."""
    return name.replace("_", " ")
