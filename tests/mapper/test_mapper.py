"""The mapper as a program: messages, bytes that pass through, order, exit codes, signals."""

import io
import json
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.exceptions import FatalSyncError, RecordsWithoutSchemaException
from singer_sdk.singerlib import RecordMessage
from singer_sdk.singerlib.exceptions import InvalidInputLine

from journeys.event import JourneyEvent
from mapper_journeys.lines import LineMapper
from mapper_journeys.mapper import MapperJourneys, blocks
from mapper_journeys.rules import EVERY_RULE
from mapper_journeys.settings import load

AT = "2026-01-02T03:04:05Z"
RULE = {"name": "r", "streams": ["mine"], "event_type": "ad_seen", "occurred_at": "$.at"}
CONFIG = {"rules": [RULE]}
OWN = ["journey_events", "products", "unmapped_records"]
SCHEMA = b'{"type":"SCHEMA","stream":"mine","schema":{},"key_properties":["id"]}\n'
RECORD = b'{"type":"RECORD","stream":"mine","record":{"id":1,"at":"%b"}}\n' % AT.encode()
STATE = b'{"type": "STATE", "value": {"bookmark": 1}}\n'
COMMAND = [sys.executable, "-c", "from mapper_journeys.mapper import *; MapperJourneys.cli()"]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return str(path)


def run(config: str, content: bytes) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, "--config", config], input=content, capture_output=True)


def mapped(content: bytes, config: dict = CONFIG) -> list[bytes]:
    out = bytearray()
    LineMapper(load(config), lambda warning: None).map_lines(content.splitlines(), out)
    return bytes(out).splitlines()


def test_a_good_run(config):
    done = run(config, SCHEMA + RECORD + STATE)
    lines = done.stdout.splitlines(keepends=True)
    assert done.returncode == 0
    assert [json.loads(line)["stream"] for line in lines[:4]] == [*OWN, "journey_events"]
    assert lines[4:] == [STATE]
    log = done.stderr.decode().splitlines()
    assert log[-1] == (
        "mapper-journeys: 1 records, 1 events, 0 products, 0 set aside, 0 matched no rule, "
        "0 passed through"
    )
    assert all("| INFO " in line for line in log[:-1])


def test_schemas_come_first_even_without_input(config):
    messages = [json.loads(line) for line in run(config, b"").stdout.splitlines()]
    assert [(message["type"], message["stream"]) for message in messages] == [
        ("SCHEMA", stream) for stream in OWN
    ]
    assert [message["key_properties"] for message in messages] == [
        ["event_id"],
        ["product_id"],
        ["stream", "rule", "key"],
    ]
    assert "$ref" not in json.dumps(messages)
    assert set(messages[0]["schema"]["properties"]) == set(JourneyEvent.__dataclass_fields__)


def test_a_record_before_its_schema_ends_the_run_with_the_streams_name(config):
    done = run(config, STATE + RECORD)
    assert done.returncode == 1
    assert done.stdout.endswith(STATE)
    assert b"stream 'mine'" in done.stderr.splitlines()[-1]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{hunter2", "Line 3 is not valid JSON."),
        (b'{"type":"STATE","value":"\xff hunter2"}', "Line 3 is not valid JSON."),
        (b'["hunter2"]', "Line 3 is no Singer message."),
        (b'{"stream":"hunter2"}', "Line 3 is no Singer message."),
        (b'{"type":"HUNTER2","stream":"x"}', "Line 3 is no Singer message: its `type` is unknown."),
        (
            b'{"type":"BATCH","stream":"mine","manifest":["hunter2"]}',
            "Stream 'mine' has rules, but came as a BATCH, which is a pointer to a file. "
            "Remove `batch_config` from the tap's settings.",
        ),
    ],
)
def test_a_line_that_cannot_be_used_ends_the_run_and_what_came_before_is_written(
    line, words, config
):
    done = run(config, SCHEMA + RECORD + line + b"\n" + STATE)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout.endswith(b"}\n")
    assert words in done.stderr.decode().splitlines()[-1]
    assert b"hunter2" not in done.stderr.lower()


