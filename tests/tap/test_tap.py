"""The tap's shell: settings, command line, exit codes, signals, and what is said on stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.testing import get_tap_test_class

from journeys.settings import TOP_LEVEL
from tap_journeys.settings import BUILT_IN
from tap_journeys.sources import SOURCES
from tap_journeys.tap import TapJourneys
from tests.tap.running import command, last_state, process, records, run, settings

SECRET = "hunter2"
VISITS = {"name": "visits", "path": "visits.csv"}
ONE = settings(VISITS)

# The SDK's own suite makes its taps when this module is imported.
EXAMPLES = Path(__file__).parent / "examples"
CSV = {"name": "visits", "path": str(EXAMPLES / "visits.csv")}
JSONL = {"name": "calls", "path": str(EXAMPLES / "calls.jsonl"), "primary_keys": ["call_id"]}
TestSuiteWithCsv = get_tap_test_class(TapJourneys, config=settings(CSV))
TestSuiteWithJsonLines = get_tap_test_class(
    TapJourneys,
    config=settings(JSONL),
    include_stream_attribute_tests=False,  # they cannot handle a property of any type
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "visits.csv").write_text("id,b\n1,2\n3,4\n")
    return tmp_path


def messages(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# Settings


def test_the_settings_of_the_others_are_let_pass(folder, monkeypatch):
    monkeypatch.chdir(folder)
    shared = {"rules": [], "destinations": {"webhook": {"url": "x"}}, "store": "x.db"}
    assert len(records(run(ONE | shared | {"batch_size_rows": 5, "load_method": "upsert"}))) == 2


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, "sources: must name at least one of: files"),
        ({"sources": {}}, "sources: must name at least one of: files"),
        ({"sources": [SECRET]}, "sources: must name at least one of: files"),
        ({"sources": {"fils": SECRET}}, "sources.fils: unknown source; known are: files"),
        ({"sources": {"files": SECRET}}, "sources.files: Input should be a valid dictionary"),
        ({"sources": {"files": {}}}, "sources.files.streams: Field required"),
        (settings(), "sources.files.streams: Tuple should have at least 1 item"),
        (settings({"name": SECRET}), "sources.files.streams.0.path: Field required"),
        (settings(VISITS | {"path": ""}), "sources.files.streams.0.path: String should have"),
        (settings(VISITS | {"path": [SECRET]}), "sources.files.streams.0.path: Input should be"),
        (settings(VISITS | {"paht": SECRET}), "sources.files.streams.0.paht: Extra inputs are"),
        (settings(VISITS | {"format": SECRET}), "sources.files.streams.0.format: Input should be"),
        (settings(VISITS | {"delimiter": SECRET}), "sources.files.streams.0.delimiter: String"),
        (settings(VISITS | {"delimiter": "\n"}), "sources.files.streams.0.delimiter: must not be"),
        (settings(VISITS | {"encoding": SECRET}), "sources.files.streams.0.encoding: must be an"),
        (settings(VISITS | {"encoding": "hex"}), "sources.files.streams.0.encoding: must be an"),
        (settings(VISITS | {"primary_keys": SECRET}), "sources.files.streams.0.primary_keys: "),
        (settings(VISITS, VISITS), "sources.files.streams: two streams have the same name"),
        (ONE | {"source": SECRET}, "source: unknown setting; known are: sources, "),
        (ONE | {"flattening_enabled": SECRET}, "flattening_enabled: does not fit `type`"),
        (ONE | {"fail_on_refused": SECRET}, "fail_on_refused: does not fit `type`"),
        (ONE | {"stream_maps": {"visits": {"b": f"{SECRET}("}}}, "stream_maps: cannot be applied"),
    ],
)
def test_wrong_settings_are_named_by_place_and_never_by_value(config, error, caplog):
    with pytest.raises(ConfigValidationError) as caught:
        TapJourneys(config=config)
    assert [each for each in caught.value.errors if each.startswith(error)]
    assert SECRET not in f"{caught.value.errors}{caught.value}{caplog.text}"


def test_an_unknown_setting_is_told_what_is_allowed():
    with pytest.raises(ConfigValidationError) as caught:
        TapJourneys(config=ONE | {"source": {}})
    (error,) = caught.value.errors
    assert all(name in error for name in (*TOP_LEVEL, *BUILT_IN))


def test_the_schema_has_no_references_and_describes_every_setting():
    schema = TapJourneys.config_jsonschema
    assert "$ref" not in json.dumps(schema)
    assert "$defs" not in json.dumps(schema)
    for name in SOURCES:
        source = schema["properties"]["sources"]["properties"][name]
        for setting in source["properties"].values():
            assert setting["description"]
            for inner in setting.get("items", {}).get("properties", {}).values():
                assert inner["description"]


# Command line


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (settings({"name": SECRET}), []),
        (settings({"name": SECRET}), ["--discover"]),
        ({"sources": {"fils": SECRET}}, ["--test"]),
        ([SECRET], []),
    ],
)
def test_a_wrong_configuration_ends_with_2(config, options, tmp_path):
    done = command(tmp_path, *options, config=config)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    assert done.stdout == ""


def test_files_that_are_missing_or_no_json_end_with_2(folder):
    (folder / "broken.json").write_text(f'{{"a": {SECRET}')
    for options in (
        ["--config", "none.json"],
        ["--config", "broken.json"],
        ["--state", "broken.json"],
    ):
        config = None if options[0] == "--config" else ONE
        done = command(folder, *options, config=config)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stderr


def test_a_good_run_ends_with_one_line_and_0(folder):
    done = command(folder, config=ONE)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "tap-journeys: 2 records of 1 stream"
    assert not [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    types = [message["type"] for message in messages(done.stdout)]
    assert types == ["SCHEMA", "RECORD", "RECORD", "STATE"]


def test_broken_lines_end_with_3_after_the_state_is_out(folder):
    with (folder / "visits.csv").open("a") as file:
        file.write(f"{SECRET}\n{SECRET},{SECRET},{SECRET}\n")
    done = command(folder, config=ONE)
    assert done.returncode == 3
    assert messages(done.stdout)[-1]["type"] == "STATE"
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == (
        "tap-journeys: 2 records of 1 stream, 2 broken lines set aside (see above)"
    )
    (folder / "state.json").write_text(json.dumps(messages(done.stdout)[-1]["value"]))
    again = command(folder, "--state", "state.json", config=ONE)
    assert again.returncode == 0
    assert again.stderr.splitlines()[-1] == "tap-journeys: 0 records of 1 stream"
    forgiven = command(folder, config=ONE | {"fail_on_refused": False})
    assert forgiven.returncode == 0


def test_a_stream_that_fails_lets_the_others_go_on_and_ends_with_1(folder):
    (folder / "bad.parquet").write_text(SECRET)
    done = command(folder, config=settings({"name": "a_bad", "path": "*.parquet"}, VISITS))
    assert done.returncode == 1
    assert len(records(messages(done.stdout), "visits")) == 2
    (line,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert "Stream 'a_bad': bad.parquet: it is not a Parquet file" in line
    assert done.stderr.splitlines()[-1] == (
        "tap-journeys: 2 records of 2 streams, 1 file not read (see above)"
    )
    assert SECRET not in done.stderr


def test_a_stream_map_that_fails_stops_its_stream_only(folder):
    (folder / "visits.csv").write_text(f"id,b\n1,2\n{SECRET},4\n5,6\n")
    (folder / "z.csv").write_text("a\n1\n")
    maps = {"stream_maps": {"visits": {"number": "int(id)"}}}
    config = settings(VISITS, {"name": "z", "path": "z.csv"})
    done = command(folder, config=config | maps)
    assert done.returncode == 1
    assert [record["id"] for record in records(messages(done.stdout), "visits")] == ["1"]
    assert len(records(messages(done.stdout), "z")) == 1
    assert "visits.csv, line 3: `stream_maps` cannot be applied" in done.stderr
    assert SECRET not in done.stderr
    (folder / "state.json").write_text(json.dumps(last_state(messages(done.stdout))))
    again = command(folder, "--state", "state.json", config=config)
    assert SECRET in [record["id"] for record in records(messages(again.stdout), "visits")]


def test_an_unfinished_last_line_is_mentioned(folder):
    (folder / "visits.csv").write_text("id,b\n1,2\n3")
    done = command(folder, config=ONE)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == (
        "tap-journeys: 1 record of 1 stream, 1 unfinished last line left for the next run"
    )


def test_discovered_catalog_can_be_given_back(folder):
    discovered = command(folder, "--discover", config=ONE)
    assert discovered.returncode == 0
    (entry,) = json.loads(discovered.stdout)["streams"]
    assert entry["key_properties"] == ["_record_hash"]
    (folder / "catalog.json").write_text(discovered.stdout)
    done = command(folder, "--catalog", "catalog.json", config=ONE)
    assert len(records(messages(done.stdout))) == 2


@pytest.mark.parametrize(
    ("options", "types"),
    [
        (["--test"], ["SCHEMA", "RECORD", "STATE"]),
        (["--test=schema"], ["SCHEMA"]),
    ],
)
def test_a_test_run_stops_early(options, types, folder):
    done = command(folder, *options, config=ONE)
    assert done.returncode == 0
    assert [message["type"] for message in messages(done.stdout)] == types


def test_about_and_version_need_no_configuration(tmp_path):
    assert "tap-journeys v" in command(tmp_path, "--version").stdout
    about = json.loads(command(tmp_path, "--about", "--format", "json").stdout)
    assert about["name"] == "tap-journeys"
    assert "sources" in about["settings"]["properties"]


def test_the_environment_can_hold_the_sources(folder):
    sources = json.dumps(ONE["sources"])
    with process(folder, {}, TAP_JOURNEYS_SOURCES=sources) as running:
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert len(records(messages(out.decode()))) == 2


def test_a_process_ends_with_the_code_of_its_run(folder):
    (folder / "visits.csv").write_text(f"id,b\n1,2\n{SECRET}\n")
    with process(folder, ONE) as running:
        out, error = running.communicate(timeout=60)
    assert running.returncode == 3
    assert [m["type"] for m in messages(out.decode())] == ["SCHEMA", "RECORD", "STATE"]
    assert error.decode().splitlines()[-1] == (
        "tap-journeys: 1 record of 1 stream, 1 broken line set aside (see above)"
    )
    assert SECRET not in error.decode()


# Interruptions


LINE = '{"n":%d,"x":"' + "x" * 80 + '"}\n'
LINE_SIZE = len(LINE % 10_000)  # bytes


@pytest.fixture
def long_run(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of 60,000 records whose reader has taken the first line only."""
    lines = (LINE % number for number in range(10_000, 70_000))
    (tmp_path / "long.jsonl").write_text("".join(lines))
    with process(tmp_path, settings({"name": "l", "path": "*.jsonl"})) as running:
        assert running.stdout
        assert json.loads(running.stdout.readline())["type"] == "SCHEMA"
        yield running


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("lines_read", [0, 15_000])
def test_a_signal_leaves_whole_lines_and_a_true_state(signum, code, lines_read, long_run):
    found = [json.loads(long_run.stdout.readline()) for _ in range(lines_read)]
    time.sleep(0.05)  # until the pipe is full and the tap waits for its reader
    long_run.send_signal(signum)
    time.sleep(0.05)
    found += [json.loads(line) for line in long_run.stdout]
    assert long_run.wait(10) == code
    written = 0
    for message in found:
        if message["type"] == "RECORD":
            written += 1
        elif message["type"] == "STATE":
            entry = message["value"]["bookmarks"]["l"]["files"]["long.jsonl"]
            assert entry["offset"] <= written * LINE_SIZE
    assert lines_read <= written < 60_000
    assert b"Traceback" not in long_run.stderr.read()


