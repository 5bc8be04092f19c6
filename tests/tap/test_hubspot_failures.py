"""HubSpot when things go wrong: kills, faults, limits, logins, scopes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tap_journeys.sources import hubspot_beside, hubspot_client, hubspot_objects, patience
from tap_journeys.sources.errors import ClosedError, MissingScopeError, TryAgainError
from tap_journeys.sources.hubspot import HubSpot as HubSpotSettings
from tap_journeys.sources.hubspot_client import judge
from tap_journeys.tap import TapJourneys
from tests.sandbox.base import Answer, Request
from tests.sandbox.hubspot import HubSpot
from tests.tap.hubspot_runs import (
    PAST,
    Ran,
    account,
    messages_of,
    oauth,
    run,
    settings,
)
from tests.tap.running import command

EMAIL = "planted.customer@acme.test"
NAMES = ("contacts", "companies", "deals", "tickets", "emails", "forms")


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with account() as found:
        yield found


def fill(hubspot: HubSpot, count: int = 450) -> dict[str, set[str]]:
    """A few pages of objects that belong together; their ids by stream."""
    world = hubspot.world
    truth: dict[str, set[str]] = {name: set() for name in NAMES}
    for number in range(count):
        at = f"2026-01-05T{number // 60:02}:{number % 60:02}:00Z"  # most before the last minutes
        person = world.add("contacts", {"email": EMAIL if number == 7 else f"{number}@x"}, at=at)
        truth["contacts"].add(person)
        for name in ("deals", "tickets", "emails") if number % 3 == 0 else ():
            other = world.add(name, {}, at=at)
            world.associate(name, other, "contacts", person)
            truth[name].add(other)
    truth["companies"] = {world.add("companies", {"domain": "acme.test"}, at=PAST)}
    for number in range(3):
        archived = world.add("companies", {}, at=PAST)
        world.archive("companies", archived, at=f"2026-02-0{number + 1}T00:00:00Z")
        truth["companies"].add(archived)
    world.add_form("f-1", "Demo")
    truth["forms"] = {"f-1"}
    for number in range(120):
        world.submit("f-1", {"email": EMAIL}, at_ms=1767600000000 + number)
    return truth


def found(*runs: Ran) -> dict[str, set[str]]:
    return {name: set().union(*(each.ids(name) for each in runs)) for name in NAMES}


def submissions(*runs: Ran) -> int:
    keys = {row["conversionId"] for each in runs for row in each.records("form_submissions")}
    return len(keys)


# -- kills ---------------------------------------------------------------------------------


def test_a_run_that_is_killed_at_any_request_loses_nothing(hubspot: HubSpot) -> None:
    truth = fill(hubspot)
    raw, length = io.BytesIO(), {}
    hubspot.faults.on_request.append(
        lambda number, _: length.__setitem__(number, len(raw.getvalue()))
    )
    whole = run(hubspot, raw=raw)
    assert (found(whole), submissions(whole)) == (truth, 120)
    hubspot.faults.on_request.clear()
    lines = whole.written.splitlines(keepends=True)
    inside = [at for at, line in enumerate(lines, start=1) if b'"cursor"' in line]
    assert inside  # or no run could go on inside a stream
    ends = [len(b"".join(lines[:at])) for at in inside[:: len(inside) // 3 or 1]]
    ends += [length[number] for number in range(20, max(length), max(length) // 7)]
    for end in ends:
        killed = Ran(1, messages_of(whole.written[:end]))
        after = run(hubspot, killed.state)
        assert (found(killed, after), submissions(killed, after)) == (truth, 120), end


def test_what_changed_while_a_run_was_killed_is_read_after_its_rest(hubspot: HubSpot) -> None:
    fill(hubspot)
    last = max(row.id for row in hubspot.world.listed("contacts"))
    at = "2026-01-05T00:00:00.000000Z"
    cursor = {"since": None, "until": at, "after_id": last - 1, "found_at": at}
    state = {"bookmarks": {"hubspot_contacts": {"cursor": cursor}}}
    first = min(row.id for row in hubspot.world.listed("contacts"))
    hubspot.world.update("contacts", first, {"jobtitle": "CEO"}, at="2026-02-20T00:00:00Z")
    done = run(hubspot, state)
    assert {str(first), str(last)} <= done.ids("contacts")
    bookmark = done.state["bookmarks"]["hubspot_contacts"]
    assert "cursor" not in bookmark
    assert bookmark["replication_key_value"] == "2026-02-20T00:00:00.000000Z"


# -- faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_change_nothing(hubspot: HubSpot, seed: int) -> None:
    truth = fill(hubspot)
    faults = hubspot.faults
    faults.seed = seed
    faults.error_share, faults.reset_share = 0.1, 0.06
    faults.cut_share, faults.truncated_share, faults.expired_share = 0.06, 0.06, 0.1
    faults.slow_share, faults.slow_ms = 0.1, 30
    done = run(hubspot, config=oauth(hubspot))
    assert (done.code, found(done), submissions(done)) == (0, truth, 120)
    for name in NAMES:
        assert len(done.records(name)) == len(truth[name])
    assert {"error", "reset", "cut", "truncated", "expired"} <= set(faults.happened)


def test_a_429_beyond_the_limits_is_waited_for(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = fill(hubspot)
    hubspot.limits.off = False
    hubspot.limits["search"].limit = 2  # others of the account search, too
    done = run(hubspot)
    assert (done.code, found(done)) == (0, truth)
    assert hubspot.count(429) > 0


def test_a_page_that_is_empty_is_not_the_end(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = fill(hubspot)
    answer, emptied = hubspot.answer, []

    def with_holes(request: Request) -> Answer:
        pages = request.path.endswith("contacts/search") and request.json["limit"] > 1
        if pages and "after" not in request.json and len(emptied) < 2:
            emptied.append(request)
            return Answer(200, {"results": [], "paging": {"next": {"after": "0"}}})
        return answer(request)

    monkeypatch.setattr(hubspot, "answer", with_holes)
    assert found(run(hubspot)) == truth
    assert len(emptied) == 2


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([{"id": "2"}, {"id": "1"}], "does not keep to the order of `hs_object_id`"),
        ([], "is the same page again"),
    ],
)
def test_a_search_that_goes_nowhere_ends_the_stream(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch, caplog: Any, results: Any, said: str
) -> None:
    fill(hubspot, 3)
    answer = hubspot.answer

    def stuck(request: Request) -> Answer:
        if request.path.endswith("contacts/search") and request.json["limit"] > 1:
            return Answer(200, {"results": results, "paging": {"next": {"after": "0"}}})
        return answer(request)

    monkeypatch.setattr(hubspot, "answer", stuck)
    done = run(hubspot)
    assert (done.code, len(done.records("companies"))) == (1, 4)
    assert said in caplog.text


# -- limits --------------------------------------------------------------------------------


def test_the_daily_limit_ends_the_run_and_keeps_the_state(hubspot: HubSpot, caplog: Any) -> None:
    truth = fill(hubspot)
    faults = hubspot.faults
    faults.at_request(45, lambda: setattr(faults, "daily_limit_reached", True))
    first = run(hubspot)
    assert first.code == 1
    assert "daily limit is reached" in caplog.text
    faults.on_request.clear()
    faults.daily_limit_reached = False
    second = run(hubspot, first.state)
    assert (second.code, found(first, second)) == (0, truth)


def test_reading_keeps_near_to_the_rate_that_is_allowed(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a latency as in life, and 30 requests a second: more than HubSpot allows.

    One request after the other would be a fifth of it; what is left is for a busy machine.
    """
    fill(hubspot, 300)
    hubspot.limits.off, hubspot.limits.rate_factor = False, 5
    hubspot.limits["burst"].limit = 60
    hubspot.limits["search"].limit = 10_000  # its windows would be too short to measure
    hubspot.faults.latency_ms = 150
    monkeypatch.setattr(hubspot_client, "WINDOW_S", 2.0)
    monkeypatch.setattr(hubspot_client, "REQUESTS", 60)
    for module in (hubspot_beside, hubspot_objects):
        monkeypatch.setattr(module, "BATCH", 10)
    assert run(hubspot).code == 0
    use = hubspot.limits.use("burst")
    assert use.span_s > 4
    assert use.share > 0.75
    assert use.refused < use.requests / 5  # windows of two seconds slip on a busy machine


