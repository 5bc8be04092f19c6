"""What the customer wanted to achieve: stated, met or not, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from journeys.touches import Touch

GOALS = frozenset({"goal_stated", "goal_met"})
DAY = timedelta(days=1)
DAYS_DIGITS = 3


def goal_of(watched: Iterable[Touch], ended_at: datetime | None) -> dict[str, Any] | None:
    """The goal that was stated last; an end of the journey before it was met leaves it unmet."""
    found: dict[str, Any] | None = None
    for event, _ in watched:
        stated = event.properties.get("goal")
        name = None if stated is None else str(stated)
        if event.event_type == "goal_stated":
            if found is not None and found["goal"] == name and found["met_at"] is None:
                continue  # said again
            found = {
                "goal": name,
                "stated_at": event.occurred_at,
                "met_at": None,
                "state": "open",
                "days": None,
                "event_id": event.event_id,
            }
        elif event.event_type == "goal_met" and found is not None and found["met_at"] is None:
            if name is not None and found["goal"] not in (None, name):
                continue  # another goal, which nobody stated
            found["met_at"] = event.occurred_at
            found["state"] = "met"
            found["days"] = round((event.occurred_at - found["stated_at"]) / DAY, DAYS_DIGITS)
    if found is not None and found["state"] == "open" and ended_at is not None:
        found["state"] = "unmet"
    return found
