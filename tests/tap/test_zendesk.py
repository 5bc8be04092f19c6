"""The source `zendesk` against the sandbox: complete, once, and from wherever it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tap_journeys.sources import zendesk as source
from tap_journeys.sources import zendesk_exports, zendesk_lists
from tap_journeys.tap import TapJourneys
from tests.sandbox.server import Sandbox
from tests.sandbox.zendesk import Zendesk
from tests.tap.running import process
from tests.tap.zendesk_account import (
    PRODUCT_FIELD,
    Run,
    day,
    fill,
    repeated,
    settings,
    sync,
    truth,
    written,
)

EXPORTED = ("zendesk_tickets", "zendesk_users", "zendesk_ticket_events", "zendesk_organizations")


LATER = "2026-03-01T01:00:00Z"  # an hour after the first sync


@pytest.fixture
def account(monkeypatch) -> Iterator[Zendesk]:
    """An account of many small pages, whose limits no test reaches by accident."""
    with Sandbox("zendesk") as sandbox:
        sandbox.clock.set("2026-03-01T00:00:00Z")
        zendesk = sandbox.zendesk
        for bucket in zendesk.limits.buckets.values():
            bucket.limit = 1_000_000
        zendesk.page_cap = 7
        zendesk.link_host = "https://other-name.zendesk.test"
        fill(zendesk)
        for module in (zendesk_exports, zendesk_lists):
            monkeypatch.setattr(
                module, "latest_s", lambda: int(sandbox.clock.now().timestamp()) - 120
            )
        yield zendesk


def lacking(account: Zendesk, *runs: Run) -> dict[str, dict[object, object]]:
    """What the account holds and the runs did not write, or not in its latest version."""
    found = written(*runs)
    missing = {
        stream: {
            key: version for key, version in rows.items() if found[stream].get(key, 0) != version
        }
        for stream, rows in truth(account).items()
    }
    return {stream: rows for stream, rows in missing.items() if rows}


# -- complete, and once ------------------------------------------------------------------------


def test_the_first_sync_writes_every_row_once(account):
    run = sync(settings(account))
    assert (lacking(account, run), run.code) == ({}, 0)
    assert repeated(run) == []
    assert account.count(200) == len(account.log)


def test_the_next_sync_writes_what_changed(account):
    first = sync(settings(account))
    world = account.world
    account.clock.advance(7200)
    world.touch(3, at=LATER)  # by the system: `updated_at` stays
    world.update("tickets", 4, {"status": "open"}, at=LATER)
    world.add("tickets", {"requester_id": 1}, at=LATER)
    world.delete("tickets", 5, at=LATER)
    world.archive(6)
    users = sorted(world.tables["users"])
    world.merge(users[7], users[8], at=LATER)
    world.rate(9, "bad", at=LATER)

    second = sync(settings(account), first.state)
    assert (lacking(account, first, second), second.code) == ({}, 0)
    assert repeated(second) == []
    changed = {row["id"] for row in second.rows("zendesk_tickets")}
    assert changed == {3, 4, 5, 8, 9, 41}
    (gone,) = [row for row in second.rows("zendesk_tickets") if row["id"] == 5]
    assert gone["status"] == "deleted"
    assert {row["id"] for row in second.rows("zendesk_users")} == {users[7], users[8]}
    assert [row["active"] for row in second.rows("zendesk_users")] == [False, True]


def test_the_last_minute_comes_with_the_next_sync(account):
    account.world.add("tickets")
    first = sync(settings(account), only="zendesk_tickets")
    assert len(first.rows("zendesk_tickets")) == 40
    account.clock.advance(120)
    second = sync(settings(account), first.state, only="zendesk_tickets")
    assert [row["id"] for row in second.rows("zendesk_tickets")] == [41]


def test_an_answer_that_changed_is_written_again_and_no_other(account):
    only = "zendesk_satisfaction_ratings"
    late = account.world.rate(2, "offered", at="2026-02-20T00:00:00Z")["id"]
    first = sync(settings(account), only=only)
    assert len(first.rows(only)) == 11
    account.clock.advance(7200)
    account.world.update("satisfaction_ratings", late, {"score": "bad"}, at=LATER)
    second = sync(settings(account), first.state, only=only)
    assert [(row["id"], row["score"]) for row in second.rows(only)] == [(late, "bad")]


@pytest.mark.parametrize("stop_at", [4, 12, 24, 40])
def test_killed_at_any_request_nothing_is_lost(account, tmp_path, stop_at):
    running = process(tmp_path, settings(account))
    account.faults.at_request(stop_at, running.kill)
    stdout, _ = running.communicate()
    assert running.returncode == -9
    lines = stdout.splitlines(keepends=True)
    killed = Run([json.loads(line) for line in lines if line.endswith(b"\n")], running.returncode)
    states = [each["value"] for each in killed.messages if each["type"] == "STATE"]
    second = sync(settings(account), states[-1] if states else None)
    assert (lacking(account, killed, second), second.code) == ({}, 0)
    assert repeated(second) == []


def test_a_cursor_that_is_too_old_is_read_again_by_time(account, caplog):
    first = sync(settings(account), only="zendesk_tickets")
    account.clock.advance(7200)
    account.world.update("tickets", 4, {"status": "open"}, at=LATER)
    first.bookmark("zendesk_tickets")["cursor"] = "expired"
    second = sync(settings(account), first.state, only="zendesk_tickets")
    assert 4 in {row["id"] for row in second.rows("zendesk_tickets")}
    assert len(second.rows("zendesk_tickets")) < 40
    assert second.code == 0
    assert "its cursor is too old" in caplog.text


def test_start_date_is_where_the_first_sync_begins(account):
    run = sync({**settings(account), "start_date": day(3, 2)}, only="zendesk_tickets")
    assert run.code == 0
    assert 0 < len(run.rows("zendesk_tickets")) < 40


def test_start_date_in_the_last_minutes_is_moved_back(account):
    sync({**settings(account), "start_date": "2999-01-01"}, only="zendesk_tickets")
    (asked,) = account.requests("/incremental/tickets")
    assert int(asked.target.partition("start_time=")[2].partition("&")[0]) == 1772323200 - 120


def test_more_rows_in_one_second_than_a_page_holds(account):
    for _ in range(30):
        account.world.add("organizations", at=day(5))
    run = sync(settings(account))
    assert (lacking(account, run), run.code) == ({}, 0)


def test_the_product_field_stands_beside_the_ticket(account):
    run = sync(settings(account, product_field=PRODUCT_FIELD), only="zendesk_tickets")
    assert {row["product"] for row in run.rows("zendesk_tickets")} == {"p0", "p1", "p2"}
    assert (
        "product" not in sync(settings(account), only="zendesk_tickets").rows("zendesk_tickets")[0]
    )


def test_custom_fields_have_their_type_in_the_catalog(account, caplog):
    schema = TapJourneys(config=settings(account)).streams["zendesk_users"].schema
    assert schema["properties"]["user_fields"]["properties"]["crm_id"]["type"] == [
        "integer",
        "null",
    ]
    account.faults.missing_scopes = {"user_fields"}
    schema = TapJourneys(config=settings(account)).streams["zendesk_users"].schema
    assert "properties" not in schema["properties"]["user_fields"]
    assert "user_fields have no types" in caplog.text


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_change_nothing(account, monkeypatch, seed):
    monkeypatch.setattr("tap_journeys.sources.client.Patience.wait_s", lambda *_: 0.01)
    faults = account.faults
    faults.seed, faults.slow_share, faults.slow_ms = seed, 0.1, 50
    faults.error_share = faults.reset_share = 0.1
    faults.cut_share = faults.truncated_share = 0.1
    run = sync(settings(account))
    assert (lacking(account, run), run.code) == ({}, 0)
    assert repeated(run) == []
    assert {"error", "reset", "cut", "truncated"} <= set(faults.happened)


def test_a_limit_below_the_documented_one_is_kept_to(account, monkeypatch):
    monkeypatch.setattr(source, "MINUTE_S", 1.0)
    account.limits.rate_factor, account.page_cap = 60, None
    account.limits["incremental"].limit = 4
    run = sync(settings(account))
    assert (lacking(account, run), run.code) == ({}, 0)


@pytest.mark.parametrize("missing", ["satisfaction_ratings", "ticket_events"])
def test_a_missing_scope_is_named_and_stops_nobody(account, caplog, missing):
    account.faults.missing_scopes = {missing}
    run = sync(settings(account))
    stream = f"zendesk_{missing}"
    assert written(run) == truth(account) | {stream: {}}
    assert run.code == 0
    assert f"Stream '{stream}' is left out: " in caplog.text
    assert f"`{missing}:read`" in caplog.text


@pytest.mark.parametrize("kind", ["satisfaction_ratings", "survey_responses"])
def test_an_account_without_one_kind_of_surveys_is_well(account, kind):
    account.surveys = kind
    run = sync(settings(account))
    other = ({"satisfaction_ratings", "survey_responses"} - {kind}).pop()
    assert written(run) == truth(account) | {f"zendesk_{other}": {}}
    assert run.code == 0


def test_an_agent_may_not_read_exports(account, caplog):
    account.role = "agent"
    run = sync(settings(account))
    assert run.rows("zendesk_tickets") == []
    assert len(run.rows("zendesk_brands")) == 1
    assert "lacks the scope `read` of an admin" in caplog.text


def test_a_limit_for_the_day_ends_the_run_and_keeps_the_state(account, caplog):
    first = sync(settings(account))
    account.clock.advance(7200)
    account.world.add("tickets", at=LATER)
    account.faults.daily_limit_reached = True
    second = sync(settings(account), first.state)
    assert (second.code, second.rows("zendesk_tickets")) == (1, [])
    assert second.bookmark("zendesk_tickets") == first.bookmark("zendesk_tickets")
    account.faults.daily_limit_reached = False
    third = sync(settings(account), second.state)
    assert (lacking(account, first, third), third.code) == ({}, 0)
    assert "HTTP 429" in caplog.text


def test_a_wrong_token_is_said_once_and_not_tried_again(account, caplog):
    run = sync(settings(account, api_token="wrong"))
    assert run.code == 1
    assert "the login is not accepted (HTTP 401)" in caplog.text
    assert account.count(401) <= 2


# -- logins ------------------------------------------------------------------------------------


def oauth(account: Zendesk, **others: object) -> dict[str, object]:
    login = {"client_id": "sandbox-client", "client_secret": "sandbox-client-secret"}
    return {"sources": {"zendesk": {"base_url": account.url, **login, **others}}}


def test_client_credentials_and_tokens_that_expire(account):
    account.faults.expired_share = 0.2
    run = sync(oauth(account))
    assert (lacking(account, run), run.code) == ({}, 0)
    assert account.faults.happened["expired"] > 0


def test_a_refresh_token_is_kept_for_the_next_run(account, tmp_path):
    config = oauth(
        account,
        refresh_token="sandbox-zendesk-refresh",
        token_file=str(tmp_path / "zendesk.token"),
    )
    for _ in range(2):
        assert sync(config, only="zendesk_brands").code == 0
    assert (tmp_path / "zendesk.token").stat().st_mode & 0o777 == 0o600


def test_an_access_token_of_ones_own(account):
    token = account.new_access_token()
    config = {"sources": {"zendesk": {"base_url": account.url, "access_token": token}}}
    assert sync(config, only="zendesk_brands").code == 0


LOGIN = {"email": "a@acme.test", "api_token": "t"}
CLIENT = {"client_id": "c", "client_secret": "s"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (LOGIN, "`subdomain` is missing"),
        ({"subdomain": "acme.zendesk.com", **LOGIN}, "subdomain: String should match pattern"),
        ({"subdomain": "acme"}, "one way to log in is needed"),
        ({"subdomain": "acme", **LOGIN, "access_token": "t"}, "one way to log in is needed"),
        ({"subdomain": "acme", "email": "a@acme.test"}, "these go together"),
        ({"subdomain": "acme", "client_id": "c"}, "these go together"),
        ({"subdomain": "acme", **CLIENT, "refresh_token": "r"}, "`token_file` go together"),
        ({"subdomain": "acme", **LOGIN, "plan": "gold"}, "plan: Input should be"),
        ({"subdomain": "acme", **LOGIN, "token": "t"}, "token: Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(given, said):
    sources, errors = source_errors(given)
    assert sources == []
    assert any(said in each for each in errors), errors
    assert "acme" not in " ".join(errors)


def source_errors(given: dict[str, object]) -> tuple[list[object], list[str]]:
    from tap_journeys.settings import check_sources

    sources, errors = check_sources({"zendesk": given})
    return list(sources), errors


# -- pace --------------------------------------------------------------------------------------


def test_exports_are_read_as_fast_as_their_limit_allows(account, monkeypatch):
    """The documented 10 a minute, in minutes of three seconds, at 150 ms an answer.

    A busy machine is late by a good part of such a minute, so much is allowed for.
    """
    monkeypatch.setattr(source, "MINUTE_S", 3.0)
    account.limits.rate_factor, account.faults.latency_ms = 20, 150
    account.plan("team")
    account.page_cap = 20
    run = sync(settings(account))
    use = account.limits.use("incremental")
    least_s = ((use.requests - 1) // 10) * 3.0
    assert (lacking(account, run), run.code) == ({}, 0)
    assert use.requests > 10
    assert use.refused <= 1
    assert account.limits.use("account").refused == 0
    assert least_s / use.span_s >= 0.5  # a busy machine; 0.9 and more on an idle one
