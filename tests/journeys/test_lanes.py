"""The picture of one subject: which events lie in which lane, and what was open beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from journeys.catalogue import Catalogue
from journeys.event import JourneyEvent, Scope
from journeys.lanes import Span, lanes
from target_journeys.stage_model import load

START = datetime(2026, 1, 1, tzinfo=UTC)
A = ("product", "A")


def event(day: float, event_type: str, product: str = "A", **properties: str) -> JourneyEvent:
    return JourneyEvent(
        event_id=f"{event_type}-{day}-{product}",
        event_type=event_type,
        occurred_at=START + timedelta(days=day),
        source="web",
        source_key=str(day),
        subject="email:ana@acme.test",
        scopes=(Scope("product", product),),
        properties=properties,
    )


@pytest.fixture(scope="module")
def laid_out():
    model = load("standard")
    return lambda *events, as_of=30: lanes(
        model, Catalogue(), events, START + timedelta(days=as_of)
    )


def test_each_event_lies_in_its_products_lane_in_order_of_time(laid_out):
    found = laid_out(event(2, "cart_added"), event(1, "product_viewed"), event(1, "ad_seen", "B"))
    assert [each.event_type for each in found[A].events] == ["product_viewed", "cart_added"]
    assert [each.event_type for each in found["product", "B"].events] == ["ad_seen"]


def test_two_tickets_are_one_span_of_the_worst_state_until_both_are_closed(laid_out):
    found = laid_out(
        event(1, "ticket_opened", ticket="1"),
        event(2, "ticket_escalated", ticket="1"),
        event(3, "ticket_opened", ticket="2"),
        event(4, "ticket_closed", ticket="1"),
        event(5, "ticket_closed", ticket="2"),
    )
    days = [
        (span.state, (span.since - START).days, span.until and (span.until - START).days)
        for span in found[A].spans
    ]
    assert days == [("open", 1, 2), ("escalated", 2, 4), ("open", 4, 5)]


def test_what_is_open_has_no_end_and_a_call_closes_by_itself(laid_out):
    found = laid_out(event(1, "call_received"), event(10, "return_requested"))
    call, back = found[A].spans
    assert call == Span("support", "open", START + timedelta(days=1), START + timedelta(days=2))
    assert back == Span("return", "requested", START + timedelta(days=10), None)
