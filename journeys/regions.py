"""The six regions beside the main line: support, return, internal, advocacy and the others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from journeys.event import JourneyEvent, isoformat

TICKETS: Mapping[str, str] = {
    "ticket_opened": "open",
    "ticket_updated": "open",
    "ticket_escalated": "escalated",
    "ticket_reopened": "reopened",
    "ticket_resolved": "resolved",
    "ticket_closed": "closed",
    "complaint_made": "open",
}
WAITING: Mapping[str, str] = {  # a ticket's status, or who is waited for → its state
    "new": "open",
    "open": "open",
    "pending": "waiting_on_customer",
    "customer": "waiting_on_customer",
    "hold": "waiting_on_us",
    "us": "waiting_on_us",
    "third_party": "waiting_on_us",
    "solved": "resolved",
    "closed": "closed",
}
WORST_FIRST = (
    "escalated",
    "reopened",
    "waiting_on_us",
    "open",
    "waiting_on_customer",
    "resolved",
)
CONTACTS: Mapping[str, bool] = {"call_received": True, "chat_started": True, "chat_ended": False}
RETURNS: Mapping[str, str] = {
    "return_requested": "requested",
    "return_received": "in_transit",
    "exchange_sent": "exchanged",
    "order_refunded": "refunded",
    "return_rejected": "rejected",
}
# The buyer's own work: Gartner's six buying jobs, and what buying needs besides.
STEPS = (
    "problem_identification",
    "solution_exploration",
    "requirements_building",
    "supplier_selection",
    "validation",
    "consensus_creation",
    "budget",
    "security",
    "legal",
    "purchase_order",
)
INTERNAL: Mapping[str, tuple[str, str]] = {  # event → the step of the buyer's own work, its state
    "problem_identification_started": ("problem_identification", "active"),
    "problem_identified": ("problem_identification", "done"),
    "priority_changed": ("problem_identification", "active"),
    "solution_exploration_started": ("solution_exploration", "active"),
    "rfi_received": ("solution_exploration", "active"),
    "solutions_explored": ("solution_exploration", "done"),
    "requirements_building_started": ("requirements_building", "active"),
    "requirements_set": ("requirements_building", "done"),
    "supplier_selection_started": ("supplier_selection", "active"),
    "rfp_received": ("supplier_selection", "active"),
    "supplier_selected": ("supplier_selection", "done"),
    "validation_started": ("validation", "active"),
    "validation_passed": ("validation", "done"),
    "consensus_creation_started": ("consensus_creation", "active"),
    "consensus_reached": ("consensus_creation", "done"),
    "budget_requested": ("budget", "active"),
    "budget_approved": ("budget", "done"),
    "budget_frozen": ("budget", "active"),
    "security_review_started": ("security", "active"),
    "security_review_passed": ("security", "done"),
    "legal_review_started": ("legal", "active"),
    "legal_review_passed": ("legal", "done"),
    "purchase_order_requested": ("purchase_order", "active"),
    "purchase_order_issued": ("purchase_order", "done"),
}
ADVOCACY = ("product_reviewed", "nps_answered", "referral_made")
USAGE = ("feature_used", "usage_reported")
PAYMENTS: Mapping[str, str] = {
    "order_placed": "due",  # only when the order says `payment: invoice`
    "payment_failed": "due",
    "invoice_overdue": "overdue",
    "invoice_paid": "settled",
}

REGION_OF_EVENT: dict[str, str] = {
    **dict.fromkeys((*TICKETS, *CONTACTS), "support"),
    **dict.fromkeys(RETURNS, "return"),
    **dict.fromkeys(INTERNAL, "internal"),
    **dict.fromkeys(ADVOCACY, "advocacy"),
    **dict.fromkeys(USAGE, "engagement"),
    **dict.fromkeys(PAYMENTS, "payment"),
}
# The stage to infer when a region is the first thing we hear of a journey.
OPENS_AT: Mapping[str, str] = {
    "support": "using",
    "return": "using",
    "internal": "aware",
    "advocacy": "using",
    "engagement": "using",
    "payment": "buying",
}
SEEKING_SUPPORT = frozenset(
    {"open", "waiting_on_us", "waiting_on_customer", "escalated", "reopened"}
)
RETURNING = frozenset({"requested", "in_transit"})


def concerns(event: JourneyEvent) -> bool:
    """Whether the event says something about its region at all."""
    return event.event_type != "order_placed" or event.properties.get("payment") == "invoice"


class Step:
    """One step of the buyer's own work while its events go by, in order."""

    __slots__ = ("done_at", "first_at", "revisits", "since", "state")

    def __init__(self, at: datetime) -> None:
        self.first_at = self.since = at
        self.state = ""
        self.done_at: datetime | None = None  # for the first time
        self.revisits = 0

    def move(self, state: str, at: datetime) -> None:
        """Start it, end it, or start it again after its end."""
        if state == "active" and self.state == "done":
            state = "revisited"
            self.revisits += 1
        elif state == "active" and self.state == "revisited":
            state = "revisited"
        if state == "done" and self.done_at is None:
            self.done_at = at
        if state != self.state:
            self.state, self.since = state, at


