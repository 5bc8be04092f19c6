"""Promises: each occasion is kept, missed or still open, with the events behind it."""

from __future__ import annotations

from typing import Any

import pytest

from journeys.fold import fold
from journeys.record import StageRecord
from target_journeys.stage_model import StageModelError, load
from tests.journeys.events import day, happened, ticket


def told(
    promise: dict[str, Any], events: list[Any], at: float = 100.0, **model: Any
) -> StageRecord:
    settings = {"defaults": {"promises": {"it": promise}}} | model
    return fold(load(settings), events, as_of=day(at))[-1]


def states(promise: dict[str, Any], events: list[Any], at: float = 100.0) -> list[str]:
    return [each["state"] for each in told(promise, events, at).promises]


REPLY = {"metric": "first_reply", "within": "P1D"}
SOLVED = {"metric": "resolution", "within": "P2D"}


def test_an_occasion_tells_when_it_was_due_and_what_shows_it():
    opened = ticket("opened", 1, "T1")
    solved = ticket("resolved", 2.5, "T1")
    (each,) = told(SOLVED, [opened, solved]).promises
    assert each == {
        "promise": "it",
        "stage": "using",
        "channel": None,
        "state": "kept",
        "started_at": day(1),
        "due_at": day(3),
        "ended_at": day(2.5),
        "measured": 1.5 * 24 * 60,
        "event_ids": [opened.event_id, solved.event_id],
    }


@pytest.mark.parametrize(
    ("end", "at", "state"),
    [(3, 100, "kept"), (3.01, 100, "missed"), (None, 2.9, "open"), (None, 3, "missed")],
)
def test_kept_at_the_latest_when_due_and_open_until_then(end, at, state):
    events = [ticket("opened", 1, "T1")]
    if end is not None:
        events.append(ticket("resolved", end, "T1"))
    assert states(SOLVED, events, at) == [state]


def test_an_open_promise_is_looked_at_again_when_it_is_due():
    record = told(SOLVED, [ticket("opened", 1, "T1")], at=1)
    assert record.next_check_at == day(3)
    assert told(SOLVED, [ticket("opened", 1, "T1")], at=3).valid_as_of == day(3)


def test_each_ticket_is_an_occasion_of_its_own():
    events = [
        ticket("opened", 1, "T1"),
        ticket("opened", 2, "T2"),
        ticket("resolved", 2.5, "T2"),
        ticket("resolved", 9, "T1"),
    ]
    assert states(SOLVED, events) == ["missed", "kept"]


def test_a_reopened_ticket_was_not_resolved():
    events = [
        ticket("opened", 1, "T1"),
        ticket("resolved", 2, "T1"),
        ticket("reopened", 2.5, "T1"),
    ]
    assert states(SOLVED, events, at=2.75) == ["open"]
    assert states(SOLVED, [*events, ticket("closed", 2.9, "T1")]) == ["kept"]
    assert states(SOLVED, [*events, ticket("closed", 5, "T1")]) == ["missed"]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (happened("message_sent", 1.5, properties={"ticket": "T1"}), "kept"),
        (ticket("updated", 1.5, "T1", status="pending"), "kept"),
        (ticket("updated", 1.5, "T1", status="hold"), "missed"),
        (ticket("resolved", 1.5, "T1"), "kept"),
        (ticket("resolved", 8, "T1", first_reply_minutes=30), "kept"),
        (happened("message_sent", 1.5, properties={"ticket": "T9"}), "missed"),
    ],
)
def test_what_counts_as_a_first_reply(event, state):
    assert states(REPLY, [ticket("opened", 1, "T1"), event]) == [state]


def test_delivery_is_due_by_the_first_date_that_was_promised():
    order = happened("order_placed", 1, properties={"order": "O1"})
    shipped = happened("order_shipped", 2, properties={"order": "O1", "promised_on": "2026-01-06"})
    later = happened("delivery_delayed", 4, properties={"order": "O1", "promised_on": "2026-01-20"})
    delivered = happened("order_delivered", 8, properties={"order": "O1"})
    record = told({"metric": "delivery"}, [order, shipped, later, delivered])
    assert [(each["state"], each["due_at"]) for each in record.promises] == [("missed", day(6))]
    assert states({"metric": "delivery"}, [order]) == []
    cancelled = happened("order_cancelled", 3, properties={"order": "O1"})
    assert states({"metric": "delivery"}, [order, shipped, cancelled]) == []


