"""The source `ga4`: tables of days, late rows, restarts, faults, logins; and reports."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from tenacity import wait_fixed

from tap_journeys.sources import ga4_export, ga4_google, patience
from tap_journeys.sources.errors import TryAgainError
from tap_journeys.sources.ga4_days import Days
from tap_journeys.sources.ga4_export import KEY, KEY_FIELDS, Table, page_of
from tests.sandbox.base import Answer
from tests.sandbox.bigquery import REASONS, BigQuery
from tests.sandbox.bigquery_world import Export, Row, event
from tests.sandbox.google_login import SCOPE
from tests.sandbox.server import Sandbox
from tests.tap.running import command, last_state, records, run, wait_for_readers

FIRST = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS = "/data?"  # what a request for rows holds
EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    with Sandbox("bigquery") as sandbox:
        sandbox.clock.set("2026-03-01T12:00:00Z")
        sandbox.bigquery.limits.off = True
        yield sandbox.bigquery
        wait_for_readers()


@pytest.fixture
def export(bigquery: BigQuery) -> Export:
    """Three days; the last one is not closed."""
    export = bigquery.add_export("7")
    for day in range(3):
        bigquery.clock.set(FIRST + day * DAY)
        export.stream(*(seen(day, number) for number in range(6)))
        if day < 2:
            bigquery.clock.set(FIRST + (day + 1) * DAY - timedelta(hours=8))
            export.close_day(f"2026030{day + 1}")
    bigquery.clock.set(FIRST + 2 * DAY)
    return export


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between two attempts are a hundredth of what they are."""
    monkeypatch.setattr(patience, "wait_random_exponential", lambda **_: wait_fixed(0.02))
    monkeypatch.setattr(ga4_google, "LIMITED_S", 0.02)


def seen(day: int, number: int, **values: Any) -> Row:
    at = FIRST + day * DAY + timedelta(minutes=number)
    params = {"page_location": f"https://shop.test/p/{number}", "ga_session_id": 1, "value": 1.5}
    items = [{"item_id": "X1", "price": 600.0, "quantity": 2}]
    return event(at, "view_item", params=params, items=items, user_pseudo_id="1.1", **values)


def config(bigquery: BigQuery, **others: Any) -> dict[str, Any]:
    return {"sources": {"ga4": bigquery.tap_settings() | others}}


def key(record: Row) -> str:
    return ":".join(str(record.get(name)) for name in KEY_FIELDS)


def keys(rows: list[Row]) -> Counter[str]:
    return Counter(key(row) for row in rows)


def asked(bigquery: BigQuery) -> list[str]:
    """The tables whose rows were asked for since the last `forget_requests`."""
    return [line.target.split("/")[-2] for line in bigquery.requests(ROWS)]


# -- what is read --------------------------------------------------------------------------------


def test_records_are_what_exported_files_hold(bigquery: BigQuery, export: Export) -> None:
    record = records(run(config(bigquery)), "ga4_events")[0]
    assert record["event_timestamp"] == str(int(FIRST.timestamp()) * 1_000_000)
    nothing = {"string_value": None, "int_value": None, "float_value": None, "double_value": None}
    assert record["event_params"][1:] == [
        {"key": "ga_session_id", "value": nothing | {"int_value": "1"}},
        {"key": "value", "value": nothing | {"double_value": 1.5}},
    ]
    assert record["items"][0]["quantity"] == "2" and record["items"][0]["price"] == 600.0
    assert record["device"]["web_info"] == {"browser": None, "hostname": None}
    assert (record["is_active_user"], record["user_properties"]) == (None, [])


def test_every_event_comes_once_and_the_next_run_asks_for_no_rows(
    bigquery: BigQuery, export: Export
) -> None:
    export.late(seen(0, 0))  # the export holds some events twice
    first = run(config(bigquery))
    found = records(first, "ga4_events")
    assert keys(found) == Counter(set(keys(export.events())))
    assert len({record[KEY] for record in found}) == len(found) == 18
    bigquery.forget_requests()
    again = run(config(bigquery), last_state(first))
    assert records(again) == []
    assert asked(bigquery) == []


