"""Salesforce: every row once, in every way of reading, and again only what changed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tap_journeys.sources import base, salesforce_api, salesforce_bulk, salesforce_stream
from tap_journeys.sources.salesforce import Salesforce as Source
from tap_journeys.tap import TapJourneys
from tests.pipes import Pipe
from tests.sandbox.base import Request
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_query import refused
from tests.sandbox.server import Sandbox
from tests.tap.running import last_state, records, run
from tests.tap.salesforce_company import found_company, last_of, settings, truth


@pytest.fixture
def salesforce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Salesforce]:
    monkeypatch.setattr(salesforce_bulk, "FIRST_POLL_S", 0.01)
    monkeypatch.setattr(base, "STATE_EVERY_S", 0.0)
    with Sandbox("salesforce") as sandbox:
        sandbox.clock.set("2026-01-05T09:00:00Z")
        yield sandbox.salesforce


@pytest.fixture
def small_pages(salesforce: Salesforce, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of five rows, so that a few rows make many."""
    monkeypatch.setattr(salesforce_stream, "PAGE_ROWS", 5)
    monkeypatch.setattr(salesforce_stream, "JOB_ROWS", 10)
    monkeypatch.setattr(salesforce_bulk, "PAGE_ROWS", 5)
    monkeypatch.setattr(salesforce_api, "PAGE_SIZE", {})
    salesforce.page_rows = 5


