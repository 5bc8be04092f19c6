"""Salesforce when something goes wrong: kills, faults, limits, logins, and what is said of them."""

from __future__ import annotations

import json
import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.settings import check_sources
from tap_journeys.sources import (
    base,
    errors,
    patience,
    salesforce_api,
    salesforce_bulk,
    salesforce_stream,
)
from tap_journeys.sources.salesforce_api import SalesforceError
from tests.sandbox.base import Answer
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_query import refused
from tests.sandbox.server import Sandbox
from tests.tap.running import Done, command, process
from tests.tap.salesforce_company import (
    CLIENT,
    SECRETS,
    START,
    found_company,
    last_of,
    settings,
    truth,
)


@pytest.fixture
def salesforce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Salesforce]:
    """A company whose rows make many small pages, and a tap that does not wait long."""
    monkeypatch.setattr(salesforce_bulk, "FIRST_POLL_S", 0.01)
    monkeypatch.setattr(salesforce_bulk, "PAGE_ROWS", 5)
    monkeypatch.setattr(salesforce_stream, "PAGE_ROWS", 5)
    monkeypatch.setattr(salesforce_stream, "JOB_ROWS", 10)
    monkeypatch.setattr(salesforce_api, "PAGE_SIZE", {})
    monkeypatch.setattr(base, "STATE_EVERY_S", 0.0)
    monkeypatch.setattr(patience, "LIMITED_WAIT_S", 0.01)
    monkeypatch.setattr(patience, "wait_random_exponential", lambda **_: lambda state: 0.005)
    with Sandbox("salesforce") as sandbox:
        sandbox.salesforce.page_rows = 5
        found_company(sandbox.salesforce)
        yield sandbox.salesforce