def test_the_next_run_reads_the_tables_that_changed(bigquery: BigQuery, export: Export) -> None:
    state = last_state(run(config(bigquery)))
    bigquery.forget_requests()
    bigquery.clock.set(FIRST + 3 * DAY)
    export.late(seen(0, 7))
    export.close_day("20260303")  # its events were read while they were streamed in
    export.stream(seen(3, 1))
    found = records(run(config(bigquery), state), "ga4_events")
    names = ["events_20260301", "events_20260303", "events_intraday_20260304"]
    assert sorted(set(asked(bigquery))) == names
    assert key(export.events()[6]) in keys(found)
    assert keys([seen(3, 1)]) <= keys(found)


def test_late_days_are_looked_at_for_as_long_as_they_may_change(
    bigquery: BigQuery, export: Export
) -> None:
    state = last_state(run(config(bigquery)))
    for day in range(3, 10):
        bigquery.clock.set(FIRST + day * DAY - timedelta(hours=9))  # the new day is just begun
        export.close_day(f"2026030{day}")
        export.late(seen(max(0, day - 4), 30 + day))  # on the last day on which that may happen
        export.stream(event(FIRST + day * DAY - timedelta(hours=9), "page_view"))
        messages = run(config(bigquery), state)
        state = last_state(messages)
        assert keys([seen(max(0, day - 4), 30 + day)]) <= keys(records(messages))
    kept = state["bookmarks"]["ga4_events"]
    assert kept["replication_key_value"] == "20260310"
    assert {name[-8:] for name in kept["tables"]} == {f"202603{day:02}" for day in range(6, 11)}


def test_a_day_has_one_table_that_counts(bigquery: BigQuery, export: Export) -> None:
    bigquery.clock.set(FIRST + 2 * DAY)
    export.fresh(seen(2, 0), seen(2, 8))  # has one that is streamed, too, and one more
    export.stream(seen(1, 9))  # an intraday table that is still there beside the daily one
    export.close_day("20260303", overflows=True)
    bigquery.world.add_rows(export.dataset, "events_daily_summary", [], layout={"n": "STRING"})
    found = run(config(bigquery))
    assert keys(records(found)) == Counter(
        set(keys([row for row in export.events() if row["event_date"] != "20260303"]))
        | set(keys([seen(2, number) for number in (0, 1, 2, 3, 4, 5, 8)]))
    )
    assert "events_intraday_20260302" not in asked(bigquery)


def test_a_table_that_goes_while_it_is_read_is_read_by_its_new_name(
    bigquery: BigQuery, export: Export
) -> None:
    bigquery.page_rows = 2
    pages = iter(range(1000))

    def close(number: int, request: Any) -> None:
        if "events_intraday_20260303/data" in request.target and next(pages) == 1:
            bigquery.clock.advance(60)
            export.close_day("20260303")

    bigquery.faults.on_request.append(close)
    first = run(config(bigquery))
    second = run(config(bigquery), last_state(first))
    assert set(keys(records(first) + records(second))) == set(keys(export.events()))


