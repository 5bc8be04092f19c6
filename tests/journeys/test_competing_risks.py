"""Competing risks: incidence by hand, when progress becomes unlikely, and what a store learns."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from journeys.competing_risks import PROGRESS, Chances, Stay, chances, incidence, shrunk
from journeys.fold import fold
from journeys.learning import learned, stays_of, taught
from journeys.model import Limits
from target_journeys.stage_model import load
from tests.journeys.events import day, happened


def test_incidence_by_hand():
    # five wait; day 1: one progresses; day 2: one is lost, one is still open; day 3: one progresses
    stays = [
        Stay(1, PROGRESS),
        Stay(2, "lost"),
        Stay(2, None),
        Stay(3, PROGRESS),
        Stay(4, None),
    ]
    found = incidence(stays)
    assert [point.day for point in found] == [1, 2, 3]
    assert [point.waiting for point in found] == pytest.approx([0.8, 0.6, 0.3])
    assert found[-1].incidence == pytest.approx({PROGRESS: 0.2 + 0.6 / 2, "lost": 0.2})


def test_ties_all_count_as_at_risk():
    found = incidence([Stay(1, PROGRESS), Stay(1, "lost"), Stay(1, None), Stay(2, PROGRESS)])
    assert found[0].incidence == pytest.approx({PROGRESS: 0.25, "lost": 0.25})
    assert found[1].incidence[PROGRESS] == pytest.approx(0.25 + 0.5)


def test_without_open_stays_incidence_is_the_plain_share():
    random.seed(3)
    stays = [Stay(random.expovariate(1), random.choice([PROGRESS, "lost"])) for _ in range(400)]
    last = incidence(stays)[-1]
    for kind in (PROGRESS, "lost"):
        share = sum(stay.kind == kind for stay in stays) / len(stays)
        assert last.incidence[kind] == pytest.approx(share, abs=1e-12)
    assert last.waiting == pytest.approx(0, abs=1e-12)


def test_losses_are_not_taken_for_still_waiting():
    """Kaplan-Meier with losses as censored would say that all progress in the end."""
    stays = [Stay(1, "lost")] * 5 + [Stay(2, PROGRESS)] * 5
    assert incidence(stays)[-1].incidence[PROGRESS] == pytest.approx(0.5)


def test_stalled_from_where_progress_has_become_unlikely():
    # Half progress on days 1 to 5; of the rest one does on day 40, and nine are lost on day 60.
    stays = [Stay(1 + number % 5, PROGRESS) for number in range(10)]
    stays += [Stay(40, PROGRESS), *[Stay(60, "lost")] * 9]
    found = chances(stays)
    # At the start 11 of 20 (0.55); after day 4, 3 of 12 (0.25 < 0.275).
    assert found == Chances(20, 11, stalled_days=4, slow_days=5, p50_days=3, p90_days=5)


def test_nothing_is_stalled_where_progress_stays_as_likely():
    assert chances([Stay(number, PROGRESS) for number in range(1, 30)]).stalled_days == 29
    assert chances([Stay(5, "lost")] * 30).stalled_days is None
    assert chances([]) == Chances(0, 0, None, None, None, None)


def test_few_stays_are_drawn_towards_the_parent():
    assert shrunk(10, 30, 20) == pytest.approx(20)
    assert shrunk(10, 30, 1_980) == pytest.approx(10.2)
    assert shrunk(None, 30, 500) == 30
    assert shrunk(10, None, 1) == 10


def test_a_category_learns_from_those_below_it_and_a_thin_one_from_those_above():
    model = load({"defaults": {"stall_rule": "learned"}})
    stays = [(("a/b", "considering"), Stay(number % 10 + 1, PROGRESS)) for number in range(200)]
    stays += [(("a/b", "considering"), Stay(30, "no_decision"))] * 50
    stays += [(("a/c", "considering"), Stay(2, PROGRESS))] * 3
    limits, dwells = learned(model, stays)
    assert set(limits) == {("a", "considering"), ("a/b", "considering")}
    assert timedelta(days=7) <= limits["a/b", "considering"].stalled <= timedelta(days=11)
    assert dwells["a", "considering"].p50 < dwells["a", "considering"].p90
    assert learned(model, stays, as_quantile=True)[0]["a", "considering"].stalled == timedelta(
        days=9
    )


def test_the_stall_rule_decides_whose_limits_hold():
    from journeys.catalogue import Catalogue
    from journeys.event import Product

    catalogue = Catalogue({"P": Product("P", category="a/b")})
    limits = {("a", "considering"): Limits(timedelta(days=1), timedelta(days=2))}
    events = [happened("product_viewed", 0)]
    for rule, word in (("declared", "on_track"), ("quantile", "stalled"), ("learned", "stalled")):
        model = taught(load({"defaults": {"stall_rule": rule}}), limits, {})
        (record,) = fold(model, events, catalogue=catalogue, as_of=day(3))
        assert record.condition == word
    untaught = load({"defaults": {"stall_rule": "learned"}})
    (record,) = fold(untaught, events, catalogue=catalogue, as_of=day(3))
    assert record.condition == "on_track"


def test_stays_of_a_journey():
    from journeys.catalogue import Catalogue
    from journeys.event import Product

    model = load("standard")
    catalogue = Catalogue({"P": Product("P", category="a")})
    events = [
        happened("product_viewed", 0),
        happened("cart_added", 2),
        happened("cart_removed", 2.25),
        happened("order_placed", 5),
    ]
    (record,) = fold(model, events, catalogue=catalogue, as_of=day(9))
    assert list(stays_of(record, model.rank, day(9))) == [
        (("a", "considering"), Stay(2.0, PROGRESS)),
        (("a", "buying"), Stay(0.25, "back")),
        (("a", "considering"), Stay(2.75, PROGRESS)),
        (("a", "receiving"), Stay(4.0, None)),
    ]
