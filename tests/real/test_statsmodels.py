"""Our intervals and tests are those of statsmodels, which runs in an environment of its own."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from journeys.statistics import benjamini_hochberg, difference, p_larger, wilson
from tests.pipes import ROOT

PYTHON = ROOT / ".venv-oracles/bin/python"
EXACT = 1e-9
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-oracles: make test-real"),
]


def cases() -> dict[str, Any]:
    dice = random.Random(5)
    pairs = []
    for _ in range(200):
        n, other_n = dice.randint(1, 400), dice.randint(1, 400)
        pairs.append([dice.randint(0, n), n, dice.randint(0, other_n), other_n])
    return {
        "wilson": [[hits, n, dice.choice([0.8, 0.95, 0.99])] for hits, n, _, _ in pairs],
        # without a spread on either side the z-test divides by nothing
        "difference": [pair for pair in pairs if 0 < pair[0] + pair[2] < pair[1] + pair[3]],
        "benjamini_hochberg": [
            [dice.random() ** 3 for _ in range(dice.randint(1, 60))] for _ in range(40)
        ],
    }


def test_intervals_and_adjusted_values_are_those_of_statsmodels():
    given = cases()
    script = Path(__file__).parent / "with_statsmodels.py"
    done = subprocess.run(
        [PYTHON, script], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    truth = json.loads(done.stdout)
    for case, bounds in zip(given["wilson"], truth["wilson"], strict=True):
        assert wilson(*case)[1:] == pytest.approx(bounds, abs=EXACT)
    for pair, bounds, p in zip(
        given["difference"], truth["difference"], truth["p_larger"], strict=True
    ):
        assert difference(*pair)[1:] == pytest.approx(bounds, abs=EXACT)
        assert p_larger(*pair) == pytest.approx(p, abs=EXACT)
    for p_values, adjusted in zip(
        given["benjamini_hochberg"], truth["benjamini_hochberg"], strict=True
    ):
        assert benjamini_hochberg(p_values) == pytest.approx(adjusted, abs=EXACT)