def test_a_reader_that_is_gone_ends_the_run_with_1(long_run):
    long_run.stdout.close()
    assert long_run.wait(10) == 1
    error = long_run.stderr.read().decode()
    assert "Traceback" not in error
    assert error.splitlines()[-1] == "tap-journeys: the reader of the records is gone; run again"


# What the SDK's suite leaves out


def test_keys_are_unique_and_the_last_state_is_final():
    found = run(settings(CSV, JSONL))
    for stream, key in {"visits": "_record_hash", "calls": "call_id"}.items():
        keys = [record[key] for record in records(found, stream)]
        assert len(keys) == len(set(keys)) > 1
        assert None not in keys
    bookmarks = last_state(found)["bookmarks"]
    for stream, name in {"visits": "visits.csv", "calls": "calls.jsonl"}.items():
        assert set(bookmarks[stream]) == {"files"}
        entry = bookmarks[stream]["files"][str(EXAMPLES / name)]
        assert entry["offset"] == entry["size"] == (EXAMPLES / name).stat().st_size
    assert found[-1]["type"] == "STATE"
    assert records(run(settings(CSV, JSONL), last_state(found))) == []


def test_records_reach_stdout_as_soon_as_a_state_does(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("visits.csv").write_text("a\n1\n")
    TapJourneys(config=ONE).sync_all()
    assert [m["type"] for m in messages(capsys.readouterr().out)] == ["SCHEMA", "RECORD", "STATE"]
