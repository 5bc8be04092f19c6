"""Intervals and tests, against values worked out by hand, by scipy and by statsmodels 0.14."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from journeys.measures import bucket_of
from journeys.statistics import (
    above,
    benjamini_hochberg,
    difference,
    mean,
    nps,
    p_above,
    p_larger,
    prior_strength,
    quantile,
    shrunk,
    student,
    wilson,
)


def test_wilson_at_eight_of_ten():
    # (8/10 + z²/20 ± z √(0.16/10 + z²/400)) / (1 + z²/10), z = 1.959964
    found = wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4901624715, 0.9433178485), abs=1e-9)


def test_nothing_is_known_of_nothing():
    assert wilson(0, 0) == (0.0, 0.0, 1.0)
    assert nps(0, 0, 0) == (0.0, -100.0, 100.0)
    assert mean([]) is None
    assert quantile([], 0.5) is None


def test_nps_by_hand():
    # 50 promoters, 20 detractors of 100: (50.75 - 20.75) / 103 = 0.291262; the variance is
    # (71.5/103 - 0.291262²) / 103, its root 0.076920, times 1.959964.
    found = nps(50, 20, 100)
    assert found.value == 30
    middle = 100 * 30 / 103
    reach = 100 * 1.959963985 * math.sqrt((71.5 / 103 - (30 / 103) ** 2) / 103)
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach), abs=1e-6)
    assert (found.low, found.high) == pytest.approx((14.0511, 44.2012), abs=1e-4)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 30, 299])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_quantile_of_student_is_scipy_s(degrees, confidence):
    assert student(confidence, degrees) == pytest.approx(
        stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-9
    )


def test_a_mean_has_student_s_interval():
    scores = [5, 4, 4, 3, 1]
    found = mean([(5, 1), (4, 2), (3, 1), (1, 1)])
    truth = stats.t.interval(0.95, 4, loc=3.4, scale=stats.sem(scores))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((3.4, *truth))


def test_a_difference_by_newcombe():
    # The example of his paper (1998, method 10): 56/70 - 48/80, 0.0524 to 0.3339.
    found = difference(56, 70, 48, 80)
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_and_hochberg_are_those_of_scipy(p_values):
    assert benjamini_hochberg(p_values) == pytest.approx(
        list(stats.false_discovery_control(p_values)), abs=1e-12
    )


def test_a_larger_share_by_the_pooled_z_test():
    # statsmodels: proportions_ztest([56, 48], [70, 80], alternative="larger")
    assert p_larger(56, 70, 48, 80) == pytest.approx(0.0040, abs=1e-4)
    assert p_larger(48, 80, 56, 70) == pytest.approx(1 - 0.0040, abs=1e-4)
    assert p_larger(0, 50, 0, 50) == 1.0
    assert p_above(20, 100, 0.1) == pytest.approx(stats.norm.sf(0.1 / math.sqrt(0.09 / 100)))


def test_groups_that_differ_by_chance_alone_are_drawn_all_the_way():
    assert math.isinf(prior_strength([(10, 100), (10, 100), (10, 100)]))
    assert shrunk(4, 5, 0.1, math.inf) == 0.1


def test_groups_that_differ_are_drawn_by_their_size():
    strength = prior_strength([(5, 100), (30, 100), (10, 100), (55, 100)])
    assert 1 < strength < 50
    small, large = shrunk(4, 5, 0.25, strength), shrunk(800, 1000, 0.25, strength)
    assert 0.25 < small < large < 0.8


def test_prior_strength_recovers_that_of_a_beta_binomial():
    draws = stats.betabinom.rvs(200, 4, 16, size=400, random_state=7)
    strength = prior_strength((float(hits), 200.0) for hits in draws)
    assert strength == pytest.approx(20, rel=0.15)


def test_quantiles_of_buckets_are_near_those_of_the_lengths():
    lengths = stats.lognorm.rvs(1.2, scale=50_000, size=20_000, random_state=3)
    buckets: dict[int, int] = {}
    for length in lengths:
        buckets[bucket_of(length)] = buckets.get(bucket_of(length), 0) + 1
    for share in (0.1, 0.5, 0.9):
        truth = sorted(lengths)[int(share * len(lengths))]
        assert quantile(buckets.items(), share) == pytest.approx(truth, rel=0.05)
        beyond = above(buckets.items(), truth)
        assert beyond == pytest.approx((1 - share) * len(lengths), rel=0.1)
