"""Runs the tap in this process or in one of its own, and reads what it says."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings

from tap_journeys.tap import TapJourneys

COMMAND = [sys.executable, "-c", "from tap_journeys.tap import TapJourneys; TapJourneys.cli()"]
ROOT = Path(__file__).parents[2]


def settings(*streams: Mapping[str, Any]) -> dict[str, Any]:
    return {"sources": {"files": {"streams": list(streams)}}}


def run(
    config: dict[str, Any],
    state: dict[str, Any] | None = None,
    *,
    catalog: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The messages of one whole run."""
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="utf-8")):
        tap = TapJourneys(config=config, state=state, catalog=catalog)
        tap.sync_all()
        tap.message_writer.flush()  # the last STATE may be older than the last record
        return [json.loads(line) for line in raw.getvalue().splitlines()]


def records(messages: list[dict[str, Any]], stream: str | None = None) -> list[dict[str, Any]]:
    return [
        message["record"]
        for message in messages
        if message["type"] == "RECORD" and stream in (None, message["stream"])
    ]


def last_state(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return [message["value"] for message in messages if message["type"] == "STATE"][-1]


def wait_for_readers(seconds: float = 10.0) -> None:
    """Return when no thread of an ended run asks for anything; a process would end them itself."""
    end = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread.name.endswith(("(_read)", "(_plan)", "(run)")):
            thread.join(max(0.0, end - time.monotonic()))


@dataclass
class Done:
    """How a run of the command ended."""

    returncode: int
    stdout: str
    stderr: str


def command(folder: Path, *options: str, config: Any = None) -> Done:
    """What the command does in ``folder``, without the half second that a process takes."""
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
        options = ("--config", "config.json", *options)
    raw, stderr, root = io.BytesIO(), io.StringIO(), logging.getLogger()
    stdout = io.TextIOWrapper(raw, encoding="utf-8")
    handlers, hook, code = list(root.handlers), sys.excepthook, 0
    with chdir(folder), redirect_stdout(stdout), redirect_stderr(stderr), catch_warnings():
        try:
            TapJourneys.cli.main(list(options))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            logging.captureWarnings(capture=False)
            root.handlers[:], sys.excepthook = handlers, hook
            stdout.flush()
    return Done(code, raw.getvalue().decode(), stderr.getvalue())


def process(folder: Path, config: Any, **environment: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own, in ``folder``."""
    (folder / "config.json").write_text(json.dumps(config))
    return subprocess.Popen(
        [*COMMAND, "--config", "ENV" if environment else "config.json"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
