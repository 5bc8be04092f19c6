"""Presets: each one loads, makes known event types only, and has a golden record per rule."""

import json
from functools import cache
from pathlib import Path

import pytest
import yaml

from mapper_journeys.language import parse_rules
from mapper_journeys.lines import LineMapper
from mapper_journeys.rules import compile_rules
from mapper_journeys.settings import PRESETS, load, preset_names
from tests.pipes import SHARED

GOLDEN = Path(__file__).parents[1] / "golden/rules"


@cache
def text_of(preset: str) -> str:
    return (PRESETS / f"{preset}.yml").read_text(encoding="utf-8")


@cache
def rules_of(preset: str) -> list[dict]:
    return yaml.safe_load(text_of(preset))


def golden_lines(preset: str) -> list[bytes]:
    return (GOLDEN / f"preset_{preset}/in.jsonl").read_bytes().splitlines()


def mapped(presets: list[str], lines: list[bytes]) -> tuple[list[dict], LineMapper]:
    """The records that presets make of lines, and the mapper that counted them."""
    out, mapper = bytearray(), LineMapper(load({"presets": presets}), lambda warning: None)
    mapper.map_lines(lines, out)
    return [json.loads(line) for line in bytes(out).splitlines()], mapper


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_loads_and_makes_known_types_only(preset):
    streams = {stream for rule in rules_of(preset) for stream in rule["streams"]}
    assert set(load({"presets": [preset]})) == streams


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_says_first_what_it_maps_and_what_it_cannot_know(preset):
    header = text_of(preset).partition("\n- name:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "annot know" in header


def test_all_presets_load_together():
    assert load({"presets": preset_names()})


@pytest.mark.parametrize(
    ("preset", "rule"),
    [(preset, rule["name"]) for preset in preset_names() for rule in rules_of(preset)],
)
def test_every_rule_of_a_preset_has_a_golden_record(preset, rule):
    rules, _ = parse_rules([one for one in rules_of(preset) if one["name"] == rule], preset)
    lines = LineMapper(compile_rules(rules)[0], lambda warning: None)
    lines.map_lines(golden_lines(preset), bytearray())
    assert lines.counts.events + lines.counts.products


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_leaves_the_records_of_other_systems_alone(preset):
    """Many taps have a stream `customers` or `products`, and one configuration serves them all."""
    system = preset.rpartition("_")[2]
    others = [name for name in preset_names() if name.rpartition("_")[2] != system]
    alone, _ = mapped([preset], golden_lines(preset))
    assert mapped([preset, *others], golden_lines(preset))[0] == alone


# -- what real systems sent ----------------------------------------------------------------------

WIRE = SHARED / "wire"
FIXTURES = SHARED / "fixtures"
needs_wire = pytest.mark.skipif(not WIRE.is_dir(), reason="needs the recorded requests")
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the recorded answers")


def message(stream: str, record: dict) -> bytes:
    return json.dumps({"type": "RECORD", "stream": stream, "record": record}).encode()


def schema(stream: str, *keys: str) -> bytes:
    said = {"type": "SCHEMA", "stream": stream, "schema": {}, "key_properties": keys}
    return json.dumps(said).encode()


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
    made, mapper = mapped(
        ["segment"], [schema(stream, "messageId"), *(message(stream, call) for call in calls)]
    )
    assert {call["type"] for call in calls} >= {"identify", "track", "group", "alias"}
    assert mapper.counts.set_aside == 0
    facts = {line["record"]["event_type"] for line in made}
    assert facts == {"profile_observed", "identity_linked", "account_joined"}  # no standard event
    assert mapper.counts.unmatched == sum(call["type"] == "track" for call in calls)


def zendesk_answers() -> list[tuple[str, dict]]:
    """Every distinct recorded ticket, user and audit."""
    found = {}
    for path in sorted((FIXTURES / "zendesk").glob("zenpy-*/*.json")):
        for call in json.loads(path.read_text()):
            answer = call.get("response")
            for name, stream in (
                ("tickets", "tickets"),
                ("users", "users"),
                ("audits", "ticket_audits"),
            ):
                records = answer.get(name) if isinstance(answer, dict) else None
                for record in records if isinstance(records, list) else []:
                    found[stream, json.dumps(record, sort_keys=True)] = record
    return [(stream, record) for (stream, _), record in found.items() if "created_at" in record]


@needs_fixtures
def test_zendesk_reads_what_zendesk_answered():
    records = zendesk_answers()
    schemas = [schema(stream, "id") for stream in ("tickets", "users", "ticket_audits")]
    lines = [message(stream, record) for stream, record in records]
    made, mapper = mapped(["singer_io_zendesk"], [*schemas, *lines])
    assert mapper.counts.set_aside == 0
    opened = {
        line["record"]["source_key"]
        for line in made
        if line["record"]["event_type"] == "ticket_opened"
    }
    wanted = {
        str(record["id"])
        for stream, record in records
        if stream == "tickets" and record["status"] != "deleted"
    }
    assert opened == wanted
    assert len(opened) > 100
    requesters = {
        line["record"]["properties"]["linked"]
        for line in made
        if line["record"]["event_type"] == "identity_linked"
        and line["record"]["source"] == "ticket_audits"
    }
    tickets = {f"zendesk_ticket:{r['ticket_id']}" for s, r in records if s == "ticket_audits"}
    assert requesters == tickets
