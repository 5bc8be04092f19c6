"""Progress on a terminal and nowhere else; logs with fields for those who read them as JSON."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
from pathlib import Path

from click.testing import CliRunner

from target_journeys.cli import main
from target_journeys.progress import CLEAR, Progress
from tests.pipes import BIN
from tests.target.messages import SCHEMA, five_products, lines, record, sync

LOG_CONFIG = """
version: 1
formatters: {json: {(): singer_sdk.logging.StructuredFormatter}}
handlers: {err: {class: logging.StreamHandler, formatter: json, stream: "ext://sys.stderr"}}
root: {level: INFO, handlers: [err]}
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_rewrites_one_line_and_takes_it_away():
    out = Terminal()
    with Progress(out) as progress:
        progress.count(1000, "events")
        progress.count(1001, "events")  # too soon to be read
        progress.say("sending")
    assert out.getvalue() == f"{CLEAR}1,000 events\r{CLEAR}sending\r{CLEAR}"


def test_progress_says_nothing_where_nobody_looks():
    out = io.StringIO()
    with Progress(out) as progress:
        progress.say("sending")
        progress.count(1, "events")
    assert out.getvalue() == ""


def run(folder: Path, stderr: int, **env: str) -> bytes:
    config = folder / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{folder}/journeys.db"}))
    done = subprocess.run(
        [str(BIN / "target-journeys"), "--config", str(config)],
        input=lines(SCHEMA, *five_products(), record(30, scopes=[], source="mails")).encode(),
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=os.environ | env,
    )
    assert done.returncode == 0
    return done.stderr or b""


def test_a_run_shows_progress_on_a_terminal_and_ends_with_its_summary(tmp_path):
    ours, theirs = pty.openpty()
    run(tmp_path, theirs)
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert CLEAR + "sending" in said
    last = said.rstrip().split("\n")[-1].rpartition(CLEAR)[2]
    assert last.startswith("target-journeys: 9 events (9 new), 5 stages changed")


def test_logs_as_json_have_run_stream_counts_and_duration(tmp_path):
    path = tmp_path / "logging.yml"
    path.write_text(LOG_CONFIG)
    env = {"SINGER_SDK_LOG_CONFIG": str(path), "JOURNEYS_RUN_ID": "nightly-7"}
    said = run(tmp_path, subprocess.PIPE, **env).decode()
    assert CLEAR not in said
    *logged, summary = [line for line in said.splitlines() if line]
    assert summary.startswith("target-journeys: 9 events")
    found = [json.loads(line) for line in logged if line.startswith("{")]
    ended = [each["extra"] for each in found if "duration_s" in each["extra"]]
    (end,) = ended
    assert end["run_id"] == "nightly-7"
    assert (end["events"], end["new"], end["stages_changed"]) == (9, 9, 5)
    assert 0 < end["duration_s"] < 60
    streams = {
        each["stream_name"]: each["extra"]["events"] for each in found if each["stream_name"]
    }
    assert streams == {"mails": 1, "web_events": 8}
    points = [each["metric_info"] for each in found if each["message"] == "METRIC"]
    assert {(p["metric"], p["tags"]["stream"], p["value"]) for p in points} == {
        ("record_count", "mails", 1),
        ("record_count", "web_events", 8),
    }


def test_every_command_ends_with_a_line(kept, tmp_path):
    sync(kept, SCHEMA, *five_products())
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}"}))
    for words in (["report", "--out", str(tmp_path / "r.html")], ["deliver"], ["check"], ["gaps"]):
        done = CliRunner().invoke(main, [*words, "--config", str(config)])
        assert done.output.strip(), words
        assert CLEAR not in done.output


def test_the_mapper_logs_its_counts_with_the_id_of_the_run(tmp_path):
    path = tmp_path / "logging.yml"
    path.write_text(LOG_CONFIG)
    (tmp_path / "config.json").write_text("{}")
    done = subprocess.run(
        [str(BIN / "mapper-journeys"), "--config", str(tmp_path / "config.json")],
        input=b"",
        capture_output=True,
        env=os.environ | {"SINGER_SDK_LOG_CONFIG": str(path), "JOURNEYS_RUN_ID": "nightly-7"},
    )
    found = [json.loads(line) for line in done.stderr.decode().splitlines() if line[:1] == "{"]
    (end,) = [each["extra"] for each in found if "duration_s" in each["extra"]]
    assert (end["run_id"], end["records"], end["events"]) == ("nightly-7", 0, 0)
