"""What a journey was like: roadblocks, detours, goals, repeats, touches, visibility, value."""

from __future__ import annotations

from typing import Any

import pytest

from journeys.fold import fold
from journeys.record import StageRecord
from target_journeys.rows import as_mapping, stage_row
from target_journeys.stage_model import load
from tests.journeys.events import day, happened, ticket

MODEL = load("standard")


def only(events: list[Any], at: float | None = None, **settings: Any) -> StageRecord:
    model = load(settings) if settings else MODEL
    return fold(model, events, as_of=None if at is None else day(at))[-1]


# -- roadblocks and the condition ------------------------------------------------------------------


def test_a_failed_payment_blocks_until_the_order():
    failed = happened("payment_failed", 1.1, channel="web")
    events = [happened("cart_added", 1), failed]
    record = only(events)
    assert record.roadblocks == (
        {
            "type": "payment_failed",
            "owner": "them",
            "since": day(1.1),
            "until": None,
            "stage": "buying",
            "channel": "web",
            "event_id": failed.event_id,
        },
    )
    assert (record.condition, record.condition_since) == ("blocked", day(1.1))
    record = only([*events, happened("order_placed", 1.2)])
    assert record.roadblocks[0]["until"] == day(1.2)
    assert record.condition == "on_track"


@pytest.mark.parametrize(
    ("events", "types"),
    [
        ([happened("coupon_denied", 2)], ["coupon_denied"]),
        ([happened("delivery_delayed", 2), happened("order_delivered", 3)], []),
        ([happened("security_review_started", 2)], ["security"]),
        ([happened("legal_review_started", 2), happened("legal_review_passed", 3)], []),
        ([happened("budget_frozen", 2)], ["budget"]),
        ([ticket("opened", 2, "T1"), ticket("closed", 3, "T2")], ["ticket"]),
        ([ticket("opened", 2, "T1"), ticket("updated", 3, "T1", status="solved")], []),
    ],
)
def test_what_stands_in_the_way(events, types):
    record = only([happened("cart_added", 1), *events])
    assert [each["type"] for each in record.roadblocks if each["until"] is None] == types


def test_the_owner_is_who_is_waited_for():
    opened = ticket("opened", 1, "T1")
    for status, owner, condition in (
        ("open", "us", "blocked"),
        ("pending", "them", "waiting_on_customer"),
        ("hold", "us", "waiting_on_us"),
    ):
        record = only([opened, ticket("updated", 2, "T1", status=status)])
        assert [each["owner"] for each in record.roadblocks] == [owner]
        assert record.condition == condition
    delayed = happened("delivery_delayed", 1, properties={"owner": "third_party"})
    assert only([delayed]).roadblocks[0]["owner"] == "third_party"


def test_roadblocks_of_ones_own_and_none():
    rules = {
        "out of stock": {
            "opened_by": ["availability_checked"],
            "closed_by": ["cart_added"],
            "owner": "third_party",
            "when": {"available": "no"},
        },
        "coupon_denied": None,
    }
    settings = {"defaults": {"roadblocks": rules}}
    checked = happened("availability_checked", 1, properties={"available": "no"})
    assert only([checked], **settings).condition == "blocked"
    assert only([checked, happened("cart_added", 2)], **settings).condition == "on_track"
    other = happened("availability_checked", 1, properties={"available": "yes"})
    assert only([other, happened("coupon_denied", 2)], **settings).roadblocks == ()


def test_whose_move_it_is_in_a_deal():
    asked = happened("quote_requested", 1)
    sent = happened("quote_sent", 2)
    assert only([asked]).condition == "waiting_on_us"
    assert only([asked, sent]).condition == "waiting_on_customer"
    assert only([asked, sent, happened("meeting_held", 3)]).condition == "on_track"


def test_the_first_word_that_holds_is_the_condition():
    asked = happened("quote_requested", 1)
    assert only([asked], at=70).condition == "stalled"  # who waits for whom hides no standstill
    assert only([asked, happened("budget_frozen", 2)], at=70).condition == "blocked"


# -- detours ---------------------------------------------------------------------------------------


def deal(stage: str, at: float) -> Any:
    return happened(
        "opportunity_stage_changed", at, properties={"stage": stage, "opportunity": "d1"}
    )


def test_a_straight_way_is_no_detour():
    events = [
        happened("product_viewed", 1),
        happened("cart_added", 2),
        happened("order_placed", 2.5),
    ]
    assert only(events).detours is None
    again = [*events, happened("order_placed", 40), happened("activated", 41)]
    assert only(again).detours is None  # buying again is a cycle, no way back


def test_a_way_back_costs_the_days_until_it_has_caught_up():
    events = [
        happened("product_viewed", 0),
        deal("qualifiedtobuy", 1),
        deal("contractsent", 2),
        deal("qualifiedtobuy", 5),
    ]
    record = only(events)
    assert record.detours == {"backward": 1, "loops": 1, "extra_steps": 1, "days": 0.0}
    assert (record.condition, record.condition_since) == ("detoured", day(5))
    record = only([*events, deal("contractsent", 9)])
    assert record.detours == {"backward": 1, "loops": 2, "extra_steps": 2, "days": 4.0}
    assert record.condition == "on_track"


# -- goals, repeats, feedback ----------------------------------------------------------------------


