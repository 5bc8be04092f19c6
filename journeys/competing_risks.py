"""How stays in a stage end: cumulative incidence of progress beside loss (Aalen and Johansen 1978).

Not the Kaplan-Meier estimate, which takes who is lost for still waiting and so promises too much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

PROGRESS = "progress"  # as a stay's kind; every other one is a loss, none is still open
SHARE_OF_START = 0.5  # of the chance of progress; below it a stay counts as stalled
SLOW_SHARE = 0.25  # of those who progress still wait when it counts as slow
PRIOR_STAYS = 20  # a category counts half for itself, half as its parent, with so many stays
DAY = timedelta(days=1)


class Stay(NamedTuple):
    """One stay in a stage: how many days, and how it ended; None: it has not."""

    days: float
    kind: str | None


class Point(NamedTuple):
    """What is known at a day at which stays ended."""

    day: float
    waiting: float  # share that had not ended just after that day
    incidence: Mapping[str, float]  # kind → share that had ended so by then


def incidence(stays: Iterable[Stay]) -> list[Point]:
    """Cumulative incidence by kind, at each day on which stays ended, in order.

    Of stays that end on one day, all count as at risk on that day; those still open are left out
    only after it.
    """
    ended: dict[float, Counter[str]] = {}
    leaving: Counter[float] = Counter()
    for stay in stays:
        leaving[stay.days] += 1
        if stay.kind is not None:
            ended.setdefault(stay.days, Counter())[stay.kind] += 1
    at_risk = leaving.total()
    waiting = 1.0
    so_far: dict[str, float] = {}
    found: list[Point] = []
    for day in sorted(leaving):
        kinds = ended.get(day)
        if kinds is not None:
            for kind, count in kinds.items():
                so_far[kind] = so_far.get(kind, 0.0) + waiting * count / at_risk
            waiting *= 1 - kinds.total() / at_risk
            found.append(Point(day, waiting, dict(so_far)))
        at_risk -= leaving[day]
    return found


@dataclass(frozen=True, slots=True)
class Chances:
    """What stays in one stage teach: when progress becomes unlikely, and the quantiles of it."""

    stays: int
    progressed: int
    stalled_days: float | None  # None: progress never became unlikely while stays were seen
    slow_days: float | None
    p50_days: float | None  # of those that progressed
    p90_days: float | None


def chances(stays: Sequence[Stay], *, share: float = SHARE_OF_START) -> Chances:
    """When P(progress later | still waiting) falls below a share of what it is at the start."""
    points = incidence(stays)
    last = points[-1].incidence.get(PROGRESS, 0.0) if points else 0.0
    stalled = slow = median = ninth = None
    for point in points:
        progressed = point.incidence.get(PROGRESS, 0.0)
        later = (last - progressed) / point.waiting if point.waiting > 0 else 0.0
        if stalled is None and later < share * last:
            stalled = point.day
        if slow is None and progressed >= (1 - SLOW_SHARE) * last > 0:
            slow = point.day
        if median is None and progressed >= 0.5 * last > 0:
            median = point.day
        if ninth is None and progressed >= 0.9 * last > 0:
            ninth = point.day
    return Chances(
        len(stays),
        sum(stay.kind == PROGRESS for stay in stays),
        stalled,
        slow,
        median,
        ninth,
    )


def shrunk(own: float | None, parent: float | None, stays: int) -> float | None:
    """A length in days, drawn towards the parent's the more, the fewer stays it comes from."""
    if own is None or parent is None:
        return own if own is not None else parent
    weight = stays / (stays + PRIOR_STAYS)
    return weight * own + (1 - weight) * parent
