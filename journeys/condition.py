"""How a journey is doing at a moment: computed from the clock and the expectation, not entered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from journeys.model import Category

# z-scores of a standard normal: where p75 lies between p50 and p90 of a log-normal dwell time.
P75_BETWEEN_P50_AND_P90 = 0.6745 / 1.2816


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
    slow, stalled = thresholds(category, stage)
    if stalled is not None and as_of >= since + stalled:
        return Condition("stalled", since + stalled, None)
    if slow is not None and as_of >= since + slow and (stalled is None or slow < stalled):
        return Condition("slow", since + slow, None if stalled is None else since + stalled)
    ahead = [limit for limit in (slow, stalled) if limit is not None]
    return Condition("on_track", since, since + min(ahead) if ahead else None)


def thresholds(category: Category, stage: str) -> tuple[timedelta | None, timedelta | None]:
    """When a stage counts as slow and as stalled."""
    dwell = category.expected.get(stage)
    stalled = category.stalled_after.get(stage)
    if dwell is None:
        return None, stalled
    if dwell.p50 <= timedelta(0):
        return dwell.p90, stalled or dwell.p90
    slow = dwell.p50 * (dwell.p90 / dwell.p50) ** P75_BETWEEN_P50_AND_P90
    return slow, stalled or dwell.p90
