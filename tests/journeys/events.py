"""Short ways to write events down in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from journeys.event import JourneyEvent, Scope

START = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = count()


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def happened(event_type: str, at: float, product: str | None = "P", **fields: Any) -> JourneyEvent:
    """One event of one customer, ``at`` days after the start; a new id each time."""
    number = next(_numbers)
    role = fields.pop("role", "primary")
    fields.setdefault("scopes", () if product is None else (Scope("product", product, role),))
    fields.setdefault("event_id", f"{number:032x}")
    fields.setdefault("source_key", str(number))
    fields.setdefault("subject", "email:ana@acme.test")
    fields.setdefault("source", "tests")
    return JourneyEvent(event_type=event_type, occurred_at=day(at), **fields)


def ticket(kind: str, at: float, number: str, **properties: Any) -> JourneyEvent:
    return happened(f"ticket_{kind}", at, properties={"ticket": number, **properties})
