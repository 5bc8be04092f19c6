"""Presets: each one loads, makes known event types only, and has a golden record per rule."""

from pathlib import Path

import pytest
import yaml

from mapper_journeys.language import parse_rules
from mapper_journeys.lines import LineMapper
from mapper_journeys.rules import compile_rules
from mapper_journeys.settings import PRESETS, load, preset_names

GOLDEN = Path(__file__).parents[1] / "golden/rules"


def rules_of(preset: str) -> list[dict]:
    return yaml.safe_load((PRESETS / f"{preset}.yml").read_text())


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_loads_and_makes_known_types_only(preset):
    streams = {stream for rule in rules_of(preset) for stream in rule["streams"]}
    assert set(load({"presets": [preset]})) == streams


def test_all_presets_load_together():
    assert load({"presets": preset_names()})


@pytest.mark.parametrize(
    ("preset", "rule"),
    [(preset, rule["name"]) for preset in preset_names() for rule in rules_of(preset)],
)
def test_every_rule_of_a_preset_has_a_golden_record(preset, rule):
    rules, _ = parse_rules([one for one in rules_of(preset) if one["name"] == rule], preset)
    lines = LineMapper(compile_rules(rules)[0], lambda warning: None)
    case = (GOLDEN / f"preset_{preset}/in.jsonl").read_bytes()
    lines.map_lines(case.splitlines(), bytearray())
    assert lines.counts.events + lines.counts.products
