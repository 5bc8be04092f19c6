"""The source `zendesk`: secrets stay secret, answers that mislead, and the check of a login."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest
import responses
from responses.matchers import query_param_matcher

from tap_journeys.tap import TapJourneys
from tests.sandbox.server import Sandbox
from tests.sandbox.zendesk import Zendesk
from tests.tap.running import command
from tests.tap.zendesk_account import PRODUCT_FIELD, SOMEBODY, TOKEN, fill, settings, sync

URL = "https://acme.zendesk.com/api/v2/incremental/tickets/cursor.json"
ACME = {"sources": {"zendesk": {"subdomain": "acme", "email": "a@acme.test", "api_token": "t"}}}


@pytest.fixture
def account() -> Iterator[Zendesk]:
    with Sandbox("zendesk") as sandbox:
        sandbox.clock.set("2026-03-01T00:00:00Z")
        for bucket in sandbox.zendesk.limits.buckets.values():
            bucket.limit = 1_000_000
        fill(sandbox.zendesk, tickets=8)
        yield sandbox.zendesk


@pytest.fixture
def no_fields() -> Iterator[responses.RequestsMock]:
    """Answers by hand, for an account whose custom fields may not be seen."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        missing = {"error": "RecordNotFound", "description": "Not found"}
        mock.get(re.compile(".*/(user|organization)_fields.json"), json=missing, status=404)
        yield mock


# -- what must not be seen ---------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["none", "login", "faults", "scope", "limit"])
def test_no_secret_and_nobody_is_named_anywhere(account, tmp_path, monkeypatch, failure):
    monkeypatch.setattr("tap_journeys.sources.client.Patience.wait_s", lambda *_: 0.01)
    monkeypatch.setattr("tap_journeys.sources.zendesk.MINUTE_S", 0.1)  # failures count, too
    monkeypatch.setenv("TAP_JOURNEYS_LOGLEVEL", "DEBUG")
    account.api_token = TOKEN
    config = settings(account, email=SOMEBODY)
    account.email = "other@acme.test" if failure == "login" else SOMEBODY
    account.faults.error_share = 1.0 if failure == "faults" else 0.0
    account.faults.in_a_row = 99
    account.faults.missing_scopes = {"tickets", "users"} if failure == "scope" else set()
    account.faults.daily_limit_reached = failure == "limit"
    done = command(tmp_path, config=config)
    about = command(tmp_path, "--about", config=config)
    wrong = command(tmp_path, config=settings(account, email=SOMEBODY, plan=SOMEBODY))
    assert wrong.returncode == 2
    states = [line for line in done.stdout.splitlines() if '"type":"STATE"' in line]
    said = "\n".join([done.stderr, *states, about.stdout, about.stderr, wrong.stderr])
    assert done.returncode == (1 if failure in ("login", "faults", "limit") else 0)
    pair = base64.b64encode(f"{SOMEBODY}/token:{TOKEN}".encode()).decode()
    assert not [word for word in (TOKEN, SOMEBODY, pair) if word in said]


# -- what an answer may hold -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "ServerError"}, "the answer has no list `tickets`"),
        ({"tickets": [], "end_of_stream": False}, "does not say what follows"),
        ({"tickets": [], "end_of_stream": False, "after_url": f"{URL}?cursor=a"}, "the same page"),
    ],
)
def test_an_export_that_does_not_go_on_is_an_error(answer, said, caplog, no_fields):
    no_fields.get(URL, json=answer)
    assert sync(ACME, only="zendesk_tickets").code == 1
    assert said in caplog.text


def test_a_row_that_makes_no_sense_stops_its_stream_and_is_not_shown(no_fields, caplog):
    ticket = {"id": 1, "generated_timestamp": SOMEBODY}
    no_fields.get(URL, json={"tickets": [ticket], "end_of_stream": True})
    assert sync(ACME, only="zendesk_tickets").code == 1
    assert "Stream 'zendesk_tickets': ValueError at tap_journeys.sources.windows:" in caplog.text
    assert SOMEBODY not in caplog.text


