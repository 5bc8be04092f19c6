"""Presets over what real systems sent: requests, answers, and tables of other extractors."""

import csv
import json
import re
from collections import Counter

import pytest

from mapper_journeys.lines import Counts, LineMapper
from mapper_journeys.settings import load
from tests.pipes import SHARED

WIRE = SHARED / "wire"
FIXTURES = SHARED / "fixtures"
needs_wire = pytest.mark.skipif(not WIRE.is_dir(), reason="needs the recorded requests")
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the recorded answers")


def mapped(
    preset: str, streams: dict[str, list[dict]], key: str = "id"
) -> tuple[list[dict], Counts]:
    """What a preset makes of the records of each stream, and what was counted."""
    lines = []
    for stream, records in streams.items():
        said = {"type": "SCHEMA", "stream": stream, "schema": {}, "key_properties": [key]}
        lines.append(json.dumps(said).encode())
        for record in records:
            told = {"type": "RECORD", "stream": stream, "record": record}
            lines.append(json.dumps(told).encode())
    out, mapper = bytearray(), LineMapper(load({"presets": [preset]}), lambda warning: None)
    mapper.map_lines(lines, out)
    made = [json.loads(line)["record"] for line in bytes(out).splitlines()]
    return made, mapper.counts


def types_of(made: list[dict]) -> Counter[str]:
    return Counter(event["event_type"] for event in made)


def recorded_calls(folder: str) -> list[dict]:
    """The calls that a client library sent, as they stand in an event file."""
    calls = {}
    for path in sorted((WIRE / folder).rglob("*.json")):
        request = json.loads(path.read_text())
        body = request.get("body") or {}
        for call in body.get("batch", []) if isinstance(body, dict) else []:
            calls[call["messageId"]] = call
    return list(calls.values())


@needs_wire
@pytest.mark.parametrize(
    ("folder", "stream"), [("segment", "segment_events"), ("rudderstack", "rudderstack_events")]
)
def test_segment_reads_what_client_libraries_send(folder, stream):
    calls = recorded_calls(folder)
    made, counts = mapped("segment", {stream: calls}, key="messageId")
    assert {call["type"] for call in calls} >= {"identify", "track", "group", "alias"}
    assert counts.set_aside == 0
    assert counts.unmatched == sum(call["type"] == "track" for call in calls)  # our own events
    assert set(types_of(made)) == {"profile_observed", "identity_linked", "account_joined"}


ANSWERS = {"tickets": "tickets", "users": "users", "audits": "ticket_audits"}


def zendesk_answers() -> dict[str, list[dict]]:
    """Every distinct recorded ticket, user and audit."""
    found: dict[str, dict[str, dict]] = {stream: {} for stream in ANSWERS.values()}
    for path in sorted((FIXTURES / "zendesk").glob("zenpy-*/*.json")):
        for call in json.loads(path.read_text()):
            answer = call.get("response")
            for name, stream in ANSWERS.items():
                records = answer.get(name) if isinstance(answer, dict) else None
                for record in records if isinstance(records, list) else []:
                    if "created_at" in record:
                        found[stream][json.dumps(record, sort_keys=True)] = record
    return {stream: list(records.values()) for stream, records in found.items()}


@needs_fixtures
def test_zendesk_reads_what_zendesk_answered():
    streams = zendesk_answers()
    made, counts = mapped("singer_io_zendesk", streams)
    assert counts.set_aside == 0
    opened = {event["source_key"] for event in made if event["event_type"] == "ticket_opened"}
    tickets = streams["tickets"]
    assert opened == {str(each["id"]) for each in tickets if each["status"] != "deleted"}
    assert len(opened) > 100
    owned = {
        event["scopes"][0]["id"]: event["subject"]
        for event in made
        if event["event_type"] == "scope_linked"
    }
    assert owned.keys() == {f"zendesk_ticket:{each['id']}" for each in tickets}
    changes = [event for event in made if event["source"] == "ticket_audits"]
    audited = {f"zendesk_ticket:{each['ticket_id']}" for each in streams["ticket_audits"]}
    assert {event["scopes"][0]["id"] for event in changes} <= audited
    assert not [event for event in changes if event.get("subject")]


