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

GOLDEN = Path(__file__).parents[1] / "golden/rules"


@cache
def text_of(preset: str) -> str:
    return (PRESETS / f"{preset}.yml").read_text(encoding="utf-8")


@cache
def rules_of(preset: str) -> list[dict]:
    return yaml.safe_load(text_of(preset))


def golden_lines(preset: str) -> list[bytes]:
    return (GOLDEN / f"preset_{preset}/in.jsonl").read_bytes().splitlines()


def mapped(presets: list[str], lines: list[bytes]) -> list[bytes]:
    out = bytearray()
    LineMapper(load({"presets": presets}), lambda warning: None).map_lines(lines, out)
    return bytes(out).splitlines()


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
    (only,) = (one for one in rules_of(preset) if one["name"] == rule)
    corrected = (only.get("supersedes") or {}).get("rule")  # has to be there, and reads nothing
    idle = [one | {"streams": ["none"]} for one in rules_of(preset) if one["name"] == corrected]
    rules, _ = parse_rules([only, *idle], preset)
    lines = LineMapper(compile_rules(rules)[0], lambda warning: None)
    lines.map_lines(golden_lines(preset), bytearray())
    assert lines.counts.events + lines.counts.products


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_leaves_the_records_of_other_systems_alone(preset):
    """Many taps have a stream `customers` or `products`, and one configuration serves them all."""
    system = preset.rpartition("_")[2]
    others = [name for name in preset_names() if name.rpartition("_")[2] != system]
    alone = mapped([preset], golden_lines(preset))
    assert mapped([preset, *others], golden_lines(preset)) == alone


def test_zendesk_tells_once_that_a_ticket_was_solved():
    """By the ticket's events; its metrics say at the same moment what it took."""
    made = [json.loads(line)["record"] for line in mapped(["zendesk"], golden_lines("zendesk"))]
    solved = [one for one in made if one.get("properties", {}).get("status") == "solved"]
    solved = [one for one in solved if one["event_type"] != "ticket_observed"]
    told = {(one["event_type"], one["source"], one["occurred_at"]) for one in solved}
    assert told == {
        ("ticket_resolved", "zendesk_ticket_events", "2026-01-06T09:00:00Z"),
        ("ticket_resolved", "zendesk_ticket_events", "2026-01-08T09:00:00Z"),
        ("ticket_updated", "zendesk_ticket_metrics", "2026-01-08T09:00:00Z"),
    }