@pytest.mark.parametrize(
    "bad",
    [
        {"rules": [{**RULE, "event_type": "hunted"}]},
        {"rules": "hunter2"},
        {"rule": ["hunter2"]},
        ["hunter2"],
    ],
)
def test_settings_that_cannot_be_used_exit_with_2_and_print_no_values(bad, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    done = run(str(tmp_path / "bad.json"), SCHEMA)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"hunter2" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_missing_configuration_file_exits_with_2(tmp_path):
    assert run(str(tmp_path / "none.json"), b"").returncode == 2


def test_an_environment_variable_without_json_exits_with_2(monkeypatch):
    monkeypatch.setenv("MAPPER_JOURNEYS_RULES", "hunter2")
    done = run("ENV", b"")
    assert done.returncode == 2
    assert b"hunter2" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_numbers_of_the_configuration_file_are_literals(tmp_path):
    rule = {**RULE, "when": {"n": {"gt": 1.5}}, "properties": {"weight": 2.5}}
    (tmp_path / "config.json").write_text(json.dumps({"rules": [rule]}))
    record = RECORD.replace(b'"id"', b'"n":1.6,"id"')
    lines = run(str(tmp_path / "config.json"), SCHEMA + record).stdout.splitlines()
    assert json.loads(lines[3])["record"]["properties"] == {"weight": 2.5}


def test_a_run_without_rules_passes_everything_through_and_says_so(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    done = run(str(tmp_path / "config.json"), SCHEMA + RECORD + STATE)
    assert done.stdout.endswith(SCHEMA + RECORD + STATE)
    assert b"There are no rules" in done.stderr


def test_nothing_waits_while_the_input_idles(config):
    with subprocess.Popen(
        [*COMMAND, "--config", config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.stdin.write(SCHEMA + RECORD + STATE + RECORD[:-5])
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(5)]
        assert lines[4] == STATE
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        assert process.stdout.read() == b""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_cuts_no_line_in_two(signum, code, config, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(SCHEMA + RECORD * 5000)
    with (
        (tmp_path / "in.jsonl").open() as content,
        subprocess.Popen(
            [*COMMAND, "--config", config],
            stdin=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        lines = [process.stdout.readline() for _ in range(10)]
        time.sleep(0.1)  # by now it waits until somebody reads what it writes
        process.send_signal(signum)
        lines += process.stdout.readlines()
        assert process.wait(10) == code
    assert len(lines) < 5000
    assert lines[-1].endswith(b"}\n")
    assert all(msgspec.json.decode(line) for line in lines)


def test_a_closed_pipe_ends_quietly_with_1(config, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(SCHEMA + RECORD * 5000)
    with (
        (tmp_path / "in.jsonl").open() as content,
        subprocess.Popen(
            [*COMMAND, "--config", config],
            stdin=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        process.stdout.readline()
        process.stdout.close()
        log = process.stderr.read()
        assert process.wait(10) == 1
    assert all(b"| INFO " in line for line in log.splitlines())


def test_in_one_process_with_text_in_and_out(capsys):
    content = (SCHEMA + RECORD + STATE).decode()
    MapperJourneys(config=CONFIG).listen(io.StringIO(content))
    streams = [json.loads(line).get("stream") for line in capsys.readouterr().out.splitlines()]
    assert streams == [*OWN, "journey_events", None]


def test_messages_can_be_mapped_one_by_one():
    mapper = MapperJourneys(config=CONFIG)
    assert list(mapper.map_schema_message(json.loads(SCHEMA))) == []
    (message,) = mapper.map_record_message(json.loads(RECORD))
    assert isinstance(message, RecordMessage)
    assert message.stream == "journey_events"
    (state,) = mapper.map_state_message(json.loads(STATE))
    assert state.value == {"bookmark": 1}
    assert (
        list(
            mapper.map_activate_version_message(
                {"type": "ACTIVATE_VERSION", "stream": "mine", "version": 1}
            )
        )
        == []
    )


def test_long_lines_are_read_in_linear_time():
    line = b'{"type":"STATE","value":"' + b"x" * 20_000_000 + b'"}'
    started = time.perf_counter()
    read = list(blocks(io.BytesIO(STATE + line)))
    assert time.perf_counter() - started < 2
    assert read == [[STATE.rstrip()], [line]]


def test_interleaved_streams_keep_their_order():
    theirs = b'{"type":"SCHEMA","stream":"theirs","schema":{},"key_properties":[]}\n'
    row = b'{"type":"RECORD","stream":"theirs","record":{"n":%d}}\n'
    content = SCHEMA + theirs + b"".join(row % n + RECORD + STATE for n in range(3))
    lines = mapped(content)
    assert lines[0] == theirs.rstrip()
    assert lines[1::3] == [(row % n).rstrip() for n in range(3)]
    assert all(b'"journey_events"' in line for line in lines[2::3])
    assert lines[3::3] == [STATE.rstrip()] * 3


def test_a_schema_may_change_and_names_may_be_odd():
    config = {"rules": [{**RULE, "properties": {"size": '$.Size (")', "case": "$.case:concept"}}]}
    odd = json.dumps({"id": 1, "at": AT, 'Size (")': 5, "case:concept": "c", "other": 2}).encode()
    record = b'{"type":"RECORD","stream":"mine","record":' + odd + b"}\n"
    lines = mapped(SCHEMA + record + SCHEMA.replace(b'"id"', b'"other"') + record, config)
    records = [json.loads(line)["record"] for line in lines]
    assert [record["source_key"] for record in records] == ["1", "2"]
    assert records[0]["properties"] == {"size": 5, "case": "c"}


def test_a_warning_is_given_once_and_names_what_to_do():
    warnings = []
    lines = LineMapper(load(CONFIG), warnings.append)
    naive = RECORD.replace(b"05Z", b"05")
    lines.map_lines([SCHEMA, naive, naive], bytearray())
    assert lines.counts.set_aside == 2
    assert warnings == [
        "Rule 'r': record '1' of stream 'mine' is set aside: `occurred_at` ($.at) has no time "
        "zone.\nState `timezone` in the rule."
    ]


def test_a_foreign_stream_with_one_of_our_names_is_warned_about():
    warnings = []
    lines = LineMapper(load(CONFIG), warnings.append)
    lines.map_lines([SCHEMA.replace(b"mine", b"products")], bytearray())
    assert warnings[0].startswith("Stream 'products' has no rule and passes through")


def test_too_deep_a_record_is_set_aside():
    deep = RECORD.replace(b'"id"', b'"deep":' + b"[" * 5000 + b"]" * 5000 + b',"id"')
    (line,) = mapped(SCHEMA + deep)
    assert json.loads(line)["record"]["rule"] == EVERY_RULE


RULES = [
    {
        "name": "all of it",
        "streams": ["mine"],
        "when": {"a": {"not": {"gt": 5}}, "b": {"not": {"matches": "x"}}},
        "event_type": {"from": "$.a", "map": {"x": "ad_clicked"}, "default": "ad_seen"},
        "occurred_at": "$.at",
        "recorded_at": "$.a",
        "subject": {"email": "$.a", "crm": "$.b"},
        "account": {"domain": "$.b"},
        "scopes": [
            {"each": "$.b", "grain": "product", "id": "@.a"},
            {"grain": "item", "id": "$.a"},
        ],
        "channel": "$.b",
        "value": "$.a",
        "properties": {"a": "$.a", "b": "$.b.a"},
    },
    {
        "name": "each",
        "streams": ["mine"],
        "each": "$.b",
        "event_type": "$.a",
        "occurred_at": "@.at",
        "date_format": "epoch_s",
    },
    {
        "name": "goods",
        "streams": ["mine"],
        "emit": "product",
        "product_id": "$.a",
        "fields": {"aliases": "$.b", "attributes": "$.b", "relations": {"substitutes": "$.b"}},
    },
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())  # lone surrogates too
    | st.sampled_from(["ad_seen", "x", "1e5", AT, "2026-01-02"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "at", "id"]) | st.text(max_size=3), inner, max_size=3
        )
    ),
    max_leaves=8,
)
anything = dict.fromkeys(("id", "at", "a", "b"), json_values)
sound = {"id": st.integers(), "at": st.just(AT), "a": json_values, "b": json_values}
records = st.fixed_dictionaries({}, optional=anything) | st.fixed_dictionaries(sound)


@given(records | json_values)
def test_no_record_ends_the_run(record):
    lines = LineMapper(load({"rules": RULES}), lambda warning: None)
    message = {"type": "RECORD", "stream": "mine", "record": record}
    out = bytearray()
    lines.map_lines([SCHEMA, json.dumps(message).encode(), STATE.rstrip()], out)
    written = [msgspec.json.decode(line) for line in bytes(out).splitlines()]
    assert written[-1]["type"] == "STATE"
    for row in written[:-1]:
        if row["stream"] == "journey_events":
            msgspec.convert(row["record"], JourneyEvent)
    counts = lines.counts
    assert len(written) - 1 == counts.events + counts.products + counts.set_aside
    assert counts.records == 1


@given(st.binary(max_size=40))
def test_no_line_escapes_the_known_errors(line):
    lines = LineMapper(load(CONFIG), lambda warning: None)
    out = bytearray()
    try:
        lines.map_lines([SCHEMA, line], out)
    except (InvalidInputLine, FatalSyncError, RecordsWithoutSchemaException):
        assert not out
