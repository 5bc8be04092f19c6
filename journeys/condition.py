"""How a journey is doing at a moment: computed from the clock and the expectation, not entered."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from journeys.model import Category, Limits

NO_LIMITS = Limits(None, None)


class Condition(NamedTuple):
    """The word, since when it holds, and when it may change next if nothing happens."""

    name: str  # "on_track", "slow" or "stalled"
    since: datetime
    next_check_at: datetime | None


def condition(category: Category, stage: str, since: datetime, as_of: datetime) -> Condition:
    """Compare the time spent in a stage with what the category declares for it.

    Slow from the expected p75 on, stalled from ``stalled_after`` (else p90) on. A stage for which
    nothing is declared is always on track.
    """
    slow, stalled = category.limits.get(stage, NO_LIMITS)
    if stalled is not None and as_of >= since + stalled:
        return Condition("stalled", since + stalled, None)
    if slow is not None and as_of >= since + slow and (stalled is None or slow < stalled):
        return Condition("slow", since + slow, None if stalled is None else since + stalled)
    ahead = slow if stalled is None else stalled if slow is None else min(slow, stalled)
    return Condition("on_track", since, None if ahead is None else since + ahead)
