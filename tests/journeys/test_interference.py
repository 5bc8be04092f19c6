"""Trouble on one product and progress on another: cut by hand, and a planted slow-down found."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from journeys.interference import Own, Stay, Strata, effects, expose, pieces, union

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def stay(since: float, until: float, *, went_on: bool = True) -> Stay:
    return Stay("shoes", "considering", day(since), day(until), went_on)


def test_overlapping_troubles_are_one():
    assert union([(day(3), day(5)), (day(1), day(4)), (day(7), day(8)), (day(9), day(9))]) == [
        (day(1), day(5)),
        (day(7), day(8)),
    ]


def test_a_stay_is_cut_where_trouble_begins_and_ends():
    found = list(pieces(stay(0, 10), [(day(2), day(4)), (day(9), day(20))]))
    assert found == [
        (day(0), day(2), False),
        (day(2), day(4), True),
        (day(4), day(9), False),
        (day(9), day(10), True),
    ]


def test_own_trouble_does_not_count_and_time_is_counted_by_age():
    strata: Strata = {}
    shoes = Own([stay(0, 5)], [(day(0), day(5))])
    printer = Own([], [(day(2), day(4))])
    expose(strata, [shoes, printer])
    days = {key[2]: each.days for key, each in strata.items()}
    assert days == {0: [1.0, 0.0], 1: [1.0, 1.0], 2: [1.0, 1.0]}
    assert {key[2]: each.went_on for key, each in strata.items()}[2] == [1, 0]


def test_a_planted_slow_down_is_found_and_no_effect_is_none():
    chance = random.Random(7)
    for slow, expected in ((0.4, 0.4), (1.0, 1.0)):
        strata: Strata = {}
        for _ in range(4_000):
            troubled = chance.random() < 0.5
            length = chance.expovariate(0.1 * (slow if troubled else 1))
            end = min(length, 60)
            trouble = [(day(0), day(100))] if troubled else []
            expose(strata, [Own([stay(0, end, went_on=length < 60)], []), Own([], trouble)])
        (found,) = effects(strata)
        assert found.low < expected < found.high
        assert found.ratio == pytest.approx(expected, rel=0.1)


def test_without_both_kinds_there_is_nothing_to_compare():
    strata: Strata = {}
    expose(strata, [Own([stay(0, 5)], [])])
    assert effects(strata) == []
