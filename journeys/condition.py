"""How a journey is doing at a moment: computed from the clock and what is known, not entered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from journeys.model import NO_LIMITS, Category, Limits, Stay


class Condition(NamedTuple):
    """The word, since when it holds, and when it may change next if nothing happens."""

    name: str
    since: datetime
    next_check_at: datetime | None


def condition(
    category: Category,
    stage: str,
    since: datetime,
    as_of: datetime,
    limits: Limits | None = None,
) -> Condition:
    """Compare the time spent in a stage with what the category declares for it, or with limits.

    Slow from the expected p75 on, stalled from ``stalled_after`` (else p90) on. A stage for which
    nothing is declared is always on track.
    """
    slow, stalled = limits or category.limits.get(stage, NO_LIMITS)
    if stalled is not None and as_of >= since + stalled:
        return Condition("stalled", since + stalled, None)
    if slow is not None and as_of >= since + slow and (stalled is None or slow < stalled):
        return Condition("slow", since + slow, None if stalled is None else since + stalled)
    ahead = slow if stalled is None else stalled if slow is None else min(slow, stalled)
    return Condition("on_track", since, None if ahead is None else since + ahead)


def worst(
    dwell: Condition,
    blocked: datetime | None,
    waits: Mapping[str, datetime],
    detoured: datetime | None,
) -> Condition:
    """The most urgent word: blocked, stalled, waiting, detoured, slow, else on track."""
    check = dwell.next_check_at
    if blocked is not None:
        return Condition("blocked", blocked, check)
    if dwell.name == "stalled":
        return dwell
    for name in ("waiting_on_us", "waiting_on_customer"):
        if name in waits:
            return Condition(name, waits[name], check)
    if detoured is not None:
        return Condition("detoured", detoured, check)
    return dwell


def expected(
    stay: Stay, since: datetime, as_of: datetime
) -> tuple[Mapping[str, float], datetime | None]:
    """What is expected of a stay and how much of it has passed, and when that will change.

    In two steps, 75 and 90, so that a record changes at few moments, known beforehand.
    """
    lasted = as_of - since
    if lasted < stay.p75:
        return stay.before, since + stay.p75
    if lasted < stay.p90:
        return stay.after_p75, since + stay.p90
    return stay.after_p90, None