# -- logins --------------------------------------------------------------------------------


def test_a_token_that_ends_in_the_middle_is_renewed(hubspot: HubSpot) -> None:
    truth = fill(hubspot)

    def expire() -> None:
        for token in hubspot.access_tokens:
            hubspot.access_tokens[token] = hubspot.clock.now()

    for number in (20, 40):
        hubspot.faults.at_request(number, expire)
    done = run(hubspot, config=oauth(hubspot))
    assert (done.code, found(done)) == (0, truth)
    assert len(list(hubspot.requests("/oauth/v1/token"))) == 3


@pytest.mark.parametrize("wrong", ["refresh_token", "client_secret"])
def test_a_refused_login_says_so_and_what_to_do(hubspot: HubSpot, caplog: Any, wrong: str) -> None:
    done = run(hubspot, config=oauth(hubspot, **{wrong: "planted-secret"}))
    assert done.code == 1
    assert "the token endpoint answered HTTP 400" in caplog.text
    assert "refresh token in the settings" in caplog.text
    assert "planted-secret" not in caplog.text


def test_a_token_that_is_not_accepted_ends_the_run(hubspot: HubSpot, caplog: Any) -> None:
    done = run(hubspot, config=settings(hubspot, access_token="pat-of-another"))
    assert (done.code, done.records("pipelines")) == (1, [])
    assert "the login is not accepted (HTTP 401)" in caplog.text
    assert len(list(hubspot.requests())) <= 20


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"access_token": "t", "client_id": "c"},
        {"client_id": "c", "client_secret": "s"},
    ],
)
def test_settings_name_one_login(tmp_path: Any, given: dict[str, Any]) -> None:
    done = command(tmp_path, config={"sources": {"hubspot": given}})
    assert done.returncode == 2
    assert "sources.hubspot: give `access_token` of a private app, or" in done.stderr