def test_a_table_that_cannot_be_described_is_not_read_with_other_columns(
    bigquery: BigQuery,
    export: Export,
    short_waits: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    answer, left = bigquery.answer, iter(range(patience.FAULTS))

    def busy(request: Any) -> Any:
        fails = re.search(r"/tables/[^/]+$", request.path) and next(left, None) is not None
        return Answer(503) if fails else answer(request)

    monkeypatch.setattr(bigquery, "answer", busy)
    done = command(tmp_path, config=config(bigquery))
    assert (done.returncode, done.stdout.count('"SCHEMA"')) == (1, 0)
    assert "Stream 'ga4_events': GET /bigquery/v2/projects/" in done.stderr
    then = run(
        config(bigquery), last_state([json.loads(line) for line in done.stdout.split("\n")[:-1]])
    )
    assert set(keys(records(then))) == set(keys(export.events()))


def test_a_table_that_is_being_streamed_into_is_read_every_time() -> None:
    """Its numbers leave out what has not been stored yet."""
    day = "20260301"
    streamed = Table(f"events_intraday_{day}", 5, True, "1 5", ())
    assert Days({}).after(day, [streamed])["tables"] == {}
    assert Days({}).after(day, [streamed._replace(is_streaming=False)])["tables"] != {}


@pytest.mark.parametrize(
    "body",
    [b'{"error": {"code": 500, "status": "INTERNAL"}}', b'{"rows": [{"f"', b'{"rows": [{}]}', b""],
)
def test_an_answer_without_its_rows_is_asked_for_again(body: bytes) -> None:
    answer = requests.Response()
    answer.status_code, answer._content = 200, body
    with pytest.raises(TryAgainError):
        page_of(answer)
    answer._content = b'{"totalRows": "0"}'
    assert page_of(answer).rows == []


def test_a_table_made_late_is_read_however_old_its_day(bigquery: BigQuery, export: Export) -> None:
    state = last_state(run(config(bigquery)))
    bigquery.clock.advance(60)
    old = event(FIRST - 40 * DAY, "page_view", user_pseudo_id="9.9")
    bigquery.world.add_rows(export.dataset, "events_20260120", [old], layout=export.layout)
    messages = run(config(bigquery), state)
    assert keys(records(messages)) == keys([old])
    assert records(run(config(bigquery), last_state(messages))) == []


def test_large_tables_are_read_in_pieces_side_by_side(
    bigquery: BigQuery, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ga4_export, "RANGE_ROWS", 50)
    monkeypatch.setattr(ga4_export, "PAGE_ROWS", 20)
    bigquery.page_rows = 15  # an answer may hold fewer rows than were asked for
    export.late(*(seen(0, number) for number in range(6, 206)))
    bigquery.faults.latency_ms = 20
    found = records(run(config(bigquery)))
    assert keys(found) == keys(export.events())
    assert [record["event_timestamp"] for record in found] == sorted(
        record["event_timestamp"] for record in found
    )


def test_start_date_leaves_older_events_out(bigquery: BigQuery, export: Export) -> None:
    since = (FIRST + DAY + timedelta(minutes=3)).isoformat()
    found = run(config(bigquery) | {"start_date": since})
    assert keys(records(found)) == keys([seen(1, n) for n in (3, 4, 5)]) + keys(
        [seen(2, n) for n in range(6)]
    )


def test_columns_are_found_in_the_newest_table(bigquery: BigQuery, export: Export) -> None:
    export.add_column(
        "session_traffic", {"score": "FLOAT", "seen_at": "TIMESTAMP", "ok": "BOOLEAN"}
    )
    bigquery.clock.set(FIRST + 3 * DAY)
    told = {"score": float("nan"), "seen_at": FIRST, "ok": True}
    export.stream(seen(3, 0, session_traffic=told))
    messages = run(config(bigquery))
    (schema,) = (m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA")
    params = schema["event_params"]["items"]["properties"]["value"]["properties"]
    assert params["int_value"]["type"] == ["string", "null"]
    assert params["double_value"]["type"] == ["number", "string", "null"]
    assert set(schema["session_traffic"]["properties"]) == {"score", "seen_at", "ok"}
    record = records(messages)[-1]["session_traffic"]
    assert record == {"score": "nan", "seen_at": "2026-03-01T09:00:00.000000Z", "ok": True}


# -- restarts and faults -------------------------------------------------------------------------


@pytest.mark.parametrize("last", [2, 4, 6, 8, 11, 14])
def test_a_run_that_ends_anywhere_is_taken_up(
    bigquery: BigQuery, export: Export, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    monkeypatch.setattr(ga4_export, "RANGE_ROWS", 4)
    monkeypatch.setattr(ga4_export, "DESCRIBED", 1)
    bigquery.page_rows = 2

    def refuse(number: int, request: Any) -> None:
        if number > last and not bigquery.is_login(request):
            bigquery.refusals.append("accessDenied")

    monkeypatch.setitem(REASONS, "accessDenied", (403, "Access Denied"))
    bigquery.faults.on_request.append(refuse)
    first = run(config(bigquery))
    bigquery.faults.on_request.clear()
    bigquery.refusals.clear()
    bigquery.forget_requests()
    state = last_state(first) if any(m["type"] == "STATE" for m in first) else {}
    second = run(config(bigquery), state)
    found = records(first) + records(second)
    assert set(keys(found)) == set(keys(export.events()))
    assert len(records(first)) < 18


def test_a_restart_does_not_begin_at_the_beginning(bigquery: BigQuery, export: Export) -> None:
    for day in range(3, 13):
        bigquery.clock.set(FIRST + day * DAY)
        export.stream(seen(day, 0))
        export.close_day(f"{FIRST + day * DAY:%Y%m%d}")
    bigquery.faults.on_request.append(
        lambda _, request: (
            bigquery.refusals.append("quotaExceeded")
            if "events_20260312/data" in request.target
            else None
        )
    )
    state = last_state(run(config(bigquery)))
    assert state["bookmarks"]["ga4_events"]["replication_key_value"] == "20260311"
    bigquery.faults.on_request.clear()
    bigquery.refusals.clear()
    bigquery.forget_requests()
    run(config(bigquery), state)
    # side by side, and a reader of the first run may end late
    assert set(asked(bigquery)) == {"events_20260312", "events_20260313"}


@pytest.mark.usefixtures("short_waits")
def test_faults_change_nothing(bigquery: BigQuery, export: Export, tmp_path: Path) -> None:
    bigquery.page_rows = 2
    faults = bigquery.faults
    faults.error_share = faults.reset_share = faults.cut_share = faults.truncated_share = 0.08
    faults.expired_share, faults.slow_share, faults.slow_ms = 0.02, 0.1, 50.0
    bigquery.refusals = ["rateLimitExceeded", "backendError", "jobRateLimitExceeded"]
    done = command(tmp_path, config=config(bigquery))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, keys(records(found))) == (0, keys(export.events())), done.stderr
    assert len(faults.happened) >= 4


def test_a_full_bucket_is_waited_for(bigquery: BigQuery, export: Export, tmp_path: Path) -> None:
    bigquery.limits.off, bigquery.limits["bigquery"].limit = False, 5
    done = command(tmp_path, config=config(bigquery))
    assert done.returncode == 0
    assert bigquery.count(403) > 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert keys(records(found)) == keys(export.events())


def test_an_empty_quota_ends_the_run_and_keeps_the_state(
    bigquery: BigQuery, export: Export, tmp_path: Path
) -> None:
    bigquery.faults.daily_limit_reached = True
    done = command(tmp_path, config=config(bigquery))
    assert done.returncode == 1
    assert "quota at Google is used up; run again tomorrow" in done.stderr
    assert "its bookmark stays" in done.stderr


@pytest.mark.parametrize(
    ("scopes", "missing", "sentence"),
    [
        (
            f"{SCOPE}analytics.readonly",
            set(),
            "lacks the scope https://www.googleapis.com/auth/big",
        ),
        (None, {"bigquery"}, "lacks the scope BigQuery Data Viewer (a role on the dataset)"),
    ],
)
def test_what_a_login_lacks_is_named(
    bigquery: BigQuery, export: Export, tmp_path: Path, scopes: str, missing: Any, sentence: str
) -> None:
    bigquery.faults.missing_scopes = missing
    token = bigquery.login.new_token(scopes) if scopes else bigquery.login.new_token()
    login = {"access_token": token, "client_id": None, "client_secret": None}
    done = command(tmp_path, config=config(bigquery, refresh_token=None, **login))
    assert done.returncode == 0
    assert sentence in done.stderr
    checked = command(tmp_path, "--test", config=config(bigquery, refresh_token=None, **login))
    assert checked.returncode == 1
    assert "error   ga4: the dataset of the export cannot be read" in checked.stderr


def test_a_dataset_that_is_not_there_is_said(
    bigquery: BigQuery, export: Export, tmp_path: Path
) -> None:
    done = command(tmp_path, config=config(bigquery, dataset="other"))
    assert done.returncode == 1
    assert "there is no such dataset; link BigQuery in GA4's settings" in done.stderr


# -- logins --------------------------------------------------------------------------------------


def account_key(token_url: str = "https://oauth2.googleapis.com/token") -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    told = {"type": "service_account", "client_email": "reader@sandbox.iam.gserviceaccount.test"}
    return json.dumps(told | {"private_key": pem.decode(), "token_uri": token_url})


def by_account(bigquery: BigQuery, **others: Any) -> dict[str, Any]:
    place = {"base_url": bigquery.url, "property_id": "7", "project_id": "sandbox-project"}
    return {"sources": {"ga4": place | others}}


def test_a_service_account_logs_in(bigquery: BigQuery, export: Export, tmp_path: Path) -> None:
    key = account_key()
    (tmp_path / "key.json").write_text(key)
    for way in ({"service_account_key": key}, {"service_account_file": "key.json"}):
        done = command(tmp_path, config=by_account(bigquery, **way))
        assert (done.returncode, done.stdout.count('"RECORD"')) == (0, 18), done.stderr


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"service_account_key": "{}"}, "service_account_key: is no key of a service account"),
        (
            {"service_account_key": '{"client_email": "a@b.c", "private_key": "s3cr3t"}'},
            "service_account_key: has a private_key that is no RSA key in PEM form",
        ),
        ({"service_account_file": "gone.json"}, "service_account_file: No such file"),
        ({}, "one way to log in is needed"),
        ({"access_token": "s3cr3t", "refresh_token": "s3cr3t"}, "one way to log in is needed"),
        ({"refresh_token": "s3cr3t"}, "these go together"),
        ({"access_token": "s3cr3t", "project_id": None}, "`project_id` is missing"),
        ({"access_token": "s3cr3t", "property_id": "G-12"}, "sources.ga4.property_id"),
        (
            {"access_token": "s3cr3t", "reports": [{"name": "a", "metrics": []}]},
            "sources.ga4.reports.0.metrics",
        ),
    ],
)
def test_wrong_settings_are_named(
    bigquery: BigQuery, tmp_path: Path, settings: Any, sentence: str
) -> None:
    done = command(tmp_path, config=by_account(bigquery, **settings))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "s3cr3t" not in done.stderr


