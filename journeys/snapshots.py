"""Snapshots become history: what must have changed between two looks at a deal or a ticket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from journeys.episode import opportunity_of
from journeys.event import JourneyEvent, changed, isoformat
from journeys.regions import ticket_of

SNAPSHOTS = frozenset({"opportunity_observed", "ticket_observed"})
CLOSES_DEAL = frozenset({"opportunity_won", "opportunity_lost"})
TICKET_SAYS = {  # what an event says of the ticket's status, where it does not name one
    "ticket_opened": "open",
    "ticket_reopened": "open",
    "ticket_resolved": "solved",
    "ticket_closed": "closed",
}
RESOLVED = frozenset({"solved", "resolved", "closed"})


class Known(NamedTuple):
    """What is known of one deal or ticket, and since when at the latest."""

    value: tuple[str, ...]  # pipeline and stage, or status; empty once a deal is won or lost
    at: datetime


def history(events: Sequence[JourneyEvent]) -> list[JourneyEvent]:
    """The events, in the same order, with the changes that snapshots prove in place of snapshots.

    A look comes after all that happened at its own moment, since it has seen it: what a source
    reports at the time of a record's update is in the record. A snapshot that shows nothing new
    disappears. One that does becomes an inferred
    ``opportunity_stage_changed`` or ticket event at its own moment; ``changed_after`` tells since
    when the change may have happened: the last moment at which the old value is known. Changes
    that the source reported itself are not inferred again.
    """
    known: dict[tuple[str, str], Known] = {}
    ordered = sorted(events, key=lambda event: (event.occurred_at, event.event_type in SNAPSHOTS))
    return [each for event in ordered for each in _seen(event, known)]


def _seen(event: JourneyEvent, known: dict[tuple[str, str], Known]) -> Iterator[JourneyEvent]:
    kind = event.event_type
    if kind.startswith("opportunity_"):
        key, value = ("opportunity", opportunity_of(event)), _deal(event)
    elif kind.startswith("ticket_"):
        key, value = ("ticket", ticket_of(event)), _ticket(event)
    else:
        yield event
        return
    before = known.get(key)
    if kind not in SNAPSHOTS:
        if value is not None:
            known[key] = Known(value, event.occurred_at)
        yield event
        return
    if value is None or (before is not None and before.value in (value, ())):
        if before is not None and before.value == value:
            known[key] = Known(value, event.occurred_at)
        return
    known[key] = Known(value, event.occurred_at)
    properties = dict(event.properties)
    if before is not None:
        properties["changed_after"] = isoformat(before.at)
    yield changed(
        event,
        event_type=_change(kind, value, before),
        observability="inferred",
        properties=properties,
    )


def _deal(event: JourneyEvent) -> tuple[str, ...] | None:
    """Pipeline and stage as this event tells them; None if it says nothing."""
    if event.event_type in CLOSES_DEAL:
        return ()
    stage = event.properties.get("stage")
    if stage is None:
        return ("", "") if event.event_type == "opportunity_reopened" else None
    return str(event.properties.get("pipeline", "*")), str(stage)


def _ticket(event: JourneyEvent) -> tuple[str, ...] | None:
    """The ticket's status as this event tells it; None if it says nothing."""
    named = event.properties.get("status") or TICKET_SAYS.get(event.event_type)
    if named is None:
        return None
    status = str(named).lower()
    return ("open" if status == "new" else status,)


def _change(kind: str, value: tuple[str, ...], before: Known | None) -> str:
    """The type of the event that led from one value to another."""
    if kind == "opportunity_observed":
        return "opportunity_stage_changed"
    (status,) = value
    if status == "closed":
        return "ticket_closed"
    if status in RESOLVED:
        return "ticket_resolved"
    if before is None:
        return "ticket_opened"
    return "ticket_reopened" if before.value[0] in RESOLVED else "ticket_updated"