def seed(system: str, name: str) -> list[dict]:
    """A table of real records, with nulls and zones as the API writes them."""
    path = FIXTURES / system / f"fivetran-seeds/{name}_data.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{column: in_json(value) for column, value in row.items()} for row in rows]


def in_json(value: str) -> str | bool | None:
    if value in ("TRUE", "FALSE"):
        return value == "TRUE"
    is_moment = re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", value)
    return f"{value.replace(' ', 'T')}Z" if is_moment else value or None


@needs_fixtures
def test_hubspot_reads_the_tables_of_another_extractor():
    contacts = seed("hubspot", "contact")
    for contact in contacts:
        contact["createdAt"] = contact["property_createdate"]
    sent = seed("hubspot", "email_event")
    made, counts = mapped("singer_io_hubspot", {"contacts": contacts, "email_events": sent})
    assert counts.set_aside == 0
    assert all(event.get("subject") for event in made)
    of_type = types_of(made)
    assert of_type["lead_created"] == len(contacts) > 0
    assert of_type["email_opened"] == sum(each["type"] == "OPEN" for each in sent) > 0
    merged = {each["property_hs_merged_object_ids"] for each in contacts} - {None}
    gone = {f"hubspot_contact:{one}" for several in merged for one in several.split(";")}
    assert gone == {
        event["properties"]["linked"]
        for event in made
        if event["event_type"] == "identity_linked"
        and event["properties"]["linked"] in gone
        and event["subject"].startswith("hubspot_contact:")
    }
    assert gone


@needs_fixtures
def test_zendesk_reads_the_tables_of_another_extractor():
    tickets, users = seed("zendesk", "ticket"), seed("zendesk", "user")
    for ticket in tickets:
        ticket["via"] = {"channel": ticket["via_channel"]}
    made, counts = mapped("singer_io_zendesk", {"tickets": tickets, "users": users})
    assert counts.set_aside == 0
    looks = [event for event in made if event["event_type"] == "ticket_observed"]
    assert all(event.get("subject") for event in made if event not in looks)
    of_type = types_of(made)
    assert of_type["ticket_opened"] == sum(each["status"] != "deleted" for each in tickets) > 0
    closed = [event for event in looks if event["properties"]["status"] == "closed"]
    assert len(closed) == sum(each["status"] == "closed" for each in tickets) > 0
    people = of_type["account_joined"] + of_type["profile_observed"]
    assert people == sum(each["role"] == "end-user" for each in users) > 0


@needs_fixtures
def test_our_zendesk_preset_reads_what_its_exports_answered():
    streams: dict[str, list[dict]] = {}
    for path in sorted((FIXTURES / "zendesk").glob("zenpy-*Incremental*/*cursor.json_200.json")):
        for call in json.loads(path.read_text()):
            for kind in {"tickets", "users"} & call["response"].keys():
                streams.setdefault(f"zendesk_{kind}", []).extend(call["response"][kind])
    made, counts = mapped("zendesk", streams)
    assert counts.set_aside == 0
    tickets = {str(each["id"]): each for each in streams["zendesk_tickets"]}
    of_type = {each["source_key"]: each for each in made if each["event_type"] == "ticket_opened"}
    assert of_type.keys() == {key for key, each in tickets.items() if each["status"] != "deleted"}
    assert len(of_type) > 50
    for key, event in of_type.items():
        assert event["subject"] == f"zendesk_user:{tickets[key]['requester_id']}"
    people = types_of(made)["profile_observed"] + types_of(made)["account_joined"]
    assert people == sum(each["role"] == "end-user" for each in streams["zendesk_users"]) > 500