class Regions:
    """The regions of one journey while its events go by, in order."""

    __slots__ = ("advocacy", "contacts", "internal", "payment", "returning", "tickets", "usage")

    def __init__(self) -> None:
        self.tickets: dict[str, tuple[str, datetime]] = {}  # ticket id → state, since
        self.contacts: dict[str, datetime] = {}  # call or chat id → opened at
        self.returning: tuple[str, datetime] | None = None
        self.internal: dict[str, Step] = {}
        self.advocacy: tuple[str, datetime] | None = None
        self.usage: list[datetime] = []
        self.payment: tuple[str, datetime] | None = None

    def apply(self, event: JourneyEvent) -> None:
        """Let one event change its region."""
        kind, at = event.event_type, event.occurred_at
        if kind in TICKETS:
            self._ticket(event, at)
        elif kind in CONTACTS:
            key = str(event.properties.get("conversation") or event.source_key)
            if CONTACTS[kind]:
                self.contacts.setdefault(key, at)
            else:
                self.contacts.pop(key, None)
        elif kind in RETURNS:
            self.returning = (RETURNS[kind], at)
        elif kind in INTERNAL:
            name, state = INTERNAL[kind]
            self.internal.setdefault(name, Step(at)).move(state, at)
        elif kind in USAGE:
            self.usage.append(at)
        elif kind in PAYMENTS:
            self.payment = (PAYMENTS[kind], at)
        elif kind == "referral_made":
            self.advocacy = ("referrer", at)
        elif is_promoter(event) and self.advocacy is None:
            self.advocacy = ("reviewer", at)

    def _ticket(self, event: JourneyEvent, at: datetime) -> None:
        ticket = ticket_of(event)
        state = TICKETS[event.event_type]
        if event.event_type in ("ticket_updated", "ticket_opened"):
            named = event.properties.get("waiting_on") or event.properties.get("status")
            before = self.tickets.get(ticket, ("open", at))[0]
            unnamed = state if before == "resolved" else before
            state = WAITING.get(str(named).lower(), unnamed)
        if state == "closed":
            self.tickets.pop(ticket, None)
        elif self.tickets.get(ticket, ("", at))[0] != state:
            self.tickets[ticket] = (state, at)

    def states(
        self,
        as_of: datetime,
        *,
        contact_closes_after: timedelta,
        usage_window: timedelta,
        declining_below: float,
        internal_order: Mapping[str, Iterable[str]] | None = None,
    ) -> tuple[dict[str, dict[str, Any]], datetime | None]:
        """What each region that is not empty says at a moment, and when time alone changes it."""
        found: dict[str, dict[str, Any]] = {}
        checks: list[datetime] = []
        if self.tickets or self.contacts:
            support = dict(self._support(as_of, contact_closes_after, checks))
            if support:
                found["support"] = worst(support)
        if self.returning:
            found["return"] = described(*self.returning)
        if self.internal:
            found["internal"] = inner_work(self.internal, internal_order or {})
        if self.advocacy:
            found["advocacy"] = described(*self.advocacy)
        if self.usage:
            found["engagement"] = described(
                *engagement(self.usage, as_of, usage_window, declining_below)
            )
            recent = bisect_right(self.usage, as_of - usage_window)
            if recent < len(self.usage):
                checks.append(self.usage[recent] + usage_window)
        if self.payment:
            found["payment"] = described(*self.payment)
        return found, min(checks, default=None)

    def _support(
        self, as_of: datetime, closes_after: timedelta, checks: list[datetime]
    ) -> Iterator[tuple[str, tuple[str, datetime]]]:
        yield from self.tickets.items()
        for key, opened_at in self.contacts.items():
            if as_of < opened_at + closes_after:
                checks.append(opened_at + closes_after)
                yield key, ("open", opened_at)


