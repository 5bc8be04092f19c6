"""Contacts in which the customer had to say the same again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from journeys.event import JourneyEvent
from journeys.roadblocks import key_of
from journeys.touches import Touch

CONTACTS = frozenset({"ticket_opened", "call_received", "chat_started", "complaint_made"})
REPEATED = "information_repeated"


def repeats(watched: Iterable[Touch], window: timedelta) -> tuple[dict[str, Any], ...]:
    """Where a customer repeated information, or came about the same by another channel.

    Two records of one ticket are one contact.
    """
    found: list[dict[str, Any]] = []
    earlier: list[JourneyEvent] = []
    for event, stage in watched:
        if event.event_type in CONTACTS:
            since = event.occurred_at - window
            again = False
            for before in reversed(earlier):
                if before.occurred_at < since:
                    break
                again = again or _elsewhere(before, event)
            earlier.append(event)
        else:
            again = event.event_type == REPEATED
        if again:
            found.append(
                {
                    "stage": stage,
                    "channel": event.channel,
                    "at": event.occurred_at,
                    "event_id": event.event_id,
                }
            )
    return tuple(found)


def _elsewhere(before: JourneyEvent, event: JourneyEvent) -> bool:
    """Whether two contacts came by different channels, and are not two records of one ticket."""
    ticket = key_of(event, "ticket")
    return (
        before.channel is not None
        and event.channel is not None
        and before.channel != event.channel
        and (ticket is None or ticket != key_of(before, "ticket"))
    )
