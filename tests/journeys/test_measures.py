"""What one journey adds to the counters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from journeys.measures import (
    PERIODS,
    Counters,
    Journey,
    add,
    bucket_of,
    counting,
    edges,
    measures,
    told,
    window,
)
from target_journeys.stage_model import load

MODEL = load("standard")
MONTHLY = counting(MODEL, PERIODS["month"])
BOUGHT = Journey(
    "email:ana",
    "product",
    "P",
    1,
    "P",
    "shoes",
    "receiving",
    [
        ["considering", "2026-01-30T10:00:00Z", "e1", 1],
        ["buying", "2026-02-01T10:00:00Z", "e2", 1],
        ["receiving", "2026-02-01T10:30:00Z", "e3", 1],
    ],
    "on_track",
    None,
    None,
    "2026-01-30T10:00:00Z",
    "regular",
    touches={
        "considering": {"web": {"product_viewed": 3}},
        "buying": {"web": {"cart_added": 1}, "chat": {"chat_started": 1}},
    },
    value={"amount": "12.50", "currency": "EUR"},
)


def of(journey: Journey, name: str, **place: str) -> dict[str, int]:
    """Bucket → n of one name, in all channels unless said otherwise, without the product's sum."""
    wanted = {"stage": "", "channel": "", "product": ""} | place
    found: dict[str, int] = {}
    for counter, count in measures(journey, MONTHLY)[0].items():
        for key, n, _ in told(counter, count, 0):
            category, named, bucket, _, stage, channel, product, _ = key
            assert category == (journey.category or "")
            here = {"stage": stage, "channel": channel, "product": product}
            if named == name and wanted == here:
                found[bucket] = found.get(bucket, 0) + n
    return found


def test_every_stay_is_counted_where_and_when_it_began():
    found, _ = measures(BOUGHT, MONTHLY)
    periods = {key[4]: key[7] for key in found if key[1] in ("stay", "waiting")}
    assert periods == {"considering": "2026-01", "buying": "2026-02", "receiving": "2026-02"}
    assert {key[3] for key in found if not key[6]} == {"regular"}
    assert of(BOUGHT, "entered", stage="considering") == {"": 1}
    assert of(BOUGHT, "entered", stage="receiving") == {"": 1}
    assert of(BOUGHT, "left", stage="considering") == {"progress": 1}
    assert of(BOUGHT, "left", stage="receiving") == {}
    assert of(BOUGHT, "waiting", stage="receiving") == {"2026-02-01": 1}
    assert of(BOUGHT, "move", stage="considering") == {"considering>buying": 1}


def test_a_stay_counts_in_each_channel_that_touched_it_and_once_in_all():
    for channel in ("", "web", "chat"):
        assert of(BOUGHT, "left", stage="buying", channel=channel) == {"progress": 1}


def test_the_product_has_a_sum_of_its_own_over_personas_and_channels():
    keys = [key for key in measures(BOUGHT, MONTHLY)[0] if key[6]]
    assert {key[6] for key in keys} == {"P"}
    assert {(key[3], key[5]) for key in keys} == {("", "")}
    assert of(BOUGHT, "left", stage="buying", product="P") == {"progress": 1}


def test_going_back_is_no_progress_and_an_end_is_named():
    lost = BOUGHT._replace(
        path=[
            ["buying", "2026-01-01T00:00:00Z", "e1", 1],
            ["considering", "2026-01-02T00:00:00Z", "cart_abandoned", 1],
        ],
        stage="considering",
        outcome="no_decision",
        ended_at="2026-04-02T00:00:00Z",
        condition=None,
        touches={"buying": {"web": {"cart_added": 2}}},
    )
    assert of(lost, "left", stage="buying") == {"back": 1}
    assert of(lost, "left", stage="considering") == {"loss:no_decision": 1}
    assert of(lost, "dwell", stage="considering") == {f"loss|{bucket_of(90 * 86_400)}": 1}
    assert of(lost, "step", stage="buying", channel="web") == {"cart_added|loss|again": 1}
    assert of(lost, "journeys") == {"no_decision": 1}


def test_coming_further_once_is_progress_whatever_followed():
    returned = BOUGHT._replace(outcome="returned", ended_at="2026-03-01T00:00:00Z")
    assert of(returned, "step", stage="buying", channel="web") == {"cart_added|progress|once": 1}
    assert of(returned, "journeys") == {"returned|bought": 1}
    assert of(BOUGHT, "journeys") == {"open|bought": 1}


def test_the_worth_counts_once_in_each_counter():
    counters: Counters = {}
    calls = BOUGHT._replace(touches={"buying": {"phone": {"call_received": 4}}})
    add(counters, measures(calls, MONTHLY), 1)
    key = ("shoes", "contact", "call_received", "regular", "buying", "phone", "", "2026-02")
    assert counters[key] == [4, 125_000]
    assert of(BOUGHT, "value") == {"EUR": 1}


def test_what_was_added_is_taken_back_without_a_rest():
    counters: Counters = {}
    add(counters, measures(BOUGHT, MONTHLY), 1)
    add(counters, measures(BOUGHT, MONTHLY), -1)
    assert set(map(tuple, counters.values())) == {(0, 0)}


def test_occasions_count_at_their_own_moment_stage_and_channel():
    journey = BOUGHT._replace(
        promises=[
            {
                "promise": "first_reply",
                "stage": "using",
                "channel": "phone",
                "state": "missed",
                "started_at": "2026-03-05T00:00:00Z",
                "ended_at": "2026-03-05T01:00:00Z",
                "measured": 3600.0,
            }
        ],
        feedback=[
            {"kind": "nps", "score": 9.0, "scale": None, "stage": "using", "channel": None}
            | {"at": "2026-03-06T00:00:00Z", "event_id": "e9"},
            {"kind": "csat", "score": None, "scale": None, "stage": "using", "channel": None}
            | {"at": "2026-03-06T00:00:00Z", "event_id": "e8"},
        ],
        roadblocks=[
            {"type": "payment_failed", "owner": "us", "since": f"2026-02-0{day}T00:00:00Z"}
            | {"stage": "buying", "channel": "web", "event_id": "e7"}
            for day in (1, 2)
        ],
    )
    assert of(journey, "promise", stage="using", channel="phone") == {"first_reply|missed": 1}
    assert of(journey, "measured", stage="using", channel="phone") == {
        f"first_reply|{bucket_of(3600)}": 1
    }
    assert of(journey, "nps", stage="using", channel="unknown") == {"9": 1}
    assert of(journey, "csat", stage="using", channel="unknown") == {}  # no score, no answer
    assert of(journey, "roadblock", stage="buying", channel="web") == {"payment_failed|us": 1}


@pytest.mark.parametrize("length", [0, 0.5, 1, 1.5, 9.99, 10, 3600, 86_400, 3e8])
def test_a_length_lies_within_its_bucket(length):
    low, high = edges(bucket_of(length))
    assert low <= length <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("name", "period"), [("week", "2026-03-30"), ("month", "2026-04"), ("quarter", "2026-04")]
)
def test_a_moment_belongs_to_its_period(name, period):
    assert PERIODS[name]("2026-04-01T00:00:00Z") == period


def test_a_window_holds_its_first_moment_and_not_its_last():
    inside = window(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    assert [
        inside(moment)
        for moment in (
            "2026-03-31T23:59:59.5Z",
            "2026-04-01T00:00:00Z",
            "2026-04-30T23:59:59.999999Z",
            "2026-05-01T00:00:00Z",
        )
    ] == ["outside", "inside", "inside", "outside"]
