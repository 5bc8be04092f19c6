"""What an open ticket or return on one product does to the progress of another."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from journeys.statistics import CONFIDENCE, z_of

DAY = 86_400.0
AGES_DAYS = (1.0, 3.0, 7.0, 14.0, 30.0, 90.0)  # days in a stage that are compared with each other

Interval = tuple[datetime, datetime]


class Stay(NamedTuple):
    """A stay in a stage of one journey."""

    category: str
    stage: str
    since: datetime
    until: datetime  # its end, or now
    went_on: bool  # it ended in a later stage, or in a good end


class Own(NamedTuple):
    """What matters of one journey of a subject."""

    stays: Sequence[Stay]
    troubles: Sequence[Interval]  # while a ticket or a return was open


@dataclass(slots=True)
class Exposure:
    """Days at risk and stays that went on, by whether another product had trouble."""

    days: list[float] = field(default_factory=lambda: [0.0, 0.0])  # without, with
    went_on: list[int] = field(default_factory=lambda: [0, 0])


Strata = dict[tuple[str, str, int], Exposure]  # category, stage, age


class Effect(NamedTuple):
    """How fast journeys go on while another product has trouble, beside those where none has."""

    category: str
    stage: str
    ratio: float  # of the rates; 0.5: half as fast
    low: float
    high: float
    days_with: float
    went_on_with: int
    went_on_without: int


def expose(strata: Strata, journeys: Sequence[Own]) -> None:
    """Add the journeys of one subject.

    Each stay is cut where trouble on another product begins or ends, and where it grows older than
    one of the ages, so that like is compared with like.
    """
    for place, own in enumerate(journeys):
        others = [each for n, other in enumerate(journeys) if n != place for each in other.troubles]
        troubles = union(others)
        for stay in own.stays:
            for since, until, exposed in pieces(stay, troubles):
                _add(strata, stay, since, until, exposed)


def _add(strata: Strata, stay: Stay, since: datetime, until: datetime, exposed: bool) -> None:
    begun = (since - stay.since).total_seconds() / DAY
    ended = (until - stay.since).total_seconds() / DAY
    edges = [0.0, *AGES_DAYS, math.inf]
    for age in range(bisect_right(edges, begun) - 1, len(edges) - 1):
        low, high = max(begun, edges[age]), min(ended, edges[age + 1])
        if low >= ended and ended > begun:
            break
        found = strata.setdefault((stay.category, stay.stage, age), Exposure())
        found.days[exposed] += max(0.0, high - low)
        if until == stay.until and stay.went_on and high == ended:
            found.went_on[exposed] += 1
            break


def pieces(stay: Stay, troubles: Sequence[Interval]) -> Iterator[tuple[datetime, datetime, bool]]:
    """(since, until, whether in trouble) of a stay, in order; troubles are apart and in order."""
    at = stay.since
    for begin, end in troubles:
        if end <= at:
            continue
        if begin >= stay.until:
            break
        if begin > at:
            yield at, begin, False
            at = begin
        yield at, min(end, stay.until), True
        at = min(end, stay.until)
    if at < stay.until or stay.since == stay.until:
        yield at, stay.until, False


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time in intervals that do not overlap, in order."""
    found: list[Interval] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end - begin > timedelta(0):
            found.append((begin, end))
    return found


def effects(strata: Strata, confidence: float = CONFIDENCE) -> list[Effect]:
    """The rate ratio of each category and stage that saw both, the surest slow-down first.

    Mantel and Haenszel's ratio over the ages, with the interval of Greenland and Robins (1985). It
    describes: people with trouble may differ in other ways, too.
    """
    found = []
    for category, stage in sorted({key[:2] for key in strata}):
        parts = [each for key, each in strata.items() if key[:2] == (category, stage)]
        effect = _effect(category, stage, parts, confidence)
        if effect is not None:
            found.append(effect)
    return sorted(found, key=lambda each: (each.high, each.category, each.stage))


def _effect(
    category: str, stage: str, parts: Sequence[Exposure], confidence: float
) -> Effect | None:
    above = below = noise = 0.0
    for part in parts:
        without, with_ = part.days
        time = without + with_
        if not time:
            continue
        above += part.went_on[True] * without / time
        below += part.went_on[False] * with_ / time
        noise += sum(part.went_on) * without * with_ / time**2
    if not above or not below:
        return None
    reach = math.exp(z_of(confidence) * math.sqrt(noise / (above * below)))
    ratio = above / below
    return Effect(
        category,
        stage,
        round(ratio, 4),
        round(ratio / reach, 4),
        round(ratio * reach, 4),
        round(sum(part.days[True] for part in parts), 3),
        sum(part.went_on[True] for part in parts),
        sum(part.went_on[False] for part in parts),
    )
