"""Maps side by side: shares that moved beyond chance, and how far the ways have drifted."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2, chi2_contingency

from journeys.map_changes import changes, chi_square_tail, drift, g_of, jensen_shannon


def stage(name: str, progress: int, n: int, **lost: int) -> dict[str, Any]:
    share = {"value": progress / n if n else None, "low": 0, "high": 1, "n": n}
    empty: dict[str, Any] = {"conditions": {}, "promises": {}, "answers": {}}
    return {"stage": name, "progress": share, "lost": lost, **empty}


def drawn(*stages: dict[str, Any], flows: dict[tuple[str, str], int], bought: int, n: int) -> Any:
    share = {"value": bought / n, "low": 0, "high": 1, "n": n}
    return {
        "journeys": {"all": n, "outcomes": {"no_decision": n - bought, "won": bought}},
        "conversion": share,
        "retention": {"value": None, "low": 0, "high": 1, "n": 0},
        "stages": list(stages),
        "flows": [{"from": one, "to": to, "count": n} for (one, to), n in flows.items()],
    }


BEFORE = drawn(
    stage("considering", 600, 1000, no_decision=400),
    stage("buying", 500, 600, no_decision=100),
    flows={("considering", "buying"): 600, ("buying", "receiving"): 500},
    bought=500,
    n=1000,
)
AFTER = drawn(
    stage("considering", 610, 1000, no_decision=390),
    stage("buying", 250, 610, no_decision=360),
    flows={("considering", "buying"): 610, ("buying", "receiving"): 250},
    bought=250,
    n=1000,
)


def test_only_what_moved_beyond_chance_is_told_the_largest_first():
    found = changes(BEFORE, AFTER)
    assert [each.what for each in found] == [
        "progress of buying",
        "conversion",
        "ended as no_decision",
        "ended as won",
    ]
    buying = found[0]
    assert (buying.before, buying.after) == (500 / 600, 250 / 610)
    assert buying.low < buying.difference < buying.high < 0


def test_equal_maps_have_no_changes_and_do_not_drift():
    assert changes(BEFORE, BEFORE) == []
    same = drift(BEFORE, BEFORE)
    assert same is not None
    assert (same.divergence, same.g, same.p) == (0, 0, 1)


def test_drift_is_the_sum_over_stages_and_its_size_comes_with_it():
    found = drift(BEFORE, AFTER)
    assert found is not None
    tables = [[[600, 400], [610, 390]], [[500, 100], [250, 360]]]
    expected = sum(
        chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
        for table in tables
    )
    assert found.g == pytest.approx(expected, abs=1e-5)
    assert found.degrees == 2
    assert found.p == pytest.approx(chi2.sf(expected, 2), rel=1e-6)
    assert 0 < found.divergence < 1


def test_without_moves_nothing_can_be_said():
    nothing = drawn(flows={}, bought=0, n=1)
    assert drift(BEFORE, nothing) is None


@pytest.mark.parametrize("degrees", [1, 2, 5, 30, 200])
@pytest.mark.parametrize("x", [0.01, 0.5, 1, 3, 10, 60, 250])
def test_the_tail_of_chi_square_is_scipys(x, degrees):
    assert chi_square_tail(x, degrees) == pytest.approx(chi2.sf(x, degrees), rel=1e-8, abs=1e-15)


def test_divergence_and_statistic_are_scipys():
    one, other = [5, 0, 20, 3], [9, 4, 2, 0]
    expected = jensenshannon([x / 28 for x in one], [x / 15 for x in other], base=2) ** 2
    assert jensen_shannon(one, other) == pytest.approx(expected)
    table = chi2_contingency([one, other], correction=False, lambda_="log-likelihood")
    assert g_of((one, other)) == pytest.approx(table.statistic)