def worst(tickets: Mapping[str, tuple[str, datetime]]) -> dict[str, Any]:
    """The support region: the state of the worst ticket, since when, and which are open."""
    state = min((state for state, _ in tickets.values()), key=WORST_FIRST.index)
    found = described(state, min(since for each, since in tickets.values() if each == state))
    found["open"] = sorted(key for key, (each, _) in tickets.items() if each in SEEKING_SUPPORT)
    return found


def inner_work(known: Mapping[str, Step], order: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """The internal region: every step, which ones came again, and what ran ahead of its turn."""
    unfinished = any(step.state != "done" for step in known.values())
    began = min(step.first_at for step in known.values())
    found = described("active" if unfinished else "done", began)
    found["steps"] = {name: known[name].state if name in known else "not_started" for name in STEPS}
    found["steps_since"] = {name: isoformat(known[name].since) for name in STEPS if name in known}
    revisits = {name: known[name].revisits for name in STEPS if name in known}
    if any(revisits.values()):
        found["revisits"] = {name: count for name, count in revisits.items() if count}
    ahead = [
        {"step": name, "before": earlier}
        for name in STEPS
        if name in known
        for earlier in order.get(name, ())
        if not done_by(known.get(earlier), known[name].first_at)
    ]
    if ahead:
        found["out_of_order"] = ahead
    return found


def done_by(step: Step | None, moment: datetime) -> bool:
    """Whether a step had been done for the first time by then."""
    return step is not None and step.done_at is not None and step.done_at <= moment


def ticket_of(event: JourneyEvent) -> str:
    """The ticket an event belongs to: named by the rule, else the record itself."""
    return str(event.properties.get("ticket") or event.source_key)


def is_promoter(event: JourneyEvent) -> bool:
    """A review of four fifths or better, or a recommendation of 9 or 10."""
    try:
        score = float(event.properties.get("score", ""))
        scale = float(event.properties.get("scale", 5))
    except (TypeError, ValueError):
        return False
    return score >= 9 if event.event_type == "nps_answered" else score >= 0.8 * scale


def engagement(
    usage: list[datetime], as_of: datetime, window: timedelta, declining_below: float
) -> tuple[str, datetime]:
    """Active, declining or dormant, and since when; usage is in order of time."""
    gone = bisect_right(usage, as_of - window)  # how many lie before the window
    recent = len(usage) - gone
    if recent == 0:
        return "dormant", usage[-1] + window
    windows_before = (as_of - window - usage[0]) / window
    if windows_before >= 1 and recent < declining_below * gone / windows_before:
        return "declining", usage[gone - 1] + window
    return "active", usage[0]


def described(state: str, since: datetime) -> dict[str, Any]:
    """A region as the record shows it."""
    return {"state": state, "since": isoformat(since)}