def page(number: int, cursor: str, *, last: bool) -> dict[str, object]:
    ticket = {"id": number, "generated_timestamp": 1767312000 + number}
    links = {"after_cursor": cursor, "after_url": f"{URL}?cursor={cursor}"}
    return {"tickets": [ticket], "end_of_stream": last, **links}


def test_tickets_follow_the_cursor(no_fields):
    first, second = {"start_time": 1767225600, "per_page": 1000}, {"cursor": "abc"}
    no_fields.get(URL, json=page(1, "abc", last=False), match=[query_param_matcher(first)])
    no_fields.get(URL, json=page(2, "def", last=True), match=[query_param_matcher(second)])
    run = sync({**ACME, "start_date": "2026-01-01"}, only="zendesk_tickets")
    assert [row["id"] for row in run.rows("zendesk_tickets")] == [1, 2]
    assert run.bookmark("zendesk_tickets") == {
        "replication_key": "generated_timestamp",
        "replication_key_value": 1767312002,
        "cursor": "def",
    }


def test_a_time_export_without_an_end_of_stream_ends_with_a_short_page(no_fields):
    url = "https://acme.zendesk.com/api/v2/incremental/organizations.json"
    rows = [{"id": 1, "updated_at": "2026-01-02T00:00:00Z"}]
    no_fields.get(url, json={"organizations": rows, "count": 1, "end_time": 1767312000})
    run = sync(ACME, only="zendesk_organizations")
    assert (len(run.rows("zendesk_organizations")), run.code) == (1, 0)
    assert run.bookmark("zendesk_organizations")["replication_key_value"].startswith("2026-01-02")


def test_metrics_may_stand_inside_the_tickets(no_fields):
    ticket = {"id": 1, "generated_timestamp": 1, "metric_set": {"id": 9, "ticket_id": 1}}
    no_fields.get(URL, json={"tickets": [ticket], "end_of_stream": True, "after_cursor": "a"})
    run = sync(ACME, only="zendesk_ticket_metrics")
    assert run.rows("zendesk_ticket_metrics") == [{"id": 9, "ticket_id": 1}]


# -- check, catalog ----------------------------------------------------------------------------


def findings(account: Zendesk, **others: object) -> list[tuple[str, str]]:
    config = settings(account, **others)
    tap = TapJourneys(config=config)
    (found,) = tap.sources
    return list(found.check(tap))


def test_the_check_says_who_what_and_what_next(account):
    assert findings(account, product_field=PRODUCT_FIELD) == [
        ("ok", "logged in as an admin"),
        ("ok", "answers to surveys: satisfaction_ratings and survey_responses"),
        ("ok", "the product of a ticket is its field 'Product'"),
    ]
    account.surveys = "survey_responses"
    account.faults.missing_scopes = {"survey_responses"}
    assert findings(account) == [
        ("ok", "logged in as an admin"),
        (
            "warning",
            "no answers to surveys can be read; survey_responses: GET "
            "/api/v2/guide/survey_responses: the login lacks the scope `survey_responses:read`; "
            "grant it and run again",
        ),
        (
            "warning",
            "`product_field` is not set, so tickets have no product; set it to one of: "
            f"{PRODUCT_FIELD} (Product)",
        ),
    ]
    account.role = "agent"
    assert findings(account)[0] == (
        "error",
        "the login is no admin, so it may not read exports; use an admin's",
    )
    assert findings(account, api_token="wrong") == [
        ("error", "the login is not accepted (HTTP 401); renew it in the settings")
    ]


def test_the_check_does_not_take_nobody_for_a_login(no_fields):
    nobody = {"user": {"id": None, "name": "Anonymous user"}}
    no_fields.get("https://acme.zendesk.com/api/v2/users/me.json", json=nobody)
    tap = TapJourneys(config=ACME)
    (found,) = tap.sources
    assert list(found.check(tap)) == [("error", "the login is not known; renew it in the settings")]