def test_a_missing_library_is_named(
    bigquery: BigQuery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_journeys.sources.ga4.can_sign", lambda: False)
    done = command(tmp_path, config=by_account(bigquery, service_account_key=account_key()))
    assert done.returncode == 2
    assert "needs the extra `ga4`: pip install 'product-journeys[ga4]'" in done.stderr


def test_a_login_that_is_refused_ends_the_run(
    bigquery: BigQuery, export: Export, tmp_path: Path
) -> None:
    done = command(tmp_path, config=config(bigquery, refresh_token="s3cr3t-r"))
    assert done.returncode == 1
    assert "HTTP 400 invalid_grant; renew the client's credentials or the refresh token" in (
        done.stderr
    )
    assert "s3cr3t" not in done.stderr + done.stdout


@pytest.mark.usefixtures("short_waits")
def test_no_secret_and_no_customer_appears_anywhere(
    bigquery: BigQuery, export: Export, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export.stream(event(FIRST + 2 * DAY, "page_view", user_id="ana@acme.test"))
    caplog.set_level(logging.DEBUG)
    secrets = [bigquery.tap_settings()[name] for name in ("refresh_token", "client_secret")]
    bigquery.faults.error_share, bigquery.faults.truncated_share = 0.2, 0.2
    said = ""
    for fault in ("", "quotaExceeded", "rateLimitExceeded"):
        bigquery.refusals = [fault] if fault else []
        done = command(tmp_path, config=config(bigquery))
        said += done.stderr + "".join(
            line for line in done.stdout.splitlines() if '"STATE"' in line
        )
    said += command(tmp_path, "--about", "--format", "json", config=config(bigquery)).stdout
    said += caplog.text
    assert not [secret for secret in [*secrets, *bigquery.login.tokens] if secret in said]
    assert "ana@acme.test" not in said


def test_a_check_says_what_is_there(bigquery: BigQuery, export: Export, tmp_path: Path) -> None:
    done = command(tmp_path, "--test", config=config(bigquery))
    assert "ok      ga4: the login works; the newest of 3 tables is events_intraday_20260303" in (
        done.stderr
    )
    assert "ga4_events: 6 rows seen; 100% name a customer; 100% name a product" in done.stderr
    assert (done.returncode, done.stdout) == (0, "")


def test_exported_files_have_the_same_keys(
    bigquery: BigQuery, export: Export, tmp_path: Path
) -> None:
    """With the stream map of the documentation."""
    page = Path(__file__).parents[2] / "docs/reference/sources/ga4.md"
    (example,) = (
        json.loads(block)
        for block in re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        if "stream_maps" in block
    )
    found = records(run(config(bigquery)), "ga4_events")
    lines = [  # an export leaves out what is null
        {name: value for name, value in row.items() if name != KEY and value is not None}
        for row in found
    ]
    path = tmp_path / "events_20260301.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    stream = {"name": "ga4_events", "path": str(path)}
    messages = run({"sources": {"files": {"streams": [stream]}}} | example)
    (schema,) = (message for message in messages if message["type"] == "SCHEMA")
    assert schema["key_properties"] == [KEY]
    assert [row[KEY] for row in records(messages)] == [row[KEY] for row in found]