def by_id(messages: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    found = (m for m in messages if m["type"] == "RECORD")
    return {(m["stream"], m["record"]["Id"]): m["record"] for m in found}


def keys(messages: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((m["stream"], m["record"]["Id"]) for m in messages if m["type"] == "RECORD")


def bookmarks(state: dict[str, Any]) -> dict[str, str]:
    marks = state["bookmarks"].items()
    return {name: mark["replication_key_value"] for name, mark in marks if mark}


# -- everything once -----------------------------------------------------------------------------


@pytest.mark.parametrize("bulk", ["never", "always", "auto"])
def test_the_first_sync_reads_every_row_once(salesforce, small_pages, bulk):
    found_company(salesforce)
    messages = run(settings(salesforce, bulk=bulk, bulk_from=13))
    assert last_of(messages) == truth(salesforce)
    assert set(keys(messages).values()) == {1}
    jobs = [line.method for line in salesforce.requests("/jobs/query")].count("POST")
    assert (jobs > 0) == (bulk != "never")
    assert not salesforce.jobs  # their rows are not left behind


def test_rest_and_bulk_write_the_same_records(salesforce):
    found_company(salesforce)
    salesforce.world.add_field("Contact", "Score__c:int")
    salesforce.world.add_field("Contact", "Rate__c:double")
    salesforce.world.add("Contact", LastName='O"Neill,\nJr', Score__c=3, Rate__c=1e7)
    rest, bulk = (by_id(run(settings(salesforce, bulk=way))) for way in ("never", "always"))
    assert rest == bulk
    (scored,) = (record for record in bulk.values() if record.get("Score__c"))
    assert (scored["Score__c"], scored["Rate__c"], scored["IsDeleted"]) == (3, 1e7, False)


def test_rows_know_the_account_that_they_belong_to(salesforce):
    found_company(salesforce, deals=1)
    messages = run(settings(salesforce))
    (account,) = salesforce.world.rows["Account"]
    for stream in ("opportunity_history", "opportunity_line_item", "opportunity_contact_role"):
        for record in records(messages, f"salesforce_{stream}"):
            assert record["Opportunity"] == {"AccountId": account}
    (history,) = records(messages, "salesforce_case_history")
    assert history["Case"]["AccountId"] == account
    assert "attributes" not in json.dumps(messages)


# -- what changed --------------------------------------------------------------------------------


def test_the_next_sync_reads_what_changed(salesforce, small_pages):
    found_company(salesforce)
    state = last_state(run(settings(salesforce)))
    world, clock = salesforce.world, salesforce.clock
    clock.advance(3600)
    kept, gone, *_ = world.rows["Contact"]
    world.merge("Contact", kept, gone)
    line = next(iter(world.rows["OpportunityLineItem"]))
    world.delete("OpportunityLineItem", line)
    messages = run(settings(salesforce), state)
    contacts = last_of(messages)["salesforce_contact"]
    assert (contacts[gone]["MasterRecordId"], contacts[gone]["IsDeleted"]) == (kept, True)
    assert last_of(messages)["salesforce_opportunity_line_item"][line]["IsDeleted"] is True
    read = sum(keys(messages).values())
    assert read < sum(map(len, truth(salesforce).values())) / 2
    assert set(keys(messages).values()) == {1}


def test_rows_that_are_committed_late_are_read(salesforce):
    found_company(salesforce)
    state = last_state(run(settings(salesforce)))
    last = datetime.fromisoformat(bookmarks(state)["salesforce_lead"])
    stamp = (last - timedelta(minutes=10)).isoformat()
    late = salesforce.world.add("Lead", LastName="Late", Company="X", SystemModstamp=stamp)
    assert late in last_of(run(settings(salesforce), state))["salesforce_lead"]


def test_a_bookmark_never_covers_the_last_minutes(salesforce):
    salesforce.clock.run()
    lead = salesforce.world.add("Lead", LastName="New", Company="X")
    messages = run(settings(salesforce))
    assert lead in last_of(messages)["salesforce_lead"]
    marked = datetime.fromisoformat(bookmarks(last_state(messages))["salesforce_lead"])
    assert timedelta(minutes=4) < datetime.now(UTC) - marked < timedelta(minutes=6)


def test_history_without_stamps_is_read_by_its_date(salesforce):
    found_company(salesforce, deals=2)
    state = last_state(run(settings(salesforce)))
    assert state["bookmarks"]["salesforce_case_history"]["replication_key"] == "CreatedDate"
    salesforce.clock.advance(3600)
    case = next(iter(salesforce.world.rows["Case"]))
    salesforce.world.change("Case", case, Status="Closed")
    messages = run(settings(salesforce), state)
    values = [(r["OldValue"], r["NewValue"]) for r in records(messages, "salesforce_case_history")]
    assert ("Working", "Closed") in values


# -- the vendor's ways ---------------------------------------------------------------------------


def test_more_rows_of_one_second_than_a_page_holds_are_all_read(salesforce, small_pages):
    for number in range(23):
        salesforce.world.add("Lead", LastName=str(number), Company="X")
    messages = run(settings(salesforce, bulk="never"))
    assert len(records(messages, "salesforce_lead")) == 23


@pytest.mark.parametrize(("seconds", "bulk"), [(7, "never"), (0, "auto")])
def test_a_query_that_takes_too_long_is_narrowed_or_left_to_a_job(salesforce, seconds, bulk):
    for number in range(300):
        salesforce.world.add("Lead", LastName=str(number), Company="X")
        salesforce.clock.advance(seconds)
    salesforce.timeout_rows = 40
    messages = run(settings(salesforce, bulk=bulk))
    assert len(records(messages, "salesforce_lead")) == 300
    assert set(keys(messages).values()) == {1}


def test_a_lost_cursor_costs_no_row(salesforce, small_pages):
    for number in range(1000):
        salesforce.world.add("Lead", LastName=str(number), Company="X")
    salesforce.open_cursors = 1000  # none is lost but those below: all rows are of one second
    lost = []

    def lose(number: int, request: Request) -> None:
        if "/query/" in request.path and len(lost) < 3:
            lost.append(number)
            salesforce.lose_cursors()

    salesforce.faults.on_request.append(lose)
    messages = run(settings(salesforce, bulk="never"))
    assert (len(records(messages, "salesforce_lead")), len(lost)) == (1000, 3)
    assert set(keys(messages).values()) == {1}


def test_hundreds_of_fields_are_read_in_several_queries(salesforce, small_pages):
    names = [f"A_field_with_a_name_of_forty_letters_{number:03}__c" for number in range(500)]
    for name in names:
        salesforce.world.add_field("Lead", name)
    for number in range(12):
        values = {name: f"{number} {name}" for name in names}
        salesforce.world.add("Lead", LastName=str(number), Company="X", **values)
    messages = run(settings(salesforce, bulk="never"))
    assert last_of(messages)["salesforce_lead"] == truth(salesforce)["salesforce_lead"]
    assert {line.status for line in salesforce.requests()} == {200, 404}  # 404: no such feature


def test_a_row_that_changes_between_two_queries_for_its_fields_is_not_mixed(salesforce):
    names = [f"A_field_with_a_name_of_forty_letters_{number:03}__c" for number in range(300)]
    for name in names:
        salesforce.world.add_field("Lead", name)
    old, new = (dict.fromkeys(names, value) for value in ("old", "new"))
    lead = salesforce.world.add("Lead", LastName="X", Company="X", **old)
    salesforce.clock.advance(60)
    asked = []

    def change(number: int, request: Request) -> None:
        if "/queryAll" in request.path and "__c" in request.target:
            asked.append(number)
            if len(asked) == 2:
                salesforce.world.change("Lead", lead, **new)

    salesforce.faults.on_request.append(change)
    messages = run(settings(salesforce, bulk="never"))
    messages += run(settings(salesforce, bulk="never"), last_state(messages))
    for record in records(messages, "salesforce_lead"):
        assert len({record[name] for name in names}) == 1
    assert last_of(messages)["salesforce_lead"][lead][names[-1]] == "new"


@pytest.mark.parametrize("bulk", ["never", "always"])
def test_a_field_that_vanishes_while_it_is_read_is_left_out(salesforce, bulk):
    salesforce.world.add_field("Lead", "Gone__c")
    salesforce.world.add("Lead", LastName="X", Company="X")

    def hide(number: int, request: Request) -> None:
        if "Gone__c" in request.target or b"Gone__c" in request.body:
            salesforce.faults.on_request.clear()
            salesforce.world.hide_field("Lead", "Gone__c")

    salesforce.faults.on_request.append(hide)
    (lead,) = records(run(settings(salesforce, bulk=bulk)), "salesforce_lead")
    assert "Gone__c" not in lead


def test_rest_reads_what_bulk_cannot(salesforce):
    found_company(salesforce)
    salesforce.job_failures = ["InternalServerError: it failed"] * 3
    messages = run(settings(salesforce, bulk="always"))
    assert len(records(messages, "salesforce_opportunity_stage")) == 6  # of no Bulk job
    assert last_of(messages) == truth(salesforce)


def test_rest_reads_on_when_the_jobs_of_the_day_are_used_up(salesforce, monkeypatch):
    monkeypatch.setattr(salesforce_stream, "JOB_ROWS", 3)
    for number in range(48):
        salesforce.world.add("Lead", LastName=str(number), Company="X")
        salesforce.clock.advance(60)
    salesforce.limits["bulk_query_jobs"].limit = 0
    messages = run(settings(salesforce, bulk="always"))
    assert last_of(messages) == truth(salesforce)
    asked = [line for line in salesforce.requests("/jobs/query") if line.status == 400]
    assert 1 <= len(asked) < 12  # of sixteen jobs; four are asked for at once


def test_objects_of_the_organisation_can_be_added(salesforce):
    salesforce.world.add_object("NPS__c", "Contact__c>Contact Score__c:double")
    key = salesforce.world.add("NPS__c", Score__c=9)
    messages = run(settings(salesforce, objects=["NPS__c"]))
    (answer,) = records(messages, "salesforce_nps__c")
    assert (answer["Id"], answer["Score__c"]) == (key, 9.0)
    schema = next(m["schema"] for m in messages if m["stream"] == "salesforce_nps__c")
    assert schema["properties"]["Score__c"] == {"type": ["number", "null"]}


def test_properties_that_are_deselected_are_not_asked_for(salesforce):
    salesforce.world.add("Lead", LastName="X", Company="X")
    catalog = TapJourneys(config=settings(salesforce)).catalog_dict
    for entry in catalog["streams"]:
        for each in entry["metadata"]:
            if each["breadcrumb"] == ["properties", "Company"]:
                each["metadata"]["selected"] = False
    salesforce.forget_requests()
    messages = run(settings(salesforce), catalog=catalog)
    (lead,) = records(messages, "salesforce_lead")
    assert "Company" not in lead
    assert lead["LastName"] == "X"
    asked = [line.target for line in salesforce.requests("/queryAll") if "LastName" in line.target]
    assert not any("Company%2C" in target and "+FROM+Lead" in target for target in asked)


# -- side by side, and before the first run ------------------------------------------------------


def test_objects_are_read_side_by_side_but_never_too_many_at_once(salesforce, monkeypatch):
    found_company(salesforce, deals=3)
    salesforce.faults.latency_ms = 100
    respond, running, most = salesforce.respond, [], []

    def counted(request: Request) -> Any:
        running.append(request)
        most.append(len(running))
        try:
            return respond(request)
        finally:
            running.remove(request)

    monkeypatch.setattr(salesforce, "respond", counted)
    began = time.monotonic()
    run(settings(salesforce))
    took = time.monotonic() - began
    assert 8 <= max(most) <= salesforce_api.AT_ONCE
    assert took < len(most) * 0.1 / 2.5  # one after the other it would be all of it


def test_a_check_says_what_is_used_and_what_is_not_seen(salesforce):
    salesforce.world.hide_field("Contact", "Email")
    source = Source.model_validate(settings(salesforce)["sources"]["salesforce"])
    found = list(source.check(TapJourneys(config=settings(salesforce))))
    assert found[0] == (
        "ok",
        "The login works; 0% of the API requests of the day are used.",
    )
    (missing,) = (text for level, text in found if level == "warning")
    assert missing.startswith("The field Email of Contact is not visible")
    salesforce.clients.clear()
    salesforce.expire_sessions()
    ((level, text),) = source.check(TapJourneys(config=settings(salesforce)))
    assert level == "error"
    assert "invalid_client_id" in text


def test_what_cannot_be_described_does_not_end_the_run(salesforce, monkeypatch, caplog):
    found_company(salesforce, deals=1)
    answer = salesforce.answer

    def deaf(request: Request) -> Any:
        if request.path.endswith("Lead/describe"):
            return refused(400, "UNKNOWN_TROUBLE", "x").answer
        return answer(request)

    monkeypatch.setattr(salesforce, "answer", deaf)
    messages = run(settings(salesforce))
    assert "1 of 21 objects could not be described" in caplog.text
    assert "Stream 'salesforce_lead': GET" in caplog.text
    assert len(records(messages, "salesforce_contact")) == 1
    assert "salesforce_lead" not in {m.get("stream") for m in messages}  # no schema to go by


# -- what becomes of it --------------------------------------------------------------------------


def test_the_preset_makes_journeys_of_accounts_and_people(salesforce, tmp_path):
    found_company(salesforce, deals=2)
    pipe = Pipe(tmp_path, **settings(salesforce), presets=["salesforce"])
    pipe.run()
    kept, deleted = salesforce.world.rows["Account"]
    rows = pipe.ask("select subject, scope_id, stage, crm_stage from journey_stages")
    assert (f"salesforce_account:{kept}", "X1-PRO", "evaluating", "evaluating") in rows
    assert ("email:ana@acme.test", "X1-PRO", "evaluating", "evaluating") in rows
    assert f"salesforce_account:{deleted}" not in {subject for subject, *_ in rows}
    lost = pipe.ask("select stream from unresolved where reason like '%customer%'")
    assert not lost
