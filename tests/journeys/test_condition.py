"""On track, slow and stalled, from what a category declares."""

from __future__ import annotations

from datetime import timedelta

import pytest

from journeys.condition import condition
from target_journeys.stage_model import load
from tests.journeys.events import day

MODEL = load(
    {
        "defaults": {"expected": {"considering": {"p50": "P10D", "p90": "P40D"}}},
        "categories": {
            "b2b": {"stalled_after": {"considering": "P100D"}},
            "b2b/software": {"expected": {"considering": {"p50": "P1D", "p90": "P2D"}}},
            "toys": {"expected": {"considering": {"p50": "PT0S", "p90": "PT2H"}}},
        },
    }
)


@pytest.mark.parametrize(
    ("path", "days", "name"),
    [
        (None, 0, "on_track"),
        (None, 20, "on_track"),
        (None, 21, "slow"),  # p75 of a log-normal with p50 10 and p90 40 is 20.7
        (None, 40, "stalled"),
        ("b2b", 40, "slow"),
        ("b2b", 100, "stalled"),
        ("b2b/software", 2, "slow"),
        ("b2b/software", 100, "stalled"),
        ("toys", 0.1, "stalled"),
        ("unheard of", 21, "slow"),
    ],
)
def test_time_in_a_stage_is_judged_by_the_category(path, days, name):
    found = condition(MODEL.category(path), "considering", day(0), day(days))
    assert found.name == name
    assert found.since <= day(days)
    assert found.next_check_at is None or found.next_check_at > day(days)


def test_a_stage_without_expectation_is_always_on_track():
    assert condition(MODEL.category(None), "using", day(0), day(9999)).name == "on_track"


def test_the_next_check_is_the_moment_of_the_change():
    first = condition(MODEL.category(None), "considering", day(0), day(1))
    assert (
        condition(MODEL.category(None), "considering", day(0), first.next_check_at).name == "slow"
    )
    just_before = first.next_check_at - timedelta(microseconds=1)
    assert condition(MODEL.category(None), "considering", day(0), just_before).name == "on_track"
