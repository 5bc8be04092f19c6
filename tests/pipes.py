"""The three plugins as processes, as a scheduler runs them."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"  # public event logs; absent in a clone of the project alone
BIN = Path(sys.executable).parent


class Pipe:
    """A configuration, and what runs of it leave behind."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder = folder
        self.store = folder / "journeys.db"
        self.config = folder / "config.json"
        self.state: dict[str, Any] | None = None
        self.write({"store": f"sqlite:///{self.store}", "as_of": "2026-01-01T00:00:00Z"} | config)

    def write(self, config: dict[str, Any]) -> None:
        self.config.write_text(json.dumps(config))

    def start(self) -> list[subprocess.Popen[bytes]]:
        """Tap, mapper and target, connected; the tap goes on from the last acknowledged STATE."""
        options = ["--config", str(self.config)]
        state = []
        if self.state is not None:
            (self.folder / "state.json").write_text(json.dumps(self.state))
            state = ["--state", str(self.folder / "state.json")]
        errors = (self.folder / "stderr").open("wb")
        states = (self.folder / "states").open("wb")
        tap = subprocess.Popen(
            [str(BIN / "tap-journeys"), *options, *state],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=self.folder,
        )
        mapper = subprocess.Popen(
            [str(BIN / "mapper-journeys"), *options],
            stdin=tap.stdout,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=self.folder,
        )
        target = subprocess.Popen(
            [str(BIN / "target-journeys"), *options],
            stdin=mapper.stdout,
            stdout=states,
            stderr=errors,
            cwd=self.folder,
        )
        for process in (tap, mapper):
            assert process.stdout is not None
            process.stdout.close()
        errors.close()
        states.close()
        return [tap, mapper, target]

    def finish(self, processes: list[subprocess.Popen[bytes]]) -> list[int]:
        """Wait, learn the last acknowledged STATE, and tell the exit codes."""
        codes = [process.wait() for process in processes]
        for line in (self.folder / "states").read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                self.state = json.loads(line)
        return codes

    def run(self) -> str:
        """One whole run; what it said on stderr."""
        codes = self.finish(self.start())
        said = (self.folder / "stderr").read_text()
        assert codes == [0, 0, 0], said
        return said

    def run_for(self, seconds: float) -> None:
        """A run that is killed after some time, all three processes at once."""
        processes = self.start()
        try:
            processes[2].wait(seconds)
        except subprocess.TimeoutExpired:
            for process in processes:
                process.send_signal(signal.SIGKILL)
        self.finish(processes)

    def ask(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        connection = sqlite3.connect(self.store)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def export(self) -> bytes:
        """All stage records, in order."""
        rows = self.ask(
            "select * from journey_stages order by subject, scope_grain, scope_id, episode"
        )
        return "\n".join(map(repr, rows)).encode()