def test_scores_and_waits_are_kept_or_missed_at_once():
    scores = [happened("csat_answered", n, properties={"score": n}) for n in (3, 4, 5)]
    events = [happened("feature_used", 0), *scores]
    assert states({"metric": "csat", "at_least": 4}, events) == ["missed", "kept", "kept"]
    waits = [happened("pickup_waited", n, properties={"wait_minutes": n * 5}) for n in (1, 2, 3)]
    promise = {"metric": "pickup_wait", "within": "PT10M"}
    events = [happened("order_placed", 0), *waits]
    assert states(promise, events) == ["kept", "kept", "missed"]


def test_contacts_to_resolve_are_too_many_at_once_and_few_enough_only_at_the_end():
    promise = {"metric": "contacts_to_resolve", "at_most": 1}
    opened = ticket("opened", 1, "T1")
    assert states(promise, [opened]) == ["open"]
    assert states(promise, [opened, ticket("resolved", 2, "T1")]) == ["kept"]
    call = happened("call_received", 1.5, properties={"ticket": "T1"})
    assert states(promise, [opened, call]) == ["missed"]
    reopened = [ticket("resolved", 2, "T1"), ticket("reopened", 3, "T1")]
    assert states(promise, [opened, *reopened]) == ["missed"]


def test_no_repeat_is_kept_once_the_window_has_passed():
    call = happened("call_received", 1, channel="phone")
    assert states({"metric": "no_repeat"}, [call], at=7) == ["open"]
    assert states({"metric": "no_repeat"}, [call], at=8) == ["kept"]
    chat = happened("chat_started", 3, channel="chat")
    assert states({"metric": "no_repeat"}, [call, chat]) == ["missed", "kept"]


def test_promises_of_ones_own():
    events = [
        happened("quote_requested", 1),
        happened("content_viewed", 2),
        happened("content_viewed", 2.5),
        happened("quote_sent", 3),
    ]
    quick = {"from": "quote_requested", "to": "quote_sent", "within": "P3D"}
    assert states(quick, events) == ["kept"]
    easy = {"from": "quote_requested", "to": "quote_sent", "count": "content_viewed"}
    assert states(easy | {"at_most": 1}, events) == ["missed"]
    assert states(easy | {"at_most": 2}, events) == ["kept"]
    used = {"from": "feature_used", "to": "feature_used", "within": "P7D"}
    weekly = [happened("feature_used", at) for at in (1, 6, 20)]
    assert states(used, weekly, at=21) == ["kept", "missed", "open"]


def test_whom_a_promise_is_made_to():
    urgent = ticket("opened", 1, "T1", priority="High")
    usual = ticket("opened", 1, "T2", priority="low")
    web = happened("ticket_opened", 1, channel="web", properties={"ticket": "T3"})
    for scope, count in (
        ({"priority": ["high"]}, 1),
        ({"channel": "web"}, 1),
        ({"stage": "using"}, 3),
        ({"stage": ["buying"]}, 0),
    ):
        assert len(states(SOLVED | {"scope": scope}, [urgent, usual, web])) == count


def test_a_promise_to_a_persona_is_not_made_to_others():
    personas = {"boss": {"when": {"title": "CEO"}}}
    events = [ticket("opened", 1, "T1")]
    promise = SOLVED | {"scope": {"persona": "boss"}}
    assert told(promise, events, personas=personas).promises == ()
    profile = happened("profile_observed", 0, None, properties={"title": "CEO"})
    assert len(told(promise, [profile, *events], personas=personas).promises) == 1


def test_a_category_changes_or_drops_what_is_promised_above_it():
    model = load(
        {
            "defaults": {"promises": {"reply": REPLY, "solved": SOLVED}},
            "categories": {"a": {"promises": {"reply": {"within": "PT1H"}, "solved": None}}},
        }
    )
    (reply,) = model.category("a/b").owed
    assert (reply.name, reply.within.total_seconds()) == ("reply", 3600)
    assert len(model.category("c").owed) == 2


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ({"metric": "resolution"}, "promises.it: nothing is promised. Say within"),
        ({"metric": "csat"}, "promises.it: nothing is promised. Say at_least or at_most"),
        ({"from": "csat_answered", "at_least": 4}, "promises.it: nothing is measured"),
        ({"from": "nothing", "to": "renewed", "within": "P1D"}, "event type 'nothing' is unknown"),
        ({"metric": "csat", "to": "renewed"}, "`metric` and `to` exclude each other"),
        (REPLY | {"scope": {"stage": "ready"}}, "promises.it.scope: stage 'ready' is unknown"),
    ],
)
def test_a_promise_that_cannot_be_missed_is_refused(promise, message):
    with pytest.raises(StageModelError, match=r"stage_model\.defaults") as refused:
        load({"defaults": {"promises": {"it": promise}}})
    assert message in str(refused.value)