def test_a_goal_is_open_met_or_unmet():
    stated = happened("goal_stated", 2, properties={"goal": "own website"})
    events = [happened("feature_used", 1), stated]
    assert only(events).goal == {
        "goal": "own website",
        "stated_at": day(2),
        "met_at": None,
        "state": "open",
        "days": None,
        "event_id": stated.event_id,
    }
    other = happened("goal_met", 3, properties={"goal": "something else"})
    assert only([*events, other]).goal["state"] == "open"
    met = happened("goal_met", 9, properties={"goal": "own website"})
    goal = only([*events, met]).goal
    assert (goal["state"], goal["met_at"], goal["days"]) == ("met", day(9), 7.0)
    assert only([*events, happened("product_retired", 5)]).goal["state"] == "unmet"


def test_who_comes_by_another_channel_soon_says_the_same_again():
    call = happened("call_received", 1, channel="phone")
    chat = happened("chat_started", 4, channel="chat")
    assert [each["event_id"] for each in only([call, chat]).repeats] == [chat.event_id]
    assert only([call, happened("call_received", 4, channel="phone")]).repeats == ()
    assert only([call, happened("chat_started", 9, channel="chat")]).repeats == ()
    said = happened("information_repeated", 30, channel="phone")
    assert [each["channel"] for each in only([call, said]).repeats] == ["phone"]


def test_two_records_of_one_ticket_are_one_contact():
    opened = happened("ticket_opened", 1, channel="messaging", properties={"ticket": "T1"})
    chat = happened("chat_started", 1, channel="chat", properties={"ticket": "T1"})
    assert only([opened, chat]).repeats == ()


def test_an_answer_is_kept_with_the_position_at_that_time():
    answer = happened("nps_answered", 1.5, properties={"score": "9", "scale": 10}, channel="email")
    events = [happened("cart_added", 1), answer, happened("order_placed", 1.7)]
    assert only(events).feedback == (
        {
            "kind": "nps",
            "score": 9.0,
            "scale": 10.0,
            "stage": "buying",
            "channel": "email",
            "at": day(1.5),
            "event_id": answer.event_id,
        },
    )


# -- touches, what is seen, what it is worth -------------------------------------------------------


def test_touches_are_counted_by_stage_channel_and_type():
    events = [
        happened("product_viewed", 1, channel="web"),
        happened("product_viewed", 2, channel="web"),
        happened("product_viewed", 3),
        happened("cart_added", 4, channel="web"),
        happened("ad_seen", 4.1, channel="web"),
    ]
    record = only(events)
    assert record.touches == {
        "considering": {"web": {"product_viewed": 2}, "unknown": {"product_viewed": 1}},
        "buying": {"web": {"cart_added": 1, "ad_seen": 1}},
    }
    assert record.last_step["event_type"] == "cart_added"  # an impression is no step


def test_days_without_an_observed_touch_of_ours_are_dark():
    events = [
        happened("product_viewed", 0),
        happened("review_read", 3, visibility="earned", observability="reported"),
        happened("product_viewed", 9),
    ]
    record = only(events)
    assert record.visibility == {
        "owned": 2,
        "partner": 0,
        "earned": 1,
        "third_party": 0,
        "buyer_internal": 0,
        "observed": 2,
        "reported": 1,
        "inferred": 0,
        "dark_share": 0.8,
        "jumps": 1,
    }
    wider = only(events, defaults={"touch_window": "P4D"})
    assert wider.visibility["dark_share"] == 0.5
    assert only([happened("content_viewed", 1)]).visibility["jumps"] == 0
    jumped = only([happened("content_viewed", 0), happened("order_placed", 1)])
    assert jumped.visibility["jumps"] == len(jumped.stages_skipped) == 3


@pytest.mark.parametrize(
    ("events", "value"),
    [
        ([happened("product_viewed", 1, value="9")], None),
        ([happened("cart_added", 1, value="9.50", currency="EUR")], ("9.50", "EUR")),
        (
            [
                happened("opportunity_opened", 1, value="900", currency="EUR"),
                happened("opportunity_stage_changed", 2, properties={"stage": "contractsent"}),
                happened("cart_added", 3, value="5", currency="EUR"),
            ],
            ("900", "EUR"),
        ),
        (
            [
                happened("order_placed", 1, value="10.10", currency="EUR", source_key="a"),
                happened("order_placed", 2, value="5", currency="EUR", source_key="b"),
                happened("order_placed", 3, value="5", currency="EUR", source_key="b"),
            ],
            ("15.10", "EUR"),
        ),
        (
            [
                happened("opportunity_won", 1, value="100", currency="EUR"),
                happened("order_placed", 2, value="100", currency="EUR"),
                happened("renewed", 300, value="90", currency="EUR"),
            ],
            ("190", "EUR"),
        ),
    ],
)
def test_what_a_journey_is_worth(events, value):
    found = only(events).value
    assert found == (value and {"amount": value[0], "currency": value[1]})


def test_what_is_expected_of_the_stage_and_how_much_has_passed():
    events = [happened("product_viewed", 0)]
    for at, percentile in ((1, 0), (20, 75), (40, 90)):
        assert only(events, at=at).expected == {
            "p50_days": 7.0,
            "p90_days": 30.0,
            "percentile": percentile,
        }


def test_a_record_survives_the_store():
    record = only([happened("cart_added", 1, value="5"), ticket("opened", 2, "T1")])
    row = as_mapping(stage_row(record))
    assert row["roadblocks"][0]["since"] == "2026-01-03T00:00:00Z"
    assert row["touches"] == record.touches
    assert row["last_step"]["at"] == "2026-01-03T00:00:00Z"
    assert (row["goal"], row["repeats"], row["value"]) == (
        None,
        [],
        {"amount": "5", "currency": None},
    )