# -- scopes --------------------------------------------------------------------------------


def test_a_missing_scope_leaves_out_that_stream_and_names_the_scope(
    hubspot: HubSpot, caplog: Any
) -> None:
    truth = fill(hubspot)
    hubspot.faults.missing_scopes = {"tickets"}
    done = run(hubspot)
    assert (done.code, found(done)) == (0, truth | {"tickets": set()})
    assert "Stream 'hubspot_tickets' is left out: " in caplog.text
    assert "lacks the scope tickets" in caplog.text
    assert "Minimal schemas for hubspot_tickets" in caplog.text


def test_deals_are_read_without_their_line_items_where_these_may_not_be_read(
    hubspot: HubSpot, caplog: Any
) -> None:
    world = hubspot.world
    deal, line = world.add("deals", {}, at=PAST), world.add("line_items", {}, at=PAST)
    world.associate("deals", deal, "line_items", line)
    hubspot.faults.missing_scopes = {"line_items"}
    done = run(hubspot)
    record = done.one("deals", deal)
    assert (done.code, record["line_items"]) == (0, [])
    assert caplog.text.count("line_items are left out") == 1
    assert "crm.objects.line_items.read" in caplog.text


def test_where_properties_cannot_be_read_the_known_ones_are(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    fill(hubspot, 1)
    answer = hubspot.answer

    def undefined(request: Request) -> Answer:
        return Answer(404) if "/properties/" in request.path else answer(request)

    monkeypatch.setattr(hubspot, "answer", undefined)
    done = run(hubspot)
    (contact,) = done.records("contacts")
    assert {"email", "hs_analytics_source"} <= set(contact["properties"])
    assert done.code == 0
    assert "Minimal schemas for hubspot_contacts" in caplog.text


@pytest.mark.parametrize(
    ("kind", "unread"),
    [("contacts", "contacts"), ("line_items", "deals")],  # deals hold their line items
)
def test_objects_whose_properties_cannot_be_read_this_time_are_read_the_next_time(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch, kind: str, unread: str
) -> None:
    truth = fill(hubspot, 1)
    answer, left = hubspot.answer, iter(range(patience.FAULTS))

    def busy(request: Request) -> Answer:
        fails = request.path.endswith(f"/properties/{kind}") and next(left, None) is not None
        return Answer(502) if fails else answer(request)

    monkeypatch.setattr(hubspot, "answer", busy)
    done = run(hubspot)
    assert (done.code, found(done)) == (1, truth | {unread: set()})
    described = {m["stream"] for m in done.messages if m["type"] == "SCHEMA"}
    assert f"hubspot_{unread}" not in described
    then = run(hubspot, done.state)
    assert (then.code, found(then)[unread]) == (0, truth[unread])


def test_the_check_says_what_can_be_read_and_what_to_grant(hubspot: HubSpot) -> None:
    hubspot.faults.missing_scopes = {"deals"}
    config = settings(hubspot)
    source = HubSpotSettings.model_validate(config["sources"]["hubspot"])
    said = dict(reversed(each) for each in source.check(TapJourneys(config=config)))
    assert said["hubspot_contacts can be read (crm.objects.contacts.read)"] == "ok"
    missing = sorted(sentence for sentence, level in said.items() if level == "warning")
    assert [each.partition(" ")[0] for each in missing] == ["hubspot_deals", "hubspot_pipelines"]
    assert "will be left out: " in missing[0]
    assert "lacks the scope crm.objects.deals.read; grant it" in missing[0]


def test_the_check_says_that_a_login_is_refused(hubspot: HubSpot) -> None:
    config = settings(hubspot, access_token="wrong")
    source = HubSpotSettings.model_validate(config["sources"]["hubspot"])
    ((level, sentence),) = source.check(TapJourneys(config=config))
    assert level == "error"
    assert "the login is not accepted (HTTP 401)" in sentence


# -- what is told --------------------------------------------------------------------------


def test_neither_secrets_nor_customers_are_told(
    hubspot: HubSpot, caplog: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(hubspot, 30)
    hubspot.faults.error_share, hubspot.faults.cut_share = 0.2, 0.2
    hubspot.faults.missing_scopes = {"calls"}
    answer = hubspot.answer

    def failing(request: Request) -> Answer:
        if "tickets" in request.path and "search" in request.path:
            return Answer(400, {"category": "VALIDATION_ERROR", "message": EMAIL})
        if "emails" in request.path:
            return Answer(200, {"results": [{"what": EMAIL}]})
        return answer(request)

    monkeypatch.setattr(hubspot, "answer", failing)
    with caplog.at_level(logging.DEBUG):
        done = run(hubspot)
    assert done.code == 1
    assert EMAIL in json.dumps(done.records("contacts"))
    told = caplog.text + capsys.readouterr().err + json.dumps(done.state)
    assert "Stream 'hubspot_tickets': " in told
    assert "Stream 'hubspot_emails': KeyError at " in told
    assert EMAIL not in told
    assert hubspot.token not in told


# -- answers -------------------------------------------------------------------------------


class Said:
    """An answer as `requests` gives it."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        self.status_code, self.content = status, json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.url = "https://api.hubapi.com/crm/v4/associations/deals/line_items/batch/read"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"policyName": "DAILY"}, ClosedError),
        (429, {"message": "You have reached your daily limit."}, ClosedError),
        (429, {"policyName": "TEN_SECONDLY_ROLLING"}, TryAgainError),
        (429, [], TryAgainError),
        (403, {"category": "MISSING_SCOPES"}, MissingScopeError),
        (207, {"errors": [{"category": "OBJECT_NOT_FOUND"}]}, type(None)),
        (207, {"errors": [{"category": "RATE_LIMITS"}]}, TryAgainError),
        (477, {}, TryAgainError),
        (521, {}, TryAgainError),
        (530, "<html>", TryAgainError),
        (414, "<html>", hubspot_client.RefusedError),
        (200, {}, type(None)),
    ],
)
def test_answers_mean(status: int, body: Any, kind: type) -> None:
    assert type(judge(Said(status, body))) is kind  # type: ignore[arg-type]  # what it reads


def test_a_limit_waits_as_the_answer_says_or_as_the_window_rolls() -> None:
    told = judge(Said(429, {"policyName": "SECONDLY"}, Retry_After="7"))  # type: ignore[arg-type]
    short = judge(Said(429, {"policyName": "SECONDLY"}))  # type: ignore[arg-type]
    long = judge(Said(429, {"policyName": "TEN_SECONDLY_ROLLING"}))  # type: ignore[arg-type]
    assert [each.wait_s for each in (told, short, long)] == [7, 1, 2]  # type: ignore[union-attr]


def test_a_scope_is_named_by_the_answer_or_else_by_the_address() -> None:
    context = {"requiredGranularScopes": ["a.read", "b.read"]}
    body = {"category": "MISSING_SCOPES", "errors": [{"context": context}]}
    named = judge(Said(403, body))  # type: ignore[arg-type]
    documented = judge(Said(403, {"category": "MISSING_SCOPES"}))  # type: ignore[arg-type]
    assert isinstance(named, MissingScopeError)
    assert isinstance(documented, MissingScopeError)
    assert named.scope == "a.read or b.read"
    assert documented.scope == "crm.objects.line_items.read"