def messages(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def bookmarks(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return [line["value"]["bookmarks"] for line in lines if line["type"] == "STATE"][-1]


def before_last_state(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a target has certainly stored when it says that STATE is done."""
    places = [place for place, line in enumerate(lines) if line["type"] == "STATE"]
    return lines[: places[-1] + 1] if places else []


def again(folder: Path, config: dict[str, Any], lines: list[dict[str, Any]]) -> Done:
    """A run that starts from the last STATE of these lines."""
    states = [line["value"] for line in lines if line["type"] == "STATE"]
    (folder / "state.json").write_text(json.dumps(states[-1] if states else {}))
    return command(folder, "--state", "state.json", config=config)


# -- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bulk", ["never", "always"])
def test_a_run_that_ends_at_any_request_loses_nothing(salesforce, tmp_path, bulk):
    config = settings(salesforce, bulk=bulk)
    ended = 0
    for number in range(1, 400, 23 if bulk == "never" else 67):
        salesforce.forget_requests()
        salesforce.faults.at_request(number, salesforce.clients.clear)
        salesforce.faults.at_request(number, salesforce.expire_sessions)
        done = command(tmp_path, config=config)
        salesforce.faults.on_request.clear()
        salesforce.clients["sandbox-client"] = "sandbox-client-secret"
        if done.returncode == 0:
            break
        ended += 1
        stored = before_last_state(messages(done))
        then = again(tmp_path, config, stored)
        assert then.returncode == 0, then.stderr
        assert last_of(stored + messages(then)) == truth(salesforce)
    assert ended > 3


def test_a_killed_process_loses_nothing(salesforce, tmp_path):
    config = settings(salesforce)
    run = process(tmp_path, config)
    salesforce.faults.at_request(35, run.kill)
    stdout, _ = run.communicate(timeout=30)
    assert run.returncode == -9
    lines = [json.loads(line) for line in stdout.splitlines() if line.endswith(b"}")]
    stored = before_last_state(lines)
    done = again(tmp_path, config, stored)
    assert done.returncode == 0, done.stderr
    assert last_of(stored + messages(done)) == truth(salesforce)


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bulk", ["never", "always"])
@pytest.mark.parametrize("seed", [1, 2])
def test_faults_change_nothing(salesforce, tmp_path, bulk, seed):
    faults = salesforce.faults
    faults.seed, faults.in_a_row = seed, 2
    faults.error_share = faults.reset_share = faults.cut_share = faults.truncated_share = 0.05
    faults.expired_share, faults.slow_share, faults.slow_ms = 0.04, 0.05, 20
    faults.error_statuses = (500, 502, 503, 420, 429, 406)
    done = command(tmp_path, config=settings(salesforce, bulk=bulk))
    assert done.returncode == 0, done.stderr
    assert last_of(messages(done)) == truth(salesforce)
    found = Counter(
        (m["stream"], m["record"]["Id"]) for m in messages(done) if m["type"] == "RECORD"
    )
    assert set(found.values()) == {1}
    assert {"error", "reset", "truncated"} <= set(faults.happened)


def test_too_many_requests_at_once_are_waited_for(salesforce, tmp_path, monkeypatch):
    monkeypatch.setattr(salesforce_api, "CONCURRENT_WAIT_S", 0.01)
    words = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    answers = salesforce.answer
    left = iter(range(20))

    def answer(request: Any) -> Any:
        if "/queryAll" in request.path and next(left, None) is not None:
            return refused(403, "REQUEST_LIMIT_EXCEEDED", words).answer
        return answers(request)

    monkeypatch.setattr(salesforce, "answer", answer)
    done = command(tmp_path, config=settings(salesforce))
    assert (done.returncode, last_of(messages(done))) == (0, truth(salesforce)), done.stderr


def test_a_missing_object_is_a_warning_that_names_it(salesforce, tmp_path):
    salesforce.faults.missing_scopes = {"Case", "Task"}
    done = command(tmp_path, config=settings(salesforce))
    assert done.returncode == 0
    assert "Stream 'salesforce_case' is left out: the login lacks the scope Read" in done.stderr
    expected = truth(salesforce)
    del expected["salesforce_case"], expected["salesforce_task"]
    assert last_of(messages(done)) == expected


def test_an_object_that_cannot_be_described_is_not_read_with_other_columns(
    salesforce, tmp_path, monkeypatch
):
    """Described again while it is read, its records would not be what its schema says."""
    answers, left = salesforce.answer, iter(range(patience.FAULTS))

    def answer(request: Any) -> Any:
        fails = request.path.endswith("/Account/describe") and next(left, None) is not None
        return Answer(500) if fails else answers(request)

    monkeypatch.setattr(salesforce, "answer", answer)
    done = command(tmp_path, config=settings(salesforce))
    lines, expected, account = messages(done), truth(salesforce), "salesforce_account"
    assert (done.returncode, bookmarks(lines).get(account, {})) == (1, {})
    assert "Stream 'salesforce_account': GET /services/data/" in done.stderr
    assert account not in {line["stream"] for line in lines if line["type"] == "SCHEMA"}
    assert last_of(lines) == {name: rows for name, rows in expected.items() if name != account}
    then = again(tmp_path, settings(salesforce), lines)
    assert (then.returncode, last_of(messages(then))[account]) == (0, expected[account])


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, '{"done": true}', None),
        (200, '[{"errorCode": "QUERY_TIMEOUT", "message": "x"}]', SalesforceError),
        (400, '[{"errorCode": "MALFORMED_QUERY", "message": "x"}]', SalesforceError),
        (400, '[{"errorCode": "MALFORMED_QU', errors.TryAgainError),
        (403, '[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "x"}]', errors.ClosedError),
        (403, '[{"errorCode": "API_DISABLED_FOR_ORG", "message": "x"}]', errors.ClosedError),
        (401, '[{"errorCode": "INVALID_SESSION_ID", "message": "x"}]', errors.LoginExpiredError),
        (403, '[{"errorCode": "INVALID_SESSION_ID", "message": "x"}]', errors.LoginExpiredError),
        (404, '[{"errorCode": "NOT_FOUND", "message": "x"}]', errors.NotThereError),
        (420, "<html>", errors.TryAgainError),
        (406, "", errors.TryAgainError),
        (503, "<html>", errors.TryAgainError),
        (400, "[]", FatalAPIError),
        (400, '[["x"]]', FatalAPIError),
    ],
)
def test_an_answer_means_what_its_code_says(status: int, body: str, meaning: type | None):
    answer = requests.Response()
    answer.status_code, answer._content = status, body.encode()
    answer.headers["Content-Type"] = "text/html" if body.startswith("<") else "application/json"
    found = salesforce_api.judge(answer)
    assert type(found) is (meaning or type(None))


# -- limits of the day ---------------------------------------------------------------------------


def test_reading_stops_at_its_share_of_the_day(salesforce, tmp_path):
    salesforce.limits["daily"].limit = 120
    config = settings(salesforce, max_api_share=0.5)
    done = command(tmp_path, config=config)
    assert done.returncode == 1
    assert "50% of the organisation's API requests of the day are used" in done.stderr
    used = len([line for line in salesforce.requests("/services/data") if line.status != 401])
    assert 60 <= used <= 60 + salesforce_api.AT_ONCE
    stored = before_last_state(messages(done))
    salesforce.limits["daily"].limit = 100_000
    assert last_of(stored + messages(again(tmp_path, config, stored))) == truth(salesforce)


def test_a_used_up_day_ends_the_run_and_keeps_the_state(salesforce, tmp_path):
    config = settings(salesforce)
    first = command(tmp_path, config=config)
    salesforce.faults.daily_limit_reached = True
    done = again(tmp_path, config, messages(first))
    assert done.returncode == 1
    assert "API requests of the day are used up" in done.stderr
    before, after = (bookmarks(messages(each)) for each in (first, done))
    assert after.items() >= before.items()


# -- logins --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode()


def test_every_login_works(salesforce, tmp_path, private_key):
    salesforce.sessions["pasted"] = None
    signed = {"client_id": "sandbox-client", "username": "admin@sandbox.test"}
    for login in (
        {**signed, "login_url": salesforce.url, "private_key": private_key},
        {**CLIENT, "login_url": salesforce.url},
        {**CLIENT, "base_url": salesforce.url, "refresh_token": "sandbox-salesforce-refresh"},
        {"access_token": "pasted", "instance_url": salesforce.url},
    ):
        config = {"start_date": START, "sources": {"salesforce": login}}
        done = command(tmp_path, config=config)
        assert (done.returncode, last_of(messages(done))) == (0, truth(salesforce)), done.stderr


def test_the_data_is_where_the_login_says(salesforce, tmp_path):
    with Sandbox("salesforce") as other:
        elsewhere = {"login_url": other.salesforce.url, "base_url": salesforce.url}
        other.salesforce.sessions = salesforce.sessions  # what one opens, the other knows
        done = command(tmp_path, config=settings(salesforce, **elsewhere))
        assert done.returncode == 0, done.stderr
        assert [line.path for line in other.salesforce.requests()] == ["/services/oauth2/token"]


def test_a_renewed_refresh_token_is_kept(salesforce, tmp_path):
    salesforce.rotates = True
    config = settings(salesforce, token_file=str(tmp_path / "token.json"))
    assert command(tmp_path, config=config).returncode == 0
    assert command(tmp_path, config=config).returncode == 0
    assert "sandbox-salesforce-refresh" not in (tmp_path / "token.json").read_text()


def test_a_session_that_ends_is_opened_anew(salesforce, tmp_path):
    salesforce.faults.at_request(40, salesforce.expire_sessions)
    done = command(tmp_path, config=settings(salesforce))
    assert (done.returncode, last_of(messages(done))) == (0, truth(salesforce)), done.stderr
    assert len(list(salesforce.requests("/oauth2/token"))) == 2


def test_a_wrong_login_is_told_with_what_to_do(salesforce, tmp_path):
    done = command(tmp_path, config=settings(salesforce, refresh_token="old"))
    assert done.returncode == 1
    assert "invalid_grant; renew the client's credentials or the refresh token" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs access_token and instance_url, or client_id"),
        ({"access_token": "t"}, "access_token needs instance_url"),
        ({"client_id": "c"}, "client_id needs refresh_token, client_secret or private_key"),
        ({"client_id": "c", "private_key": "k"}, "private_key needs username"),
        ({"client_id": "c", "private_key": "k", "username": "u"}, "no RSA key in PEM form"),
        ({"client_id": "c", "client_secret": "s"}, "client credentials need login_url"),
        ({"access_token": "t", "instance_url": "u", "objects": ["a b"]}, "objects.0"),
        ({"access_token": "t", "instance_url": "u", "objekts": []}, "objekts"),
    ],
)
def test_a_login_that_is_not_whole_is_an_error_before_the_first_request(given, said):
    _, (error, *_) = check_sources({"salesforce": given})
    assert said in error


# -- what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    ["none", "wrong login", "day used up", "faults", "our own mistake"],
)
def test_secrets_and_customers_are_never_said(salesforce, tmp_path, monkeypatch, caplog, trouble):
    monkeypatch.setenv("TAP_JOURNEYS_LOGLEVEL", "DEBUG")
    caplog.set_level(logging.DEBUG)
    config = settings(salesforce)
    monkeypatch.setattr(secrets, "token_urlsafe", lambda *_: "planted-session")
    if trouble == "wrong login":
        salesforce.clients.clear()
    elif trouble == "day used up":
        salesforce.faults.daily_limit_reached = True
    elif trouble == "faults":
        salesforce.faults.error_share, salesforce.faults.in_a_row = 0.9, 100
    elif trouble == "our own mistake":
        monkeypatch.setattr(salesforce_stream, "from_rest", mistake)
    done = command(tmp_path, config=config)
    assert (done.returncode == 0) == (trouble == "none")
    states = [json.dumps(m) for m in messages(done) if m["type"] == "STATE"]
    everything = "".join((done.stderr, caplog.text, *states))
    assert [secret for secret in (*SECRETS, "planted-session") if secret in everything] == []
    assert "DEBUG" in {record.levelname for record in caplog.records}


def test_settings_are_never_shown(tmp_path):
    login = {**CLIENT, "refresh_token": "sandbox-salesforce-refresh", "bulk": SECRETS[0]}
    config = {"sources": {"salesforce": login}}
    for options in ((), ("--about",), ("--about", "--format=json"), ("--discover",)):
        done = command(tmp_path, *options, config=config)
        assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []


def mistake(fields: Any, row: dict[str, Any]) -> Any:
    raise ValueError(row)
