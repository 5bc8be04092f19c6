"""Reports of the source `ga4`: days, pages, quotas; and what the SDK tests of every tap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.testing import SuiteConfig
from singer_sdk.testing.runners import TapTestRunner
from singer_sdk.testing.suites import tap_stream_attribute_tests, tap_stream_tests, tap_tests
from tenacity import wait_fixed

from tap_journeys.sources import ga4_google, ga4_report, patience
from tap_journeys.tap import TapJourneys
from tests.sandbox.bigquery import BigQuery
from tests.sandbox.bigquery_world import Export, Row, event
from tests.sandbox.server import Sandbox
from tests.tap.running import command, last_state, records, run, wait_for_readers

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DAYS = 5  # days with events, up to yesterday
ITEMS = [{"item_id": "X1", "quantity": 2, "item_revenue": 9.5}, {"item_id": "Y1", "quantity": 1}]
VIEWS = {"name": "views", "metrics": ["eventCount", "activeUsers"]}
SALES = {"name": "sales", "dimensions": ["itemId"], "metrics": ["itemsPurchased", "itemRevenue"]}


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    with Sandbox("bigquery") as sandbox:
        sandbox.clock.set(NOW)
        sandbox.bigquery.limits.off = True
        yield sandbox.bigquery
        wait_for_readers()


@pytest.fixture
def export(bigquery: BigQuery) -> Export:
    export = bigquery.add_export("7")
    for ago in range(DAYS, 0, -1):
        at = NOW - timedelta(days=ago)
        export.stream(event(at, "purchase", items=ITEMS, user_pseudo_id="1.1"))
        export.close_day(f"{at:%Y%m%d}")
    export.stream(event(NOW, "purchase", items=ITEMS, user_pseudo_id="1.1"))
    return export


def config(bigquery: BigQuery, *reports: Row, **others: Any) -> dict[str, Any]:
    source = bigquery.tap_settings() | {"reports": list(reports), "project_id": None} | others
    since = (NOW - timedelta(days=DAYS)).isoformat()
    return {"sources": {"ga4": source}, "start_date": since}


def day(ago: int) -> str:
    return f"{NOW - timedelta(days=ago):%Y%m%d}"


def test_a_report_has_a_row_for_each_day_that_is_over(bigquery: BigQuery, export: Export) -> None:
    found = run(config(bigquery, VIEWS, SALES))
    told = {"currencyCode": "USD", "timeZone": "Etc/UTC"}
    assert records(found, "ga4_report_views") == [
        {"date": day(ago), "eventCount": 1, "activeUsers": 1, "metadata": told}
        for ago in range(DAYS, 0, -1)
    ]
    assert records(found, "ga4_report_sales")[:2] == [
        {"date": day(DAYS), "itemId": "X1", "itemsPurchased": 2, "itemRevenue": 9.5}
        | {"metadata": told},
        {"date": day(DAYS), "itemId": "Y1", "itemsPurchased": 1, "itemRevenue": 0}
        | {"metadata": told},
    ]


def test_the_last_days_are_read_again(bigquery: BigQuery, export: Export) -> None:
    state = last_state(run(config(bigquery, VIEWS)))
    kept = state["bookmarks"]["ga4_report_views"]["replication_key_value"]
    assert kept == (NOW - timedelta(days=1)).date().isoformat()
    at = NOW - timedelta(days=3)
    export.late(event(at, "page_view", user_pseudo_id="2.2"))
    found = records(run(config(bigquery, VIEWS), state))
    assert [(row["date"], row["eventCount"]) for row in found] == [
        (day(4), 1),
        (day(3), 2),
        (day(2), 1),
        (day(1), 1),
    ]


def test_a_report_has_pages(
    bigquery: BigQuery, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ga4_report, "ROWS", 1)
    found = records(run(config(bigquery, SALES)))
    assert [row["itemId"] for row in found] == ["X1", "Y1"] * DAYS


def test_what_a_report_leaves_out_stands_beside_its_rows(
    bigquery: BigQuery, export: Export
) -> None:
    export.late(event(NOW - timedelta(days=1), "page_view", user_pseudo_id="2.2"))
    bigquery.reports.threshold_users, bigquery.reports.sampled_share = 2, 0.5
    report = VIEWS | {"dimensions": ["eventName"]}
    assert records(run(config(bigquery, report))) == []
    bigquery.reports.threshold_users, bigquery.reports.most_rows = 0, 1
    last = records(run(config(bigquery, report)))[-2]
    assert (last["date"], last["eventName"]) == (day(1), "(other)")
    assert last["metadata"]["dataLossFromOtherRow"] is True
    assert last["metadata"]["samplingMetadatas"][0]["samplingSpaceSize"] == "7"


@pytest.mark.parametrize(
    ("quota", "sentence"),
    [
        ("tokensPerDay", "the property's tokens of this day are used up; run again tomorrow"),
        ("tokensPerProjectPerHour", "HTTP 429: a quota of the property; its bookmark stays"),
        ("potentiallyThresholdedRequestsPerHour", "HTTP 429: a quota of the property"),
    ],
)
def test_a_quota_that_is_used_up_ends_the_reports_but_not_the_events(
    bigquery: BigQuery,
    export: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quota: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(ga4_google, "until_next_hour_s", lambda headers: 1200.0)
    bigquery.quotas.refusals = [quota] * 50
    project = bigquery.tap_settings()["project_id"]
    done = command(tmp_path, config=config(bigquery, VIEWS, project_id=project))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stdout.count('"stream":"ga4_events","record"') == DAYS + 1


def test_a_quota_that_fills_up_soon_is_waited_for(
    bigquery: BigQuery, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ga4_google, "CONCURRENT_S", 0.05)
    monkeypatch.setattr(ga4_google, "until_next_hour_s", lambda headers: 0.1)
    bigquery.quotas.refusals = ["concurrentRequests", "tokensPerHour"] * 2
    assert len(records(run(config(bigquery, VIEWS)))) == DAYS


def test_the_hour_ends_by_the_clock_of_the_vendor() -> None:
    said = {"Date": "Wed, 04 Mar 2026 12:59:30 GMT"}
    assert ga4_google.until_next_hour_s(said) == 31


def test_server_errors_are_few_because_they_shut_us_out(
    bigquery: BigQuery, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "wait_random_exponential", lambda **_: wait_fixed(0.02))
    bigquery.faults.error_share, bigquery.faults.error_statuses = 1.0, (500,)
    bigquery.faults.in_a_row = 100
    done = command(tmp_path, config=config(bigquery, VIEWS, access_token="t") | token(bigquery))
    assert done.returncode == 1
    assert "too often; more of it would shut us out" in done.stderr
    assert bigquery.count(500) < 10 + ga4_report.AT_ONCE


def token(bigquery: BigQuery) -> dict[str, Any]:
    """A login that needs no further request."""
    login = {"access_token": bigquery.login.new_token(), "base_url": bigquery.url}
    return {"sources": {"ga4": {"property_id": "7", "reports": [VIEWS], **login}}}


@pytest.mark.parametrize(
    ("report", "property_id", "code", "sentence"),
    [
        ({"name": "a", "metrics": ["nothing"]}, "7", 1, "it does not know a dimension or metric"),
        (VIEWS, "8", 0, "lacks the scope Viewer (a role on the GA4 property)"),
    ],
)
def test_a_report_that_cannot_be_made_is_said(
    bigquery: BigQuery,
    export: Export,
    tmp_path: Path,
    report: Row,
    property_id: str,
    code: int,
    sentence: str,
) -> None:
    done = command(tmp_path, config=config(bigquery, report, property_id=property_id))
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr


def test_without_the_export_a_check_says_what_is_missing(
    bigquery: BigQuery, export: Export, tmp_path: Path
) -> None:
    done = command(tmp_path, "--test", config=config(bigquery, VIEWS))
    assert "warning ga4: no events are read: set `project_id` and link BigQuery" in done.stderr
    assert "ok      ga4_report_views: 1 row seen" in done.stderr


@pytest.mark.filterwarnings("ignore:No records were available")  # columns that are always null
def test_the_tests_of_the_sdk_pass(bigquery: BigQuery, export: Export) -> None:
    suite = SuiteConfig()
    project = bigquery.tap_settings()["project_id"]
    settings = config(bigquery, VIEWS, project_id=project)
    runner: Any = TapTestRunner(TapJourneys, config=settings, suite_config=suite)
    runner.sync_all()
    for test in tap_tests.tests:
        test().run(suite, None, runner)
    streams = runner.new_tap().streams
    assert set(runner.records) == set(streams)
    for stream in streams.values():
        found = [
            json.dumps([row[name] for name in stream.primary_keys])
            for row in runner.records[stream.name]
        ]
        assert len(set(found)) == len(found)
        for test in tap_stream_tests.tests:
            test().run(suite, None, runner, stream)
        for name, schema in stream.schema["properties"].items():
            for test in tap_stream_attribute_tests.tests:
                if test.evaluate(stream=stream, property_name=name, property_schema=schema):
                    test().run(suite, None, runner, stream, name)
