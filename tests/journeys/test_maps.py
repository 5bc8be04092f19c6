"""The map of a category, from the counters of a few journeys that can be counted by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from journeys.maps import draw, variants, within
from journeys.measures import PERIODS, Counters, Journey, add, counting, measures
from target_journeys.stage_model import load

MODEL = load("standard")
ORDER = [stage.name for stage in MODEL.stages]
HOW = counting(MODEL, PERIODS["month"])


def journey(number: int, *path: tuple[str, int], ended: tuple[str, int] | None = None, **more: Any):
    """A journey whose stages are entered on days of January; ``ended``: outcome, day."""
    visits = [
        [stage, f"2026-01-{day:02}T00:00:00Z", f"e{number}{n}", 1]
        for n, (stage, day) in enumerate(path)
    ]
    fields: dict[str, Any] = {
        "subject": f"email:{number}",
        "scope_grain": "product",
        "scope_id": "P",
        "episode": 1,
        "product": "P",
        "category": "shoes",
        "stage": path[-1][0],
        "path": visits,
        "condition": None if ended else "on_track",
        "outcome": ended and ended[0],
        "ended_at": ended and f"2026-01-{ended[1]:02}T00:00:00Z",
        "first_event_at": visits[0][1],
        "persona": None,
    }
    return Journey(**fields | more)


def drawn(*journeys: Journey) -> dict[str, Any]:
    counters: Counters = {}
    for each in journeys:
        add(counters, measures(each, HOW), 1)
    return draw(((key, n) for key, (n, _) in counters.items()), ORDER)


BOUGHT = journey(1, ("considering", 1), ("buying", 3), ("receiving", 3), ("using", 8))
LOST = journey(2, ("considering", 1), ended=("no_decision", 11))
OPEN = journey(3, ("considering", 2))
RETURNED = journey(4, ("considering", 1), ("receiving", 5), ended=("returned", 9))


def stage(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = (each for each in found["stages"] if each["stage"] == name)
    return one


def test_journeys_are_counted_by_how_they_stand_and_ended():
    found = drawn(BOUGHT, LOST, OPEN, RETURNED)
    assert found["journeys"] == {
        "all": 4,
        "open": 2,
        "bought": 2,
        "outcomes": {"no_decision": 1, "returned": 1},
    }


def test_what_is_open_is_no_failure_to_convert_and_a_return_is_not_kept():
    found = drawn(BOUGHT, LOST, OPEN, RETURNED)
    assert (found["conversion"]["value"], found["conversion"]["n"]) == (0.6667, 3)
    assert (found["retention"]["value"], found["retention"]["n"]) == (0.5, 2)


def test_each_stage_says_who_came_who_went_on_and_who_is_still_there():
    considering = stage(drawn(BOUGHT, LOST, OPEN, RETURNED), "considering")
    assert considering["entered"] == 4
    assert considering["open"] == 1
    assert considering["lost"] == {"no_decision": 1}
    assert (considering["progress"]["value"], considering["progress"]["n"]) == (0.6667, 3)
    assert considering["dwell_days"]["n"] == 2
    assert 2 * 0.6 < considering["dwell_days"]["p50"] < 4 * 1.5  # buckets differ by half


def test_flows_lead_from_stage_to_stage():
    flows = drawn(BOUGHT, RETURNED)["flows"]
    assert {(each["from"], each["to"]): each["count"] for each in flows} == {
        ("considering", "buying"): 1,
        ("considering", "receiving"): 1,
        ("buying", "receiving"): 1,
        ("receiving", "using"): 1,
    }


def test_the_commonest_way_comes_with_the_share_that_took_it():
    found = drawn(LOST, OPEN, BOUGHT, RETURNED)["variants"]
    assert found["most"][0]["stages"] == ["considering"]
    assert (found["representativeness"], found["near"], found["distinct"]) == (0.5, 0.75, 3)


def test_promises_answers_and_pains_stand_where_they_happened():
    using = journey(
        5,
        ("considering", 1),
        ("using", 2),
        touches={"using": {"chat": {"chat_started": 1}}},
        promises=[
            {
                "promise": "first_reply",
                "stage": "using",
                "channel": "chat",
                "state": state,
                "started_at": "2026-01-02T00:00:00Z",
            }
            for state in ("kept", "missed", "open")
        ],
        feedback=[
            {
                "kind": "csat",
                "score": score,
                "scale": 5,
                "stage": "using",
                "channel": "chat",
                "at": "2026-01-02T00:00:00Z",
            }
            for score in (5, 1)
        ],
    )
    found = stage(drawn(using), "using")
    promise = found["promises"]["first_reply"]
    assert (promise["kept"], promise["missed"], promise["open"]) == (1, 1, 1)
    assert (promise["value"], promise["n"]) == (0.5, 2)  # what is open is not judged
    assert found["answers"]["csat"]["value"] == 0.5
    pains = {(each["kind"], each["what"]): each["count"] for each in found["pain_points"]}
    assert pains == {("promise", "first_reply"): 1, ("feedback", "csat"): 1}


def test_what_was_not_seen_is_said():
    seen = {
        "owned": 3,
        "third_party": 1,
        "observed": 2,
        "reported": 2,
        "dark_share": 0.8,
        "jumps": 2,
    }
    found = drawn(BOUGHT._replace(visibility=seen), OPEN)["visibility"]
    assert found["dark_share"] == 0.8
    assert found["jumps"] == 2
    assert found["events"]["third_party"] == 1
    assert (found["censored"]["value"], found["censored"]["n"]) == (0.4, 5)


def test_of_nothing_there_is_an_empty_map():
    found = drawn()
    assert found["journeys"]["all"] == 0
    assert found["conversion"]["value"] is None
    assert found["stages"] == found["flows"] == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("abc", "abc", True), ("abc", "ac", True), ("abc", "axc", True), ("abc", "cba", False)],
)
def test_ways_are_near_when_one_stage_makes_the_difference(one, other, expected):
    assert within(one, other, 1) is expected


def test_variants_of_equal_count_are_in_a_fixed_order():
    assert variants(Counter({"b": 2, "a": 2}))["most"][0]["stages"] == ["a"]
