"""Cumulative incidence equals that of lifelines' Aalen-Johansen, on data without ties."""

from __future__ import annotations

import json
import random
import subprocess

import pytest

from journeys.competing_risks import PROGRESS, Stay, incidence
from tests.pipes import ROOT

PYTHON = ROOT / ".venv-oracles/bin/python"
SCRIPT = """
import json, sys
from lifelines import AalenJohansenFitter
days, kinds = json.load(sys.stdin)
found = {}
for kind in (1, 2):
    fitter = AalenJohansenFitter(calculate_variance=False).fit(days, kinds, event_of_interest=kind)
    series = fitter.cumulative_density_.iloc[:, 0]
    found[kind] = [series.loc[:day].iloc[-1] for day in days]
print(json.dumps(found))
"""
KINDS = {None: 0, PROGRESS: 1, "lost": 2}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-oracles: make test-real"),
]


@pytest.mark.parametrize("seed", range(3))
def test_incidence_equals_aalen_johansen(seed):
    moments = random.Random(seed)
    stays = [
        Stay(moments.expovariate(0.05), moments.choice([None, PROGRESS, PROGRESS, "lost"]))
        for _ in range(1_000)
    ]
    given = [[stay.days for stay in stays], [KINDS[stay.kind] for stay in stays]]
    done = subprocess.run(
        [str(PYTHON), "-c", SCRIPT], input=json.dumps(given), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    points = incidence(stays)
    for kind, code in ((PROGRESS, "1"), ("lost", "2")):
        for stay, expected in zip(stays, theirs[code], strict=True):
            ours = [point.incidence.get(kind, 0.0) for point in points if point.day <= stay.days]
            assert (ours or [0.0])[-1] == pytest.approx(expected, abs=1e-9)
