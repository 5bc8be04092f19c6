"""Rules: every golden case (messages in, messages out), and what one rule makes of one record."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from journeys.event import JourneyEvent, Product, event_id
from mapper_journeys.events import id_maker
from mapper_journeys.language import parse_rules
from mapper_journeys.lines import LineMapper
from mapper_journeys.rules import Failure, apply, compile_rules, row_of
from mapper_journeys.settings import load
from mapper_journeys.wire import EventRecord, ProductRecord

CASES = sorted((Path(__file__).parents[1] / "golden/rules").iterdir())
TYPES = {"journey_events": JourneyEvent, "products": Product}
AT = "2026-01-02T03:04:05Z"
BASE = {"name": "r", "streams": ["s"], "event_type": "product_viewed", "occurred_at": "$.at"}

moments = st.datetimes(
    min_value=datetime(1900, 1, 2),  # noqa: DTZ001  # the zone comes with `timezones`
    max_value=datetime(2200, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def mapped(config: dict, lines: list[bytes]) -> list[bytes]:
    out = bytearray()
    LineMapper(load(config), lambda warning: None).map_lines(lines, out)
    return bytes(out).splitlines()


def apply_one(rule: dict, record: dict) -> tuple[list, tuple[Failure, ...]]:
    """What a rule makes of a record with the key "1"; BASE fills what the rule leaves out."""
    rules, errors = parse_rules([{**BASE, **rule}], "this test")
    compiled, more = compile_rules(rules)
    assert not errors + more
    made, failures = apply(compiled["s"], row_of(compiled["s"].columns, record), "1")
    return made, tuple(failures)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case, pytestconfig):
    rules = yaml.safe_load((case / "rules.yml").read_text())
    config = rules if isinstance(rules, dict) else {"rules_files": [str(case / "rules.yml")]}
    lines = mapped(config, (case / "in.jsonl").read_bytes().splitlines())
    expected = case / "out.jsonl"
    if pytestconfig.getoption("golden"):
        expected.write_bytes(b"".join(line + b"\n" for line in lines))
    assert lines == expected.read_bytes().splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_domain_accepts_what_the_mapper_says(case):
    for line in (case / "out.jsonl").read_bytes().splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD" and message["stream"] in TYPES:
            msgspec.convert(message["record"], TYPES[message["stream"]])


def test_the_wire_types_are_the_domain_types():
    for wire, domain in ((EventRecord, JourneyEvent), (ProductRecord, Product)):
        assert list(wire.__struct_fields__) == list(domain.__dataclass_fields__)
    sparse = msgspec.json.encode(EventRecord("i", "product_viewed", AT, "s"))
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    expected = JourneyEvent("i", "product_viewed", moment, "s")
    assert msgspec.json.decode(sparse, type=JourneyEvent) == expected


@given(st.text(), moments, st.text())
def test_event_ids_are_those_of_the_domain(key, moment, part):
    written = moment.replace(tzinfo=None).isoformat()
    assert id_maker("s", "r")(key, written, part) == event_id("s", "r", key, moment, part)


@given(moments)
def test_every_spelling_of_a_moment_gives_the_same_event(moment):
    naive = moment.replace(tzinfo=None)
    spellings = [
        f"{naive.isoformat()}Z",
        f"{naive.isoformat(timespec='microseconds')}Z",
        f" {naive.isoformat(' ')}+00:00 ",
        moment.isoformat(),
        naive.isoformat(),
    ]
    for spelling in spellings:
        (event,), _ = apply_one({"timezone": "UTC"}, {"at": spelling})
        assert event.event_id == event_id("s", "r", "1", moment)
        assert event.occurred_at == f"{naive.isoformat()}Z"


@given(moments.map(lambda moment: moment.replace(microsecond=0)))
def test_counted_seconds_are_the_same_moment(moment):
    for unit, count in (("epoch_s", 1), ("epoch_ms", 1000)):
        for seconds in (int(moment.timestamp()), str(int(moment.timestamp()))):
            value = str(int(seconds) * count) if isinstance(seconds, str) else seconds * count
            (event,), _ = apply_one({"date_format": unit}, {"at": value})
            assert event.event_id == event_id("s", "r", "1", moment)


@pytest.mark.parametrize(
    ("wanted", "found", "holds"),
    [
        (3, "3", True),
        ("3", 3, True),
        (3, 3.0, True),
        (3, "3.0", False),
        (True, "true", True),
        ("true", True, True),
        (True, "True", False),
        (True, 1, False),
        (None, None, True),
        (None, "", False),
        ("a", ["b", "a"], True),
        ("a", {"a": 1}, False),
        ({"not": "a"}, None, True),
        ({"exists": True}, 0, True),
        ({"exists": True}, False, True),
        ({"exists": True}, [], False),
        ({"gt": 9}, "10", True),
        ({"gt": "9"}, "10", True),
        ({"gt": 9}, "x", False),
        ({"gt": 9}, True, False),
        ({"lt": 0.3}, "0.29999999999999999999", True),
        ({"contains": "a"}, ["a", "b"], True),
        ({"contains": "a"}, ["ab"], False),
        ({"prefix": ["a", "b"]}, "bc", True),
        ({"matches": "b"}, "abc", True),
        ({"in": [1, 2]}, "2", True),
    ],
)
def test_when(wanted, found, holds):
    made, _ = apply_one({"when": {"x": wanted}}, {"at": AT, "x": found})
    assert bool(made) is holds


@pytest.mark.parametrize(
    ("rule", "record", "reason"),
    [
        ({}, {"at": "2026-01-02"}, "`occurred_at` ($.at) has no time zone"),
        ({}, {"at": "soon"}, "`occurred_at` ($.at) is not an ISO 8601 time"),
        ({}, {"at": 5}, "`occurred_at` ($.at) is not an ISO 8601 time"),
        ({}, {"at": [AT]}, "`occurred_at` ($.at) is not an ISO 8601 time"),
        (
            {},
            {"at": "1899-12-31T23:59:59Z"},
            "`occurred_at` ($.at) lies outside the years 1900 to 2200",
        ),
        (
            {},
            {"at": "0001-01-01T00:00:00+14:00"},
            "`occurred_at` ($.at) lies outside the years 1900 to 2200",
        ),
        (
            {"date_format": "%d/%m/%Y", "timezone": "UTC"},
            {"at": "1/13/2026"},
            "`occurred_at` ($.at) is not a time as `date_format` says",
        ),
        (
            {"date_format": "epoch_s"},
            {"at": "soon"},
            "`occurred_at` ($.at) is not a count as `date_format` says",
        ),
        (
            {"date_format": "epoch_s"},
            {"at": [1]},
            "`occurred_at` ($.at) is a list or an object where one value is needed",
        ),
        (
            {"recorded_at": "$.saved"},
            {"at": AT, "saved": "x"},
            "`recorded_at` ($.saved) is not an ISO 8601 time",
        ),
        ({"value": "$.v"}, {"at": AT, "v": "1,234.50"}, "`value` ($.v) is not a decimal number"),
        ({"value": "$.v"}, {"at": AT, "v": "1e99"}, "`value` ($.v) is not a decimal number"),
        (
            {"subject": {"email": "$.who"}},
            {"at": AT, "who": ["a"]},
            "`subject.email` ($.who) is a list or an object where one value is needed",
        ),
        (
            {"subject": {"email": "$.who"}},
            {"at": AT, "who": "a\0"},
            "`subject.email` ($.who) holds a NUL character",
        ),
        (
            {"event_type": "$.type"},
            {"at": AT, "type": "danced"},
            "`event_type` ($.type) is neither an event type of the vocabulary nor declared under "
            "`stage_model.event_types`",
        ),
        (
            {"visibility": "$.v"},
            {"at": AT, "v": "hidden"},
            "`visibility` ($.v) is not one of owned, partner, earned, third_party, buyer_internal",
        ),
        (
            {"scopes": [{"grain": "$.g", "id": "x"}]},
            {"at": AT, "g": "planet"},
            "`scopes[0].grain` ($.g) is not one of category, product, item",
        ),
    ],
)
def test_a_record_that_a_rule_cannot_read_is_set_aside_with_the_reason(rule, record, reason):
    made, (failure,) = apply_one(rule, record)
    assert (made, failure.rule, failure.reason) == ([], "r", reason)
    assert failure.fix.endswith(".")


def ids(rule: dict, record: dict) -> list[str]:
    made, failures = apply_one(rule, record)
    assert not failures
    return [event.event_id for event in made]


def test_elements_keep_their_event_ids_when_the_list_grows_at_either_end():
    rule = {"each": "$.history", "occurred_at": "@.at"}
    first, second = {"stage": "A", "at": AT}, {"stage": "B", "at": AT}
    before = ids(rule, {"history": [first]})
    assert ids(rule, {"history": [second, first]})[1:] == before
    assert ids(rule, {"history": [first, second]})[:1] == before
    assert len(set(ids(rule, {"history": [first, first, second]}))) == 3


def test_a_correction_may_come_by_another_stream():
    at = datetime.fromisoformat(AT)
    spec = {"rule": "r", "key": "$.id", "occurred_at": "$.at", "stream": "orders"}
    made, _ = apply_one({"supersedes": spec}, {"id": "7", "at": AT})
    assert made[0].supersedes == event_id("orders", "r", "7", at)


def test_the_rules_in_the_documentation_are_rules():
    page = (Path(__file__).parents[2] / "docs/reference/rules.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    examples = [rule for block in blocks if "name:" in block for rule in yaml.safe_load(block)]
    rules, errors = parse_rules(examples, "rules.md")
    assert len(rules) == 4
    assert errors + compile_rules(rules)[1] == []
