"""The sandbox's Data API of GA4 counts what the export holds, within quotas that the body tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.sandbox.bigquery import BigQuery
from tests.sandbox.bigquery_world import Export, event
from tests.sandbox.google_api import Google

FIRST = datetime(2026, 3, 1, 9, tzinfo=UTC)
ITEMS = [
    {"item_id": "X1", "quantity": 2, "item_revenue": 1200.0},
    {"item_id": "Y1", "quantity": 1, "item_revenue": 9.5},
]


@pytest.fixture
def export(bigquery: BigQuery) -> Export:
    """Two people, three days, one purchase of two products; the last day is not closed."""
    export = bigquery.add_export("7")
    for day in range(3):
        for person in ("1.1", "2.2")[: day + 1]:
            values: dict[str, Any] = {"user_pseudo_id": person, "user": {"account_id": "a-1"}}
            params = {"ga_session_id": day, "page_location": "https://shop.test/p/x1?a=b"}
            at = FIRST + timedelta(days=day)
            export.stream(event(at, "page_view", params=params, **values))
    sold = {"transaction_id": "T-1", "purchase_revenue": 1209.5}
    export.stream(event(FIRST, "purchase", items=ITEMS, ecommerce=sold, user_pseudo_id="1.1"))
    for date in ("20260301", "20260302"):
        export.close_day(date)
    return export


def table(answer: requests.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return [
        [value["value"] for value in row["dimensionValues"] + row["metricValues"]]
        for row in answer.json().get("rows", [])
    ]


@pytest.mark.parametrize(
    ("dimensions", "metrics", "rows"),
    [
        (
            ["date"],
            ["eventCount", "activeUsers"],
            [["20260301", "2", "1"], ["20260302", "2", "2"], ["20260303", "2", "2"]],
        ),
        (["eventName"], ["sessions"], [["page_view", "5"], ["purchase", "0"]]),
        (["itemId"], ["itemsPurchased", "itemRevenue"], [["X1", "2", "1200"], ["Y1", "1", "9.5"]]),
        (["transactionId"], ["purchaseRevenue"], [["(not set)", "0"], ["T-1", "1209.5"]]),
        (["pagePath"], ["screenPageViews"], [["(not set)", "0"], ["/p/x1", "5"]]),
        (["customUser:account_id"], ["eventCount"], [["(not set)", "1"], ["a-1", "5"]]),
        ([], ["totalUsers"], [["2"]]),
    ],
    ids=str,
)
def test_a_report_counts(
    google: Google, export: Export, dimensions: list[str], metrics: list[str], rows: Any
) -> None:
    assert table(google.report("7", dimensions=dimensions, metrics=metrics)) == rows


def test_a_report_has_pages_by_offset(google: Google, export: Export) -> None:
    asked: dict[str, Any] = {"dimensions": ["date"], "metrics": ["eventCount"], "limit": "2"}
    pages = [google.report("7", offset=str(offset), **asked) for offset in (0, 2, 4)]
    assert [len(table(page)) for page in pages] == [2, 1, 0]
    assert [page.json()["rowCount"] for page in pages] == [3, 3, 3]
    assert "rows" not in pages[2].json()


def test_a_report_is_narrowed_and_ordered(google: Google, export: Export) -> None:
    views = {"fieldName": "eventName", "stringFilter": {"value": "page_view"}}
    not_views = {"notExpression": {"filter": views}}
    one = {"fieldName": "eventName", "inListFilter": {"values": ["PURCHASE"]}}
    both = {"andGroup": {"expressions": [not_views, {"filter": one}]}}
    asked: dict[str, Any] = {"dimensions": ["date"], "metrics": ["eventCount"]}
    assert table(google.report("7", dimensionFilter=both, **asked)) == [["20260301", "1"]]
    last = [{"dimension": {"dimensionName": "date"}, "desc": True}]
    assert table(google.report("7", orderBys=last, **asked))[0][0] == "20260303"
    days = [{"startDate": "yesterday", "endDate": "today"}]
    assert [row[0] for row in table(google.report("7", dateRanges=days, **asked))] == ["20260303"]


def test_a_report_says_what_is_missing(bigquery: BigQuery, google: Google, export: Export) -> None:
    asked: dict[str, Any] = {"dimensions": ["date"], "metrics": ["eventCount"]}
    bigquery.reports.threshold_users = 2
    answer = google.report("7", **asked)
    assert [row[0] for row in table(answer)] == ["20260302", "20260303"]
    assert answer.json()["metadata"]["subjectToThresholding"] is True
    bigquery.reports.threshold_users, bigquery.reports.most_rows = 0, 1
    asked["dimensions"] = ["eventName"]
    told = google.report("7", **asked)
    assert [row[0] for row in table(told)] == ["(other)", "page_view"]
    assert told.json()["metadata"]["dataLossFromOtherRow"] is True
    bigquery.reports.sampled_share = 0.5
    sample = google.report("7", **asked).json()["metadata"]["samplingMetadatas"]
    assert sample == [{"samplesReadCount": "3", "samplingSpaceSize": "6"}]


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"metrics": ["nothing"]}, 400, "nothing is not a valid metric"),
        ({"dimensions": ["nothing"]}, 400, "nothing is not a valid dimension"),
        ({"dimensions": ["date"] * 10}, 400, "limited to 9 dimensions"),
        ({"dimensions": ["itemId"], "metrics": ["eventCount"]}, 400, "incompatible"),
        ({"metrics": ["eventCount"], "limit": "250001"}, 400, "Limit"),
        (
            {"metrics": ["eventCount"], "dateRanges": [{"startDate": "x", "endDate": "today"}]},
            400,
            "Invalid date",
        ),
    ],
)
def test_a_report_is_refused(
    google: Google, export: Export, asked: Any, status: int, words: str
) -> None:
    error = google.report("7", **asked).json()["error"]
    assert (error["code"], error["status"]) == (status, "INVALID_ARGUMENT")
    assert words in error["message"]


def test_another_property_is_not_ours(google: Google, export: Export) -> None:
    error = google.report("8", metrics=["eventCount"]).json()["error"]
    assert error["status"] == "PERMISSION_DENIED"


def test_metadata_tells_custom_dimensions(google: Google, export: Export) -> None:
    told = google.http.get(f"{google.url}/v1beta/properties/7/metadata").json()
    custom = [one["apiName"] for one in told["dimensions"] if one["customDefinition"]]
    assert "customUser:account_id" in custom and "customEvent:ga_session_id" in custom
    assert {"eventCount", "itemRevenue"} <= {one["apiName"] for one in told["metrics"]}


def test_quotas_are_told_and_end(bigquery: BigQuery, google: Google, export: Export) -> None:
    quotas = bigquery.quotas
    quotas.limits["tokensPerProjectPerHour"], quotas.report_tokens = 20, 10
    asked: dict[str, Any] = {"metrics": ["eventCount"], "returnPropertyQuota": True}
    left = [google.report("7", **asked).json()["propertyQuota"] for _ in range(2)]
    hour = [one["tokensPerProjectPerHour"] for one in left]
    assert hour == [{"consumed": 10, "remaining": 10}, {"consumed": 10, "remaining": 0}]
    assert left[1]["tokensPerDay"]["remaining"] == 199_980
    refused = google.report("7", **asked)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED" and "project per hour" in error["message"]
    bigquery.clock.advance(3600)
    google.log_in(bigquery)
    assert google.report("7", **asked).ok


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        ("concurrentRequests", "concurrent requests"),
        ("tokensPerHour", "tokens per hour"),
        ("tokensPerDay", "per day"),
        ("potentiallyThresholdedRequestsPerHour", "thresholded"),
    ],
)
def test_a_429_names_its_quota(
    bigquery: BigQuery, google: Google, export: Export, quota: str, words: str
) -> None:
    bigquery.quotas.refusals = [quota]
    answer = google.report("7", metrics=["eventCount"])
    assert answer.status_code == 429 and words in answer.json()["error"]["message"]
    assert google.report("7", metrics=["eventCount"]).ok


def test_too_many_server_errors_block_the_project(
    bigquery: BigQuery, google: Google, export: Export
) -> None:
    bigquery.faults.error_share, bigquery.faults.error_statuses = 1.0, (500,)
    bigquery.faults.in_a_row = 100
    errors = [google.report("7", metrics=["eventCount"]).status_code for _ in range(10)]
    bigquery.faults.error_share = 0.0
    blocked = google.report("7", metrics=["eventCount"])
    assert set(errors) == {500} and blocked.status_code == 429
    assert "server errors" in blocked.json()["error"]["message"]


def test_demographic_reports_have_a_quota_of_their_own(
    bigquery: BigQuery, google: Google, export: Export
) -> None:
    bigquery.quotas.limits["potentiallyThresholdedRequestsPerHour"] = 1
    asked: dict[str, Any] = {"dimensions": ["userGender"], "metrics": ["eventCount"]}
    assert [google.report("7", **asked).status_code for _ in range(2)] == [200, 429]
    assert google.report("7", metrics=["eventCount"]).ok
