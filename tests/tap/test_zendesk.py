"""The source `zendesk` against the sandbox: complete, once, and from wherever it was stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tap_journeys.sources import zendesk as source
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


@pytest.fixture
def account() -> Iterator[Zendesk]:
    """An account of a few small pages, whose limits no test reaches by accident."""
    with Sandbox("zendesk") as sandbox:
        sandbox.clock.set("2026-03-01T00:00:00Z")
        zendesk = sandbox.zendesk
        for bucket in zendesk.limits.buckets.values():
            bucket.limit = 1_000_000
        zendesk.page_cap = 7
        zendesk.link_host = "https://other-name.zendesk.test"
        fill(zendesk)
        yield zendesk


# -- complete, and once ------------------------------------------------------------------------


def test_the_first_sync_writes_every_row_once(account):
    run = sync(settings(account))
    assert (written(run), run.code) == (truth(account), 0)
    assert repeated(run) == []
    assert account.count(200) == len(account.log)


def test_the_next_sync_writes_what_changed(account):
    first = sync(settings(account))
    world = account.world
    world.touch(3, at=day(10))  # by the system: `updated_at` stays
    world.update("tickets", 4, {"status": "open"}, at=day(10))
    world.add("tickets", {"requester_id": 1}, at=day(10))
    world.delete("tickets", 5, at=day(10))
    world.archive(6)
    users = sorted(world.tables["users"])
    world.merge(users[7], users[8], at=day(10))
    world.rate(9, "bad", at=day(10))

    second = sync(settings(account), first.state)
    assert (written(first, second), second.code) == (truth(account), 0)
    assert repeated(second) == []
    assert {row["id"] for row in second.rows("zendesk_tickets")} == {3, 4, 5, 8, 9, 41}
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


def test_an_answer_that_changed_is_written_again(account):
    account.clock.run()  # surveys are read up to now
    rating = account.world.add("satisfaction_ratings", {"ticket_id": 1, "score": "offered"})
    account.clock.advance(-86_400)
    only = "zendesk_satisfaction_ratings"
    first = sync(settings(account), only=only)
    account.world.tables["satisfaction_ratings"][rating["id"]]["created_at"] = day(4)
    assert len(first.rows(only)) == 10
    account.clock.run()
    later = next(iter(account.world.tables["satisfaction_ratings"]))
    account.world.update("satisfaction_ratings", later, {"score": "bad"})
    second = sync(settings(account), first.state, only=only)
    assert second.rows(only) == []  # its survey is older than a month


@pytest.mark.parametrize("stop_at", [4, 9, 15, 24, 40])
def test_killed_at_any_request_nothing_is_lost(account, tmp_path, stop_at):
    running = process(tmp_path, settings(account))
    account.faults.at_request(stop_at, running.kill)
    stdout, _ = running.communicate()
    assert running.returncode == -9
    lines = stdout.splitlines(keepends=True)
    killed = Run([json.loads(line) for line in lines if line.endswith(b"\n")], running.returncode)
    states = [each["value"] for each in killed.messages if each["type"] == "STATE"]
    second = sync(settings(account), states[-1] if states else None)
    assert (written(killed, second), second.code) == (truth(account), 0)
    assert repeated(second) == []


def test_a_cursor_that_is_too_old_is_read_again_by_time(account, caplog):
    first = sync(settings(account), only="zendesk_tickets")
    account.world.update("tickets", 4, {"status": "open"}, at=day(10))
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
    assert int(asked.target.partition("start_time=")[2].partition("&")[0]) <= time.time() - 120


def test_more_rows_in_one_second_than_a_page_holds(account):
    for _ in range(30):
        account.world.add("organizations", at=day(5))
    run = sync(settings(account), only="zendesk_organizations")
    assert (written(run)["zendesk_organizations"], run.code) == (
        truth(account)["zendesk_organizations"],
        0,
    )


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
    faults.error_share, faults.reset_share = 0.1, 0.05
    faults.cut_share = faults.truncated_share = 0.05
    run = sync(settings(account))
    assert (written(run), run.code) == (truth(account), 0)
    assert repeated(run) == []
    assert {"error", "reset", "cut", "truncated"} <= set(faults.happened)


def test_a_limit_below_the_documented_one_is_kept_to(account, monkeypatch):
    monkeypatch.setattr(source, "MINUTE_S", 1.0)
    account.limits.rate_factor, account.page_cap = 60, None
    account.limits["incremental"].limit = 4
    run = sync(settings(account))
    assert (written(run), run.code) == (truth(account), 0)


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
    account.world.add("tickets", at=day(10))
    account.faults.daily_limit_reached = True
    second = sync(settings(account), first.state)
    assert (second.code, second.rows("zendesk_tickets")) == (1, [])
    assert second.state == first.state
    account.faults.daily_limit_reached = False
    third = sync(settings(account), second.state)
    assert (written(first, third), third.code) == (truth(account), 0)
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
    assert (written(run), run.code) == (truth(account), 0)
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
