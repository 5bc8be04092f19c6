"""Detours: how far a journey left the straight way through its stages, and what that cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from journeys.record import Visit

DAY = timedelta(days=1)
DAYS_DIGITS = 3


class Detours(NamedTuple):
    """What a path comes to beside the straight way; `since`: it has not come back since then."""

    found: dict[str, Any] | None
    since: datetime | None


STRAIGHT = Detours(None, None)


def detours(path: Sequence[Visit], rank: Mapping[str, int], until: datetime) -> Detours:
    """Backward moves, stages entered again, steps too many, and the days until it was back.

    Each cycle counts for itself: buying again is no way back. Steps too many are those that have
    to be taken out for the rest to run forward. A detour that goes on costs the days to ``until``.
    """
    if len(path) < 2:
        return STRAIGHT
    backward = loops = extra = 0
    cost = timedelta()
    left_at: datetime | None = None
    for _, visits in groupby(path, key=lambda visit: visit.cycle):
        seen: set[int] = set()
        straight: list[int] = []  # ends of the longest ways forward, by their length
        furthest = before = -1
        count = 0
        for visit in visits:
            here = rank[visit.stage]
            if not count and left_at is not None:  # buying again ended that detour
                cost += visit.entered_at - left_at
                left_at = None
            count += 1
            if here < before:
                backward += 1
                left_at = left_at or visit.entered_at
            loops += here in seen
            if here >= furthest and left_at is not None:
                cost += visit.entered_at - left_at
                left_at = None
            seen.add(here)
            furthest, before = max(furthest, here), here
            place = bisect_left(straight, here)
            straight[place : place + 1] = [here]
        extra += count - len(straight)
    if not backward and not loops:
        return STRAIGHT
    if left_at is not None:
        cost += max(timedelta(), until - left_at)
    days = round(cost / DAY, DAYS_DIGITS)
    found = {"backward": backward, "loops": loops, "extra_steps": extra, "days": days}
    return Detours(found, left_at)
