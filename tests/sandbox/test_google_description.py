"""Answers of the sandbox's Google hold what the discovery documents say: names, types, formats."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.pipes import SHARED
from tests.sandbox.bigquery import BigQuery
from tests.sandbox.bigquery_world import event
from tests.sandbox.google_api import Google

DOCUMENTS = SHARED / "specs/ga4"
pytestmark = pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="needs the discovery documents")
TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
}
TABLE = "datasets/analytics_7/tables/events_20260301"
QUERY = "SELECT * FROM `analytics_7.events_20260301`"
ANSWERS = {
    "DatasetList": "datasets",
    "Dataset": "datasets/analytics_7",
    "TableList": "datasets/analytics_7/tables",
    "Table": TABLE,
    "TableDataList": f"{TABLE}/data?maxResults=1",
}


def wrong(value: Any, said: dict[str, Any], schemas: dict[str, Any], at: str = "") -> list[str]:
    """What a value has that its description does not, as paths."""
    if reference := said.get("$ref"):
        said = schemas[reference]
    kind = said.get("type")
    if kind == "array":
        items = enumerate(value)
        return [e for n, one in items for e in wrong(one, said["items"], schemas, f"{at}[{n}]")]
    if kind == "any":
        return []
    if not isinstance(value, TYPES[str(kind)]):
        return [f"{at} is no {kind}"]
    if kind == "string" and "int64" in said.get("format", "") and not value.isdigit():
        return [f"{at} is no number"]
    if kind != "object":
        return []
    known = said.get("properties")
    if known is None:
        return []
    found = [f"{at}.{name} is not known" for name in value.keys() - known.keys()]
    for name in value.keys() & known.keys():
        found += wrong(value[name], known[name], schemas, f"{at}.{name}")
    return found


def described(document: str) -> dict[str, Any]:
    path = DOCUMENTS / f"{document}.discovery.json"
    schemas: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["schemas"]
    return schemas


@pytest.fixture(autouse=True)
def filled(bigquery: BigQuery) -> None:
    export = bigquery.add_export("7")
    params = {"ga_session_id": 1, "page_location": "https://shop.test/"}
    for hour in (9, 10):
        at = datetime(2026, 3, 1, hour, tzinfo=UTC)
        items = [{"item_id": "X1", "price": 1.5}]
        export.stream(event(at, "purchase", params=params, items=items, user_pseudo_id="1"))
    export.close_day("20260301")


def test_a_wrong_answer_would_be_found() -> None:
    schemas = described("bigquery.v2.pruned")
    answer = {"kind": 1, "totalItems": 2, "tables": [{"id": "x", "creationTime": "x", "y": 1}]}
    assert sorted(wrong(answer, {"$ref": "TableList"}, schemas)) == [
        ".kind is no string",
        ".tables[0].creationTime is no number",
        ".tables[0].y is not known",
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_lists_and_tables(google: Google, name: str) -> None:
    answer = google.get(ANSWERS[name])
    assert answer.ok and not wrong(answer.json(), {"$ref": name}, described("bigquery.v2.pruned"))


def test_queries_and_jobs(google: Google) -> None:
    schemas = described("bigquery.v2.pruned")
    begun = google.ask(QUERY, maxResults=1).json()
    job = begun["jobReference"]["jobId"]
    done = google.get(f"queries/{job}", maxResults=1).json()
    again = google.ask(QUERY, maxResults=1, requestId="r").json()
    assert done["rows"] and done["pageToken"]
    for answer in (begun, again):
        assert not wrong(answer, {"$ref": "QueryResponse"}, schemas)
    assert not wrong(done, {"$ref": "GetQueryResultsResponse"}, schemas)
    assert not wrong(google.get(f"jobs/{job}").json(), {"$ref": "Job"}, schemas)


def test_reports_and_metadata(bigquery: BigQuery, google: Google) -> None:
    schemas = described("analyticsdata.v1beta")
    bigquery.reports.sampled_share = 0.5
    asked: dict[str, Any] = {"dimensions": ["date"], "metrics": ["eventCount"]}
    report = google.report("7", returnPropertyQuota=True, **asked).json()
    assert report["rows"] and report["propertyQuota"] and report["metadata"]["samplingMetadatas"]
    assert not wrong(report, {"$ref": "RunReportResponse"}, schemas)
    told = google.http.get(f"{google.url}/v1beta/properties/7/metadata").json()
    assert not wrong(told, {"$ref": "Metadata"}, schemas)
