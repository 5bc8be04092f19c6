"""The metrics that a promise may name: which events begin and end an occasion, what is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from journeys.event import JourneyEvent
from journeys.regions import WAITING
from journeys.repeats import CONTACTS, REPEATED

ANSWERED = "ticket_answered"  # how an update of a ticket counts after which the customer has to act
HANDED_OVER = frozenset({"order_delivered", "picked_up", "provisioned"})
RESOLVED = frozenset({"ticket_resolved", "ticket_closed"})


@dataclass(frozen=True, slots=True)
class Metric:
    """How the occasions of a promise are found."""

    kind: str  # "time", "count", "value" or "never"
    begun_by: frozenset[str]
    ended_by: frozenset[str] = frozenset()
    undone_by: frozenset[str] = frozenset()  # it has not ended after all
    dropped_by: frozenset[str] = frozenset()  # nothing is owed any more
    counted: frozenset[str] = frozenset()
    per: str | None = None  # property that tells occasions apart
    measure: str | None = None  # property that says it outright: minutes, or a score
    dated_by: frozenset[str] = frozenset()  # events that may say by when it is promised

    @property
    def types(self) -> frozenset[str]:
        """All event types that it looks at."""
        found = self.begun_by | self.ended_by | self.undone_by | self.dropped_by
        return found | self.counted | self.dated_by | {"ticket_updated"}


METRICS: Mapping[str, Metric] = {
    "first_reply": Metric(
        "time",
        frozenset({"ticket_opened"}),
        ended_by=RESOLVED | {"message_sent", ANSWERED},
        per="ticket",
        measure="first_reply_minutes",
    ),
    "resolution": Metric(
        "time",
        frozenset({"ticket_opened"}),
        ended_by=RESOLVED,
        undone_by=frozenset({"ticket_reopened"}),
        per="ticket",
    ),
    "delivery": Metric(
        "time",
        frozenset({"order_placed", "contract_signed", "repurchased"}),
        ended_by=HANDED_OVER,
        dropped_by=frozenset({"order_cancelled", "order_refunded"}),
        per="order",
        dated_by=frozenset({"order_placed", "order_updated", "order_shipped", "delivery_delayed"}),
    ),
    "pickup_wait": Metric(
        "value", frozenset({"pickup_waited", "picked_up"}), measure="wait_minutes"
    ),
    "contacts_to_resolve": Metric(
        "count",
        frozenset({"ticket_opened"}),
        ended_by=RESOLVED,
        undone_by=frozenset({"ticket_reopened"}),
        counted=CONTACTS | {"ticket_reopened"},
        per="ticket",
    ),
    "no_repeat": Metric("never", CONTACTS, ended_by=frozenset({REPEATED})),
    "csat": Metric("value", frozenset({"csat_answered"}), measure="score"),
    "ces": Metric("value", frozenset({"ces_answered"}), measure="score"),
    "nps": Metric("value", frozenset({"nps_answered"}), measure="score"),
}
PER_FAMILY: Mapping[str, str] = {"ticket": "ticket", "order": "order", "opportunity": "opportunity"}


def metric_of(data: Mapping[str, object]) -> Metric:
    """The metric that a promise names, or its own: from an event to an event, or on one event."""
    name = data.get("metric")
    if name is not None:
        return METRICS[str(name)]
    begun, ended = types_of(data["from"]), types_of(data.get("to"))
    counted = types_of(data.get("count"))
    kind = "count" if counted else "time" if ended else "value"
    family = min(begun).partition("_")[0]
    per = data.get("per") or (PER_FAMILY.get(family) if ended else None)
    measure = data.get("property")
    return Metric(
        kind,
        begun,
        ended_by=ended,
        counted=counted,
        per=None if per is None else str(per),
        measure=None if measure is None else str(measure),
    )


def types_of(value: object) -> frozenset[str]:
    """One event type, or several."""
    if isinstance(value, str):
        return frozenset({value})
    return frozenset(map(str, value)) if isinstance(value, Iterable) else frozenset()


def said(event: JourneyEvent) -> str:
    """The event's type; an update of a ticket is what the ticket's new status makes of it."""
    kind = event.event_type
    if kind != "ticket_updated":
        return kind
    named = event.properties.get("waiting_on") or event.properties.get("status")
    state = WAITING.get(str(named).lower())
    return {"resolved": "ticket_resolved", "closed": "ticket_closed"}.get(
        str(state), ANSWERED if state == "waiting_on_customer" else kind
    )
