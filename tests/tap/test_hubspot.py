"""HubSpot: what is read, first and later, against the sandbox's account."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.testing import SuiteConfig
from singer_sdk.testing.runners import TapTestRunner
from singer_sdk.testing.suites import tap_stream_attribute_tests, tap_stream_tests, tap_tests

from mapper_journeys.lines import LineMapper
from mapper_journeys.settings import load
from tap_journeys.sources.hubspot_kinds import KINDS, caster
from tap_journeys.sources.windows import written
from tap_journeys.tap import TapJourneys
from tests.sandbox.base import Answer, Request
from tests.sandbox.hubspot import HubSpot
from tests.tap.hubspot_runs import NOW, PAST, account, run, settings
from tests.tap.running import command

LATER = "2026-02-20T00:00:00Z"

ON_REQUEST = {name for name, kind in KINDS.items() if kind.on_request}


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with account() as found:
        yield found


def a_deal(hubspot: HubSpot, lines: int = 2) -> dict[str, str]:
    """A won deal with a decision maker, a company and line items; the ids by what they are."""
    world = hubspot.world
    contact = world.add("contacts", {"email": "ana@acme.test"}, at=PAST)
    company = world.add("companies", {"name": "Acme", "domain": "acme.test"}, at=PAST)
    given = {"dealname": "X1", "amount": 1200.5, "pipeline": "default"}
    deal = world.add("deals", {**given, "dealstage": "qualifiedtobuy"}, at=PAST)
    won = {"dealstage": "closedwon", "closedate": "2026-02-01T10:00:00.000Z"}
    world.update("deals", deal, won, at="2026-02-01T10:00:01Z")
    world.associate("deals", deal, "contacts", contact, label="Decision maker")
    world.associate("deals", deal, "companies", company)
    for number in range(lines):
        sold = {"hs_sku": f"X{number}", "hs_product_id": 3300 + number, "quantity": 2}
        line = world.add("line_items", sold, at=PAST)
        world.associate("deals", deal, "line_items", line)
    return {"contact": contact, "company": company, "deal": deal}


# -- the first run -------------------------------------------------------------------------


def test_a_deal_comes_with_its_history_people_company_and_products(hubspot: HubSpot) -> None:
    hubspot.world.define("deals", "seats", "number", "number")
    ids = a_deal(hubspot)
    hubspot.world.update("deals", ids["deal"], {"seats": "12"}, at=LATER)
    deal = run(hubspot).one("deals", ids["deal"])

    typed = {"amount": 1200.5, "hs_is_closed_won": True, "seats": 12, "dealstage": "closedwon"}
    assert {name: deal["properties"][name] for name in typed} == typed
    assert [each["value"] for each in deal["propertiesWithHistory"]["dealstage"]] == [
        "closedwon",
        "qualifiedtobuy",
    ]
    now, before = deal["stages"]
    assert (now["id"], now["label"], now["metadata"]["isClosed"]) == (
        "closedwon",
        "Closed Won",
        "true",
    )
    assert (now["timestamp"], now["until"]) == ("2026-02-01T10:00:01.000Z", None)
    assert (now["closedate"], before["closedate"]) == ("2026-02-01T10:00:00.000Z", None)
    assert now["previous"]["id"] == before["id"] == "qualifiedtobuy"
    assert before["until"] == now["timestamp"]
    assert deal["associations"]["contacts"][0]["toObjectId"] == ids["contact"]
    assert [(each["toObjectId"], each["label"]) for each in deal["contact_roles"]] == [
        (ids["contact"], "Decision maker")
    ]
    assert deal["company_id"] == ids["company"]
    assert [(each["hs_sku"], each["quantity"]) for each in deal["line_items"]] == [
        ("X0", 2),
        ("X1", 2),
    ]


def test_each_stream_reads_its_objects_once(hubspot: HubSpot) -> None:
    truth = {name: {hubspot.world.add(name, {}, at=PAST) for _ in range(3)} for name in KINDS}
    done = run(hubspot)
    for name in ON_REQUEST:
        truth[name] = set()  # only where the catalog selects them
    assert {name: done.ids(name) for name in truth} == truth
    for name in truth.keys() - ON_REQUEST:
        assert max(Counter(row["id"] for row in done.records(name)).values()) == 1
    assert done.code == 0


def test_forms_pipelines_and_owners_are_listed(hubspot: HubSpot) -> None:
    hubspot.world.add_form("f-1", "Demo")
    owner = hubspot.world.add_owner("rep@us.test")
    gone = hubspot.world.add_owner("left@us.test", archived=True)
    done = run(hubspot)
    assert (done.ids("forms"), done.ids("owners")) == ({"f-1"}, {owner, gone})
    assert [(row["objectType"], row["id"]) for row in done.records("pipelines")] == [
        ("deals", "default"),
        ("tickets", "0"),
    ]


def test_start_date_leaves_out_what_is_older(hubspot: HubSpot) -> None:
    old, gone = (hubspot.world.add("contacts", {}, at=PAST) for _ in range(2))
    hubspot.world.archive("contacts", gone, at=PAST)
    new = hubspot.world.add("contacts", {}, at=LATER)
    done = run(hubspot, config={**settings(hubspot), "start_date": "2026-02-01T00:00:00Z"})
    assert done.ids("contacts") == {new} - {old, gone}


def test_a_start_date_that_is_none_is_a_wrong_setting(tmp_path: Path) -> None:
    done = command(
        tmp_path, config={"sources": {"hubspot": {"access_token": "t"}}, "start_date": "x"}
    )
    assert done.returncode == 2
    assert "start_date: must be a date or time in ISO 8601" in done.stderr


def test_more_than_10000_objects_of_one_second_are_all_read(hubspot: HubSpot) -> None:
    truth = {hubspot.world.add("products", {}, at=PAST) for _ in range(10_250)}
    done = run(hubspot)
    assert done.ids("products") == truth
    assert len(done.records("products")) == len(truth)
    assert hubspot.count(400) == 0


def test_line_items_beyond_a_page_of_associations_are_all_read(hubspot: HubSpot) -> None:
    ids = a_deal(hubspot, lines=250)
    deal = run(hubspot).one("deals", ids["deal"])
    assert len(deal["associations"]["line_items"]) == 250
    assert {each["hs_sku"] for each in deal["line_items"]} == {f"X{n}" for n in range(250)}


def test_ids_of_associations_are_texts_also_where_they_are_numbers(hubspot: HubSpot) -> None:
    hubspot.integer_ids = True
    ids = a_deal(hubspot)
    assert run(hubspot).one("deals", ids["deal"])["company_id"] == ids["company"]


def test_the_primary_company_is_the_labelled_one(hubspot: HubSpot) -> None:
    ids = a_deal(hubspot)
    world = hubspot.world
    other = world.add("companies", {}, at=PAST)
    world.associate("deals", ids["deal"], "companies", other, label="Primary")
    assert run(hubspot).one("deals", ids["deal"])["company_id"] == other


def wide_account(hubspot: HubSpot) -> dict[str, str]:
    """A contact, and an archived deal, with 400 properties of their own."""
    names = [f"a_rather_long_name_of_a_custom_property_{number:03}" for number in range(400)]
    values = {name: f"value {number}" for number, name in enumerate(names)}
    for kind in ("contacts", "deals"):
        for name in names:
            hubspot.world.define(kind, name)
        hubspot.world.add(kind, values, id=1, at=PAST)
    hubspot.world.archive("deals", 1, at=LATER)
    return values


def test_400_custom_properties_are_all_read(hubspot: HubSpot) -> None:
    values = wide_account(hubspot)
    done = run(hubspot)
    for name in ("contacts", "deals"):
        assert values.items() <= done.one(name, "1")["properties"].items()
    assert hubspot.count(400) + hubspot.count(414) == 0


def test_where_a_search_takes_no_long_body_batches_tell_the_properties(
    hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = wide_account(hubspot)
    answer = hubspot.answer

    def short_only(request: Request) -> Answer:
        if request.path.endswith("/search") and len(request.body) > 3000:
            return Answer(400, {"status": "error", "category": "VALIDATION_ERROR"})
        return answer(request)

    monkeypatch.setattr(hubspot, "answer", short_only)
    done = run(hubspot)
    assert values.items() <= done.one("contacts", "1")["properties"].items()
    assert (done.code, hubspot.count(400)) == (0, 1)


def test_the_preset_finds_customers_accounts_and_products_in_it(hubspot: HubSpot) -> None:
    ids, world = a_deal(hubspot), hubspot.world
    world.add("products", {"hs_sku": "X0", "name": "X"}, at=PAST)
    ticket = world.add("tickets", {"hs_pipeline_stage": "1"}, at="2026-02-02T00:00:00Z")
    world.update("tickets", ticket, {"hs_pipeline_stage": "4"}, at="2026-02-03T00:00:00Z")
    world.associate("tickets", ticket, "contacts", ids["contact"])
    world.associate("tickets", ticket, "deals", ids["deal"])
    world.add_form("f-1", "Demo")
    asked = {"email": "Ana@acme.test", "product_interest": "X0"}
    world.submit("f-1", asked, at_ms=1767600000000)
    out = bytearray()
    mapper = LineMapper(load({"presets": ["hubspot"]}), lambda warning: None)
    mapper.map_lines(run(hubspot).written.splitlines(), out)
    rows = [json.loads(line) for line in bytes(out).splitlines()]
    made = [row["record"] for row in rows if row.get("stream") == "journey_events"]
    events = {each["event_type"]: each for each in made if "event_id" in each}
    contact, deal = f"hubspot_contact:{ids['contact']}", f"hubspot_deal:{ids['deal']}"
    won = events["opportunity_won"]
    assert (won["subject"], won["account"]) == (contact, f"hubspot_company:{ids['company']}")
    assert [scope["id"] for scope in won["scopes"]] == ["X0", "X1", deal]
    assert (won["value"], won["occurred_at"]) == ("1200.5", "2026-02-01T10:00:00Z")
    assert events["contact_role_added"]["properties"]["role"] == "Decision maker"
    assert events["opportunity_stage_changed"]["properties"]["stage"] == "qualifiedtobuy"
    assert events["ticket_closed"]["subject"] == contact
    assert [scope["id"] for scope in events["ticket_closed"]["scopes"]] == [deal]
    assert events["form_submitted"]["subject"] == "email:ana@acme.test"
    assert [row["record"] for row in rows if row.get("stream") == "unmapped_records"] == []


# -- later runs ----------------------------------------------------------------------------


def test_a_later_run_reads_what_changed_and_completes_it(hubspot: HubSpot) -> None:
    ids = a_deal(hubspot)
    old = hubspot.world.add("deals", {"dealstage": "closedlost"}, at=PAST)
    first = run(hubspot)
    hubspot.world.update("deals", ids["deal"], {"amount": "7"}, at=LATER)
    new = hubspot.world.add("contacts", {}, at=LATER)
    second = run(hubspot, first.state)
    assert old not in second.ids("deals")
    deal = second.one("deals", ids["deal"])
    assert (deal["properties"]["amount"], len(deal["line_items"])) == (7, 2)
    assert len(deal["associations"]["contacts"]) == 1
    assert new in second.ids("contacts")
    bookmark = second.state["bookmarks"]["hubspot_contacts"]
    assert bookmark["replication_key_value"] == "2026-02-20T00:00:00.000000Z"


def test_nothing_is_lost_while_the_search_index_is_late(hubspot: HubSpot) -> None:
    world, clock = hubspot.world, hubspot.clock
    hubspot.faults.index_lag_s = 240
    truth, seen, state = {world.add("contacts", {})}, set(), None
    for _ in range(4):
        clock.advance(180)
        truth.add(world.add("contacts", {}))
        done = run(hubspot, state)
        seen |= done.ids("contacts")
        state = done.state
    assert seen < truth  # or the index would not have been late
    clock.advance(300)
    assert seen | run(hubspot, state).ids("contacts") == truth


def test_a_row_that_the_index_shows_after_a_newer_one_is_read(hubspot: HubSpot) -> None:
    hubspot.world.add("contacts", {}, at=LATER)
    state = run(hubspot).state
    late = hubspot.world.add("contacts", {}, at="2026-02-19T23:55:00Z")
    assert late in run(hubspot, state).ids("contacts")


def test_the_last_minutes_are_not_read_again_for_ever(hubspot: HubSpot) -> None:
    contact = hubspot.world.add("contacts", {}, at=LATER)
    state = run(hubspot).state
    second = run(hubspot, state)
    assert second.ids("contacts") == {contact}
    bookmark = second.state["bookmarks"]["hubspot_contacts"]
    found_at = datetime.fromisoformat(bookmark["found_at"])
    bookmark["found_at"] = written(found_at - timedelta(minutes=11))
    third = run(hubspot, second.state)
    assert third.ids("contacts") == {contact}  # what the index was late with would be there now
    fourth = run(hubspot, third.state)
    assert fourth.ids("contacts") == set()
    newer = hubspot.world.add("contacts", {}, at="2026-02-20T00:00:00.001Z")
    fifth = run(hubspot, fourth.state)
    assert fifth.ids("contacts") == {newer}
    assert run(hubspot, fifth.state).ids("contacts") == {contact, newer}


def test_what_is_archived_comes_once_more_with_its_flag(hubspot: HubSpot) -> None:
    ids = a_deal(hubspot)
    first = run(hubspot)
    hubspot.world.archive("deals", ids["deal"], at=LATER)
    second = run(hubspot, first.state)
    deal = second.one("deals", ids["deal"])
    assert (deal["archived"], deal["archivedAt"]) == (True, "2026-02-20T00:00:00.000Z")
    assert (deal["stages"][0]["id"], deal["properties"]["amount"]) == ("closedwon", 1200.5)
    world = hubspot.world
    world.archive("contacts", ids["contact"], at="2026-02-25T00:00:00Z")
    third = run(hubspot, second.state)
    assert (third.ids("deals"), third.ids("contacts")) == ({ids["deal"]}, {ids["contact"]})
    world.add("products", {}, at=LATER)
    fourth = run(hubspot, third.state)
    assert fourth.records("contacts")[0]["archived"]  # the last minutes are read again


def test_a_merge_is_told_by_the_contact_that_is_kept(hubspot: HubSpot) -> None:
    kept, merged = (
        hubspot.world.add("contacts", {"email": f"{name}@acme.test"}, at=PAST)
        for name in ("ana", "anna")
    )
    first = run(hubspot)
    hubspot.world.merge("contacts", merged, kept, at=LATER)
    contact = run(hubspot, first.state).one("contacts", kept)
    assert contact["properties"]["hs_merged_object_ids"] == merged
    assert contact["properties"]["hs_additional_emails"] == "anna@acme.test"


def test_associations_of_open_deals_are_read_anew_without_a_change(hubspot: HubSpot) -> None:
    world = hubspot.world
    contact = world.add("contacts", {}, at=LATER)
    open_deal, without = (
        world.add("deals", {"dealstage": "contractsent"}, at=PAST),
        world.add("deals", {}, at=PAST),
    )
    closed = world.add("deals", {"dealstage": "closedlost"}, at=PAST)
    world.add("deals", {}, at=LATER)  # what is old is outside the minutes that are read again
    first = run(hubspot)
    for deal in (open_deal, without, closed):
        world.associate("deals", deal, "contacts", contact)
    assert not {open_deal, without, closed} & run(hubspot, first.state).ids("deals")
    always = settings(hubspot, associations_every_h=0)
    third = run(hubspot, first.state, config=always)
    assert {open_deal, without} <= third.ids("deals")
    assert closed not in third.ids("deals")
    again = third.one("deals", open_deal)
    assert again["associations"]["contacts"][0]["toObjectId"] == contact
    assert again["associations_read_at"] > again["updatedAt"]


def test_submissions_are_read_until_the_bookmark(hubspot: HubSpot) -> None:
    world = hubspot.world
    for form in ("f-1", "f-2"):
        world.add_form(form, "Demo")
    hour = 3_600_000
    for number in range(120):
        world.submit("f-1", {"email": f"{number}@x.test"}, at_ms=1767600000000 + number * hour)
    first = run(hubspot)
    assert len(first.records("form_submissions")) == 120
    world.submit("f-2", {"email": "b@x.test", "product_interest": "X1"}, at_ms=1768600000000)
    hubspot.forget_requests()
    second = run(hubspot, first.state)
    newest, last = sorted(second.records("form_submissions"), key=lambda row: row["formId"])
    assert (newest["fields"], last["fields"]["product_interest"]) == (
        {"email": "119@x.test"},
        "X1",
    )
    assert (last["formId"], last["formName"]) == ("f-2", "Demo")
    assert len(list(hubspot.requests("submissions/forms/f-1"))) == 1
    value = second.state["bookmarks"]["hubspot_form_submissions"]["replication_key_value"]
    assert value == "2026-01-16T21:46:40.000000Z"


# -- catalog and schema --------------------------------------------------------------------


def test_notes_and_tasks_are_read_like_calls_where_the_catalog_selects_them(
    hubspot: HubSpot,
) -> None:
    world = hubspot.world
    person = world.add("contacts", {"email": "ana@acme.test"}, at=PAST)
    for name, text in (("notes", "hs_note_body"), ("tasks", "hs_task_subject")):
        found = world.add(name, {text: "a word", "hs_timestamp": PAST}, at=PAST)
        world.associate(name, found, "contacts", person)
    unasked = run(hubspot)
    assert unasked.code == 0
    assert not unasked.records("notes") + unasked.records("tasks")
    catalog = TapJourneys(config=settings(hubspot)).catalog_dict
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            if not each["breadcrumb"] and stream["stream"].removeprefix("hubspot_") in ON_REQUEST:
                each["metadata"]["selected"] = True
    done = run(hubspot, catalog=catalog)
    (note,), (task,) = done.records("notes"), done.records("tasks")
    assert (note["properties"]["hs_note_body"], task["properties"]["hs_task_subject"]) == (
        "a word",
        "a word",
    )
    for record in (note, task):
        assert [each["toObjectId"] for each in record["associations"]["contacts"]] == [person]
    world.update("tasks", task["id"], {"hs_task_status": "COMPLETED"}, at=NOW)
    hubspot.clock.advance(60)
    later = run(hubspot, done.state, catalog=catalog)
    assert [r["properties"]["hs_task_status"] for r in later.records("tasks")] == ["COMPLETED"]


def test_the_schema_has_types_and_custom_properties(hubspot: HubSpot) -> None:
    hubspot.world.define("deals", "seats", "number", "number")
    hubspot.world.define("deals", "signed", "bool")
    tap = TapJourneys(config=settings(hubspot))
    properties = tap.streams["hubspot_deals"].schema["properties"]["properties"]["properties"]
    assert properties["seats"] == {"type": ["number", "null"]}
    assert properties["signed"] == {"type": ["boolean", "null"]}
    assert properties["closedate"]["format"] == "date-time"
    assert properties["dealname"] == {"type": ["string", "null"]}


def test_what_a_catalog_leaves_out_is_not_asked_for(hubspot: HubSpot) -> None:
    a_deal(hubspot)
    tap = TapJourneys(config=settings(hubspot))
    catalog = tap.catalog_dict
    for stream in catalog["streams"]:
        deals = stream["tap_stream_id"] == "hubspot_deals"
        for entry in stream["metadata"]:
            match entry["breadcrumb"]:
                case []:
                    entry["metadata"]["selected"] = deals
                case ["properties", "properties", "properties", name]:
                    entry["metadata"]["selected"] = name == "amount"
                case ["properties", name]:
                    entry["metadata"]["selected"] = name in ("id", "properties", "updatedAt")
    hubspot.forget_requests()
    (deal,) = run(hubspot, catalog=catalog).records("deals")
    assert deal["properties"] == {"amount": 1200.5}
    assert not list(hubspot.requests("associations"))
    assert not list(hubspot.requests("batch"))
    assert not list(hubspot.requests("objects/contacts"))


def test_values_get_the_types_of_their_definitions() -> None:
    types = {"n": "number", "b": "bool", "at": "datetime", "on": "date", "s": "enumeration"}
    cast = caster(types)
    assert cast({"n": "3301", "b": "TRUE", "at": "1767571200000", "s": "1"}) == {
        "n": 3301,
        "b": True,
        "at": "2026-01-05T00:00:00.000000Z",
        "s": "1",
    }
    kept = {"at": "2026-01-05T00:00:00.000Z", "on": "2026-01-05", "other": "x"}
    assert cast(kept) == kept
    assert cast({"n": "", "b": "", "at": ""}) == {"n": None, "b": None, "at": None}
    assert str(cast({"n": "1200.50"})["n"]) == "1200.50"
    assert cast({"n": "n/a", "b": "maybe"}) == {"n": "n/a", "b": "maybe"}


# `archivedAt` is told of archived objects alone, and the limit of 150 records may leave out others
@pytest.mark.filterwarnings("ignore:Fields in transformed catalog but not in records:UserWarning")
@pytest.mark.filterwarnings("ignore:No records were available to test:UserWarning")
def test_the_tests_of_the_sdk_pass(hubspot: HubSpot) -> None:
    a_deal(hubspot)
    for kind in KINDS:
        hubspot.world.add(kind, {}, at=PAST)
    hubspot.world.add_owner("rep@us.test")
    hubspot.world.add_form("f-1", "Demo")
    hubspot.world.submit("f-1", {"email": "a@x.test"}, at_ms=1767600000000)
    suite = SuiteConfig()
    runner: Any = TapTestRunner(TapJourneys, config=settings(hubspot), suite_config=suite)
    runner.sync_all()
    for test in tap_tests.tests:
        test().run(suite, None, runner)
    streams = runner.new_tap().streams
    selected = {name: stream for name, stream in streams.items() if stream.selected}
    assert streams.keys() - selected.keys() == {f"hubspot_{name}" for name in ON_REQUEST}
    assert runner.records.keys() >= selected.keys()  # the SDK's dry run selects all
    for stream in selected.values():
        for test in tap_stream_tests.tests:
            test().run(suite, None, runner, stream)
        for name, schema in stream.schema["properties"].items():
            for test in tap_stream_attribute_tests.tests:
                if test.evaluate(stream=stream, property_name=name, property_schema=schema):
                    test().run(suite, None, runner, stream, name)
