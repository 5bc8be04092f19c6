"""The sandbox's BigQuery: tables of a GA4 export, their rows and pages, queries, refusals."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.sandbox.bigquery import BigQuery
from tests.sandbox.bigquery_world import Export, event
from tests.sandbox.google_api import Google
from tests.sandbox.google_login import JWT, SCOPE

FIRST = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
TABLES = "datasets/analytics_7/tables"
DATA = f"{TABLES}/events_20260301/data"
FROM = "FROM `sandbox-project.analytics_7.events_20260301`"
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-client-secret"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "sandbox-google-refresh"} | CLIENT


@pytest.fixture
def export(bigquery: BigQuery) -> Export:
    """Five page views on the first day, which is closed, and one on the next day."""
    export = bigquery.add_export("7")
    for number in range(5):
        at = FIRST + timedelta(minutes=number)
        params = {"page_location": f"https://shop.test/p/{number}", "ga_session_id": 1}
        export.stream(event(at, "page_view", params=params, user_pseudo_id=f"{number % 2}.1"))
    export.close_day("20260301")
    export.stream(event(FIRST + DAY, "purchase", items=[{"item_id": "X1", "quantity": 2}]))
    return export


def names(google: Google, **params: Any) -> list[str]:
    tables = google.get(TABLES, **params).json().get("tables", [])
    return [one["tableReference"]["tableId"] for one in tables]


def reason(answer: requests.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return answer.status_code, error["status"], error["errors"][0]["reason"]


# -- logins --------------------------------------------------------------------------------------


def assertion(now: datetime, **changed: Any) -> str:
    start = int(now.timestamp())
    claims = {"iss": "reader@sandbox.iam.gserviceaccount.test", "scope": f"{SCOPE}bigquery"}
    claims |= {"aud": "http://127.0.0.1/token"}
    parts = [{"alg": "RS256"}, claims | {"iat": start, "exp": start + 3600} | changed]
    coded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*coded, "c2ln"])


def test_both_logins_give_a_token_for_an_hour(bigquery: BigQuery) -> None:
    url = f"{bigquery.url}/token"
    signed = assertion(bigquery.clock.now())
    for form in (REFRESH, {"grant_type": JWT, "assertion": signed}):
        said = requests.post(url, data=form).json()
        assert said["expires_in"] == 3599
        head = {"Authorization": f"Bearer {said['access_token']}"}
        project = f"{bigquery.url}/bigquery/v2/projects/sandbox-project"
        assert requests.get(f"{project}/datasets", headers=head).status_code == 200
        bigquery.clock.advance(3600)
        assert requests.get(f"{project}/datasets", headers=head).status_code == 401


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (REFRESH | {"refresh_token": "old"}, "invalid_grant"),
        (REFRESH | {"client_secret": "other"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": JWT, "assertion": "no"}, "invalid_grant"),
        ({"grant_type": JWT, "assertion": assertion(FIRST)}, "invalid_grant"),
        ({"grant_type": JWT, "assertion": assertion(FIRST, exp=4e9)}, "invalid_grant"),
    ],
)
def test_a_wrong_login_is_refused(bigquery: BigQuery, form: dict[str, str], error: str) -> None:
    assert requests.post(f"{bigquery.url}/token", data=form).json()["error"] == error


def test_a_token_reaches_no_further_than_its_scope(
    bigquery: BigQuery, google: Google, export: Export
) -> None:
    google.log_in(bigquery, f"{SCOPE}analytics.readonly")
    assert reason(google.get("datasets")) == (403, "PERMISSION_DENIED", "insufficientPermissions")
    assert google.report("7", metrics=["eventCount"]).ok


# -- tables --------------------------------------------------------------------------------------


def test_tables_come_and_go_as_ga4_writes_them(
    bigquery: BigQuery, google: Google, export: Export
) -> None:
    assert names(google) == ["events_20260301", "events_intraday_20260302"]
    export.fresh(event(FIRST + DAY, "page_view"))
    export.close_day("20260302")
    assert names(google) == ["events_20260301", "events_20260302", "events_fresh_20260302"]
    export.stream(event(FIRST + 2 * DAY, "page_view"))
    export.close_day("20260303", overflows=True)
    assert names(google)[-1] == "events_intraday_20260303"
    gone = google.get(f"{TABLES}/events_intraday_20260302/data")
    assert reason(gone) == (404, "NOT_FOUND", "notFound")


def test_datasets_and_tables_have_pages(google: Google, bigquery: BigQuery, export: Export) -> None:
    bigquery.world.add_dataset("other", location="EU")
    found = google.get("datasets", maxResults=1).json()
    assert [one["datasetReference"]["datasetId"] for one in found["datasets"]] == ["analytics_7"]
    after = google.get("datasets", maxResults=1, pageToken=found["nextPageToken"]).json()
    assert after["datasets"][0]["location"] == "EU" and "nextPageToken" not in after
    page = google.get(TABLES, maxResults=1).json()
    assert page["totalItems"] == 2
    assert names(google, pageToken=page["nextPageToken"]) == ["events_intraday_20260302"]
    assert reason(google.get(TABLES, pageToken=found["nextPageToken"]))[0] == 400


def test_late_rows_come_for_three_days(bigquery: BigQuery, google: Google, export: Export) -> None:
    before = google.get(f"{TABLES}/events_20260301").json()
    bigquery.clock.advance(60)
    export.late(event(FIRST, "page_view", user_pseudo_id="9.9"))
    after = google.get(f"{TABLES}/events_20260301").json()
    assert (before["numRows"], after["numRows"]) == ("5", "6")
    assert int(after["lastModifiedTime"]) - int(before["lastModifiedTime"]) == 60_000
    assert after["creationTime"] == before["creationTime"]
    bigquery.clock.set("2026-03-05T00:00:01Z")
    with pytest.raises(AssertionError):
        export.late(event(FIRST, "page_view"))


def test_new_columns_are_in_new_tables_only(google: Google, export: Export) -> None:
    export.add_column("session_id_of_ours", "STRING")
    export.stream(event(FIRST + 2 * DAY, "page_view", session_id_of_ours="s"))
    columns = [
        [field["name"] for field in google.get(f"{TABLES}/{name}").json()["schema"]["fields"]]
        for name in ("events_20260301", "events_intraday_20260303")
    ]
    assert columns[1] == [*columns[0], "session_id_of_ours"]


# -- rows ----------------------------------------------------------------------------------------


def decoded(row: dict[str, Any], fields: list[dict[str, Any]]) -> dict[str, Any]:
    """A row as a mapping, by what the schema says."""
    return {
        field["name"]: [_decoded(one["v"], field) for one in cell["v"]]
        if field["mode"] == "REPEATED"
        else _decoded(cell["v"], field)
        for field, cell in zip(fields, row["f"], strict=True)
    }


def _decoded(value: Any, field: dict[str, Any]) -> Any:
    return decoded(value, field["fields"]) if value and field["type"] == "RECORD" else value


def test_rows_are_texts_in_the_order_of_the_schema(google: Google, export: Export) -> None:
    fields = google.get(f"{TABLES}/events_20260301").json()["schema"]["fields"]
    page = google.get(DATA, maxResults=2).json()
    first = decoded(page["rows"][0], fields)
    assert (len(page["rows"]), page["totalRows"]) == (2, "5")
    assert first["event_timestamp"] == str(int(FIRST.timestamp()) * 1_000_000)
    nothing = {"string_value": None, "float_value": None, "double_value": None}
    assert first["event_params"][1]["value"] == {"int_value": "1"} | nothing
    assert (first["items"], first["user_id"]) == ([], None)
    assert first["device"]["web_info"] == {"browser": None, "hostname": None}


def test_rows_have_pages_and_parts(bigquery: BigQuery, google: Google, export: Export) -> None:
    seen: list[str] = []
    params: dict[str, Any] = {"maxResults": 2, "selectedFields": "event_name,device.category"}
    while True:
        page = google.get(DATA, **params).json()
        seen += [json.dumps(row) for row in page["rows"]]
        if "pageToken" not in page:
            break
        params["pageToken"] = page["pageToken"]
    row = {"f": [{"v": "page_view"}, {"v": {"f": [{"v": None}]}}]}
    assert seen == [json.dumps(row)] * 5
    bigquery.page_rows = 3  # an answer may hold fewer rows than were asked for
    assert len(google.get(DATA, maxResults=100).json()["rows"]) == 3
    assert len(google.get(DATA, startIndex=4).json()["rows"]) == 1
    assert reason(google.get(DATA, selectedFields="nothing"))[0] == 400


# -- queries -------------------------------------------------------------------------------------


def test_a_query_is_done_later_and_has_pages(
    bigquery: BigQuery, google: Google, export: Export
) -> None:
    bigquery.job_polls = 2
    text = f"SELECT event_name, device.category {FROM} ORDER BY event_timestamp"
    first = google.ask(text).json()
    assert first["jobComplete"] is False and "rows" not in first
    again = google.get(f"queries/{first['jobReference']['jobId']}").json()
    done = google.get(f"queries/{first['jobReference']['jobId']}").json()
    assert (again["jobComplete"], done["jobComplete"], done["totalRows"]) == (False, True, "5")
    assert [field["name"] for field in done["schema"]["fields"]] == ["event_name", "category"]
    assert google.rows(text, maxResults=2) == [["page_view", None]] * 5
    assert google.rows(f"SELECT * {FROM} LIMIT 1")[0][0] == "20260301"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (f"SELECT COUNT(*) {FROM} WHERE user_pseudo_id = '1.1'", [["2"]]),
        (f"SELECT COUNT(*) AS n, MAX(event_name) {FROM}", [["5", "page_view"]]),
        (f"SELECT user_pseudo_id {FROM} WHERE event_timestamp > 1772355780000000", [["0.1"]]),
        (f"SELECT event_date {FROM} WHERE user_id IS NOT NULL", []),
        (f"SELECT event_date {FROM} WHERE user_id != 'x'", []),
        (f"SELECT event_date {FROM} WHERE event_name = 'PAGE_VIEW'", []),
        (f"SELECT event_date {FROM} WHERE event_name IN ('x') OR NOT event_name LIKE 'page%'", []),
        (
            "SELECT event_date, _TABLE_SUFFIX FROM `analytics_7.events_*` "
            "WHERE _TABLE_SUFFIX BETWEEN '20260302' AND 'intraday_20260302'",
            [["20260302", "intraday_20260302"]],
        ),
        (
            "SELECT table_name FROM `sandbox-project.analytics_7.INFORMATION_SCHEMA.TABLES` "
            "ORDER BY table_name DESC LIMIT 1",
            [["events_intraday_20260302"]],
        ),
    ],
)
def test_a_query_finds(google: Google, export: Export, text: str, rows: Any) -> None:
    assert google.rows(text) == rows


def test_a_query_takes_parameters(google: Google, export: Export) -> None:
    name = {"parameterType": {"type": "STRING"}, "parameterValue": {"value": "page_view"}}
    since = {"parameterType": {"type": "INT64"}, "parameterValue": {"value": "1772355780000000"}}
    given = [{"name": "event"} | name, {"name": "since"} | since]
    text = f"SELECT COUNT(*) {FROM} WHERE event_name = @event AND event_timestamp >= @since"
    assert google.rows(text, parameterMode="NAMED", queryParameters=given) == [["2"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"SELECT nope {FROM}", (400, "invalidQuery")),
        (f"SELECT event_params.key {FROM}", (400, "invalidQuery")),
        (f"SELECT event_name {FROM} WHERE event_timestamp > '1'", (400, "invalidQuery")),
        (f"SELECT event_name {FROM} GROUP BY event_name", (400, "invalidQuery")),
        ("SELECT", (400, "invalidQuery")),
        ("SELECT event_name FROM `analytics_7.events_20260399`", (404, "notFound")),
        ("SELECT event_name FROM `other.events_20260301`", (404, "notFound")),
        ("SELECT event_name FROM `analytics_7.nothing_*`", (400, "invalidQuery")),
    ],
)
def test_a_query_is_refused(
    google: Google, export: Export, text: str, expected: tuple[int, str]
) -> None:
    status, _, why = reason(google.ask(text))
    assert (status, why) == expected


def test_legacy_sql_is_what_is_spoken_unless_said(google: Google, export: Export) -> None:
    url = f"{google.project}/queries"
    answer = google.http.post(url, json={"query": f"SELECT event_name {FROM}"})
    assert reason(answer) == (400, "INVALID_ARGUMENT", "invalidQuery")


def test_a_job_far_away_is_found_with_its_location_only(bigquery: BigQuery, google: Google) -> None:
    export = bigquery.add_export("8", location="europe-west3")
    export.stream(event(FIRST, "page_view"))
    text = "SELECT event_name FROM `analytics_8.events_intraday_20260301`"
    job = google.ask(text).json()["jobReference"]
    assert reason(google.get(f"queries/{job['jobId']}"))[0] == 404
    assert google.get(f"queries/{job['jobId']}", location="europe-west3").ok
    assert reason(google.ask(text, location="US"))[0] == 404


def test_a_request_sent_twice_is_one_job(google: Google, export: Export) -> None:
    jobs = [google.ask(f"SELECT * {FROM}", requestId="r1").json() for _ in range(2)]
    assert jobs[0]["jobReference"] == jobs[1]["jobReference"]


# -- limits and faults ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ("rateLimitExceeded", (403, "PERMISSION_DENIED", "rateLimitExceeded")),
        ("quotaExceeded", (403, "PERMISSION_DENIED", "quotaExceeded")),
        ("jobRateLimitExceeded", (429, "RESOURCE_EXHAUSTED", "jobRateLimitExceeded")),
        ("backendError", (503, "UNAVAILABLE", "backendError")),
    ],
)
def test_not_now_is_said_in_googles_words(
    bigquery: BigQuery, google: Google, why: str, expected: tuple[int, str, str]
) -> None:
    bigquery.refusals = [why]
    assert reason(google.get("datasets")) == expected
    assert google.get("datasets").ok


def test_a_hundred_requests_a_second_are_let_through(bigquery: BigQuery, google: Google) -> None:
    bigquery.limits.off = False
    bigquery.limits["bigquery"].limit = 2
    answers = [google.get("datasets") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 403]
    assert reason(answers[2])[2] == "rateLimitExceeded"


def test_a_fault_is_an_error_of_the_vendor(bigquery: BigQuery, google: Google) -> None:
    bigquery.faults.error_share, bigquery.faults.error_statuses = 1.0, (503,)
    assert reason(google.get("datasets")) == (503, "UNAVAILABLE", "backendError")
    bigquery.faults.error_share, bigquery.faults.expired_share = 0.0, 1.0
    assert reason(google.get("datasets")) == (401, "UNAUTHENTICATED", "authError")
    bigquery.faults.expired_share = 0.0
    assert reason(google.get("datasets")) == (401, "UNAUTHENTICATED", "authError")
