"""Documented limits are used nearly whole and never broken, as a limiter of others judges it."""

from __future__ import annotations

import pytest

from target_journeys.destinations import DESTINATIONS
from target_journeys.destinations.base import Rate
from target_journeys.pace import Pace
from tests.sandbox.limits import Bucket

RATES = sorted({rate for each in DESTINATIONS.values() for rate in each.rates})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_rate_is_kept_and_used(rate: Rate) -> None:
    clock = Clock()
    pace = Pace([rate], clock=clock, sleep=clock.sleep)
    bucket = Bucket("vendor", rate.requests, rate.per_s)
    refused = 0
    for _ in range(rate.requests * 20):
        pace.wait()
        if bucket.wait(clock.now, 1.0) > 0:
            refused += 1
        else:
            bucket.take(clock.now)
        clock.sleep(1e-5)
    share = bucket.requests / (bucket.allowed(1.0) + rate.requests)
    assert refused == 0
    assert share >= 0.95


def test_several_limits_hold_at_once() -> None:
    clock = Clock()
    pace = Pace([Rate(5, 1.0), Rate(8, 10.0)], clock=clock, sleep=clock.sleep)
    for _ in range(8):
        pace.wait()
    assert clock.now < 1003
    pace.wait()
    assert clock.now >= 1010
