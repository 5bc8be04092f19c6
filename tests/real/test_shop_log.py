"""A shop's log with planted incidents, documented by its makers: the analysis finds them unaided.

The log lies in the wheel of retentioneering, which is installed beside and never imported.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.pipes import ROOT, Pipe

LOG = ROOT / ".shop-log/retentioneering/datasets/ecom.csv.gz"
SESSIONS = 3_605
STEPS = ["checkout_started", "checkout_step_completed", "order_placed"]  # cart, shipping, purchase
TOP = 3
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not LOG.exists(), reason="the wheel could not be fetched: make test-real"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Pipe]:
    pipe = Pipe(
        tmp_path_factory.mktemp("shop"),
        sources={"files": {"streams": [{"name": "shop_log", "path": str(LOG)}]}},
        rules_files=[str(ROOT / "tests/rules/shop_log.yml")],
        stage_model={"categories": {"electronics": {"funnels": {"checkout": STEPS}}}},
        as_of="2025-01-01T00:00:00Z",
    )
    pipe.run()
    yield pipe


def gaps(shop: Pipe, *options: str) -> list[dict[str, Any]]:
    words = ["gaps", "--config", str(shop.config), "--json", "--limit", "0", *options]
    return json.loads(CliRunner().invoke(main, words, catch_exceptions=False).output)


def test_the_published_funnel_comes_out_exactly(shop):
    (sessions,) = shop.ask(
        "select sum(n) from measure_sums where name = 'journeys' and product = ''"
    )[0]
    assert sessions == SESSIONS
    reached: Counter[str] = Counter()
    for bucket, n in shop.ask(
        "select bucket, sum(n) from measure_sums where name = 'funnel' group by 1"
    ):
        reached[bucket.split("|")[2]] += n
    assert [round(100 * reached[step] / sessions, 1) for step in STEPS] == [28.3, 14.2, 4.8]


def test_the_payment_incident_is_among_the_top_three_of_its_period(shop):
    found = gaps(shop, "--from", "2024-05-19", "--to", "2024-06-08")
    assert [
        gap
        for gap in found[:TOP]
        if (gap["type"], gap["stage"], gap["topic"]) == ("drop_off", "buying", "payment_entered")
        and not gap["channel"]  # it struck on all platforms
        and gap["reference_from"] == "other periods"
    ], found[:TOP]


def test_the_mobile_checkout_incident_is_among_the_top_three_of_its_period(shop):
    found = gaps(shop, "--from", "2024-04-09", "--to", "2024-05-10")
    assert [
        gap
        for gap in found[:TOP]
        if (gap["stage"], gap["channel"], gap["type"]) == ("buying", "mobile", "detour")
    ], found[:TOP]


def test_a_gap_leads_to_its_sessions_and_their_events(shop):
    window = ("--from", "2024-05-19", "--to", "2024-06-08")
    worst = gaps(shop, *window)[0]
    words = ["explain", "--gap", worst["gap_id"], "--config", str(shop.config), "--json"]
    result = CliRunner().invoke(main, [*words, "--limit", "0", *window], catch_exceptions=False)
    found = json.loads(result.output)
    assert found["total"] == len(found["journeys"]) == worst["hits"]
    for journey in found["journeys"]:
        at = {event["occurred_at"][:10] for event in journey["events"]}
        assert at and min(at) >= "2024-05-19" and max(at) <= "2024-06-08"
        assert "payment_entered" in {event["event_type"] for event in journey["events"]}
