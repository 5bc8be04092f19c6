"""A receiver that answers as badly as receivers do, and remembers what it was really told.

Run as a module it listens on loopback, in a process of its own: `POST /mood` says how it answers
from now on, `POST /rows` is what a webhook is given, `GET /memory` what it remembers. What is
posted to `/jobs` may be accepted as a job, which `GET /jobs/…` asks for.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REFUSALS = (400, 409, 413, 422)
FAILURES = (500, 502, 503, 408)
LOCKED_OUT = (302, 401, 403, 404, 405, 410)
KINDS = (
    *("ok",) * 8,
    *("mixed",) * 4,
    *("refuse",) * 2,
    *("fail",) * 2,
    "fail after",
    "busy",
    "pause",
    "long pause",
    "locked",
    "reset before",
    "reset after",
    "silent before",
    "silent after",
    "nonsense",
)
JOB_KINDS = (
    *("ok",) * 4,
    *("mixed",) * 2,
    *("running",) * 4,
    "ok, but silent after",
    "forgotten",
    "forgotten after",
    "fail",
    "pause",
    "locked",
    "reset",
    "silent",
    "nonsense",
)
SILENCE_S = 0.1

Answer = tuple[str, int, dict[str, str], Any]  # "" or how it ends, status, headers, body


class Memory:
    """What arrived, in order, and what was said to it."""

    def __init__(self, seed: int = 0, *, calm: bool = True, drops_repeats: bool = True) -> None:
        self.random = random.Random(seed)
        self.calm, self.drops_repeats = calm, drops_repeats
        self.state: dict[str, Any] = {}  # record key → (version, data), of records
        self.transitions: list[tuple[str, str]] = []  # (journey, event id) as they took effect
        self.effects: dict[str, int] = {}  # row id → how often it took effect
        self.refused: set[tuple[str, int]] = set()  # (record key, version)
        self.faults: list[str] = []  # what a sender must never do
        self.jobs: dict[str, list[dict[str, Any]]] = {}  # job → rows that wait
        self.done: dict[str, list[dict[str, Any]]] = {}  # job → what became of its rows

    def mood(self, seed: int, *, calm: bool, drops_repeats: bool) -> None:
        self.random, self.calm, self.drops_repeats = random.Random(seed), calm, drops_repeats

    def as_json(self) -> dict[str, Any]:
        names = ("state", "transitions", "effects", "faults")
        return {name: getattr(self, name) for name in names} | {"refused": sorted(self.refused)}

    def take(self, row: dict[str, Any]) -> None:
        """One row takes effect."""
        seen = row["id"] in self.effects
        if seen and self.drops_repeats:
            return
        self.effects[row["id"]] = self.effects.get(row["id"], 0) + 1
        key, data = row["record_key"], row["data"]
        if row["type"] == "journey.stage.changed":
            journey = json.dumps([data["subject"], data["scope_id"]])
            self.transitions.append((journey, data["event_id"]))
            return
        version, before = self.state.get(key, (0, None))
        if row["record_version"] < version:
            self.faults.append(f"{key} went back from {version} to {row['record_version']}")
        if before and row["type"] == "journey.record.upserted":
            back = data["stage_entered_at"] < before.get("stage_entered_at", "")
            if back and not data["is_correction"]:
                self.faults.append(f"{key} went back in time without a word")
        gone = row["type"] == "journey.record.deleted"
        self.state[key] = (row["record_version"], None if gone else data)

    def answer(self, body: bytes, *, accepts: bool = False) -> Answer:
        """What is said to rows that are sent."""
        rows = [json.loads(line) for line in body.splitlines()]
        keys = [row["record_key"] for row in rows]
        if len(set(keys)) < len(keys):
            self.faults.append("one request holds a key twice")
        kind = "ok" if self.calm else self.random.choice(KINDS)
        if accepts and (self.calm or kind in ("ok", "mixed")):
            job = f"job-{len(self.jobs) + len(self.done)}"
            self.jobs[job] = rows
            return "", 202, {}, {"job": job}
        if kind in ("ok", "fail after", "reset after", "silent after", "nonsense"):
            for row in rows:
                self.take(row)
        if kind == "mixed":
            return self._mixed(rows)
        if kind == "refuse":
            if len(rows) == 1:
                self.refused.add((rows[0]["record_key"], rows[0]["record_version"]))
            return "", self.random.choice(REFUSALS), {}, "no"
        match kind:
            case "ok":
                return "", self.random.choice((200, 202, 204)), {}, None
            case "fail":
                return "", self.random.choice(FAILURES), {}, "broken"
            case "fail after":
                return "", self.random.choice((500, 502, 504)), {}, "broken"
            case "busy":
                return "", 429, {}, "later"
            case "pause":
                return "", self.random.choice((429, 503)), {"Retry-After": "3"}, "later"
            case "long pause":
                return "", 429, {"Retry-After": "600"}, "later"
            case "locked":
                return "", self.random.choice(LOCKED_OUT), {}, "who are you"
            case "nonsense":
                return "", 200, {}, {"results": []}
        return kind.partition(" ")[0], 0, {}, None

    def tell(self, job: str) -> Answer:
        """What is said of rows that were accepted."""
        kind = "ok" if self.calm else self.random.choice(JOB_KINDS)
        if job in self.jobs and kind.startswith(("ok", "mixed", "forgotten after")):
            statuses = ("ok", "ok", "retry", "drop", "unsaid") if kind == "mixed" else ("ok",)
            self.done[job] = self._results(self.jobs.pop(job), statuses)
        if job not in self.done and kind in ("ok", "mixed"):
            return "", 404, {}, "which job?"
        match kind:
            case "ok" | "mixed":
                return "", 200, {}, {"results": self.done[job]}
            case "running":
                return "", 200, {}, {"state": "running"}
            case "forgotten" | "forgotten after":
                # its number is not given to another
                self.done[job] = self.done.get(job) or self.jobs.pop(job, [])[:0]
                return "", self.random.choice((404, 410, 400)), {}, "which job?"
            case "fail":
                return "", self.random.choice(FAILURES), {}, "broken"
            case "pause":
                return "", 429, {"Retry-After": "3"}, "later"
            case "locked":
                return "", self.random.choice((401, 403)), {}, "who are you"
            case "nonsense":
                return "", 200, {}, ["what"]
        return "reset" if kind == "reset" else "silent", 0, {}, None

    def _mixed(self, rows: list[dict[str, Any]]) -> Answer:
        results = self._results(rows, ("ok", "ok", "retry", "drop", "unsaid"))
        return "", 207, {}, {"results": results}

    def _results(
        self, rows: list[dict[str, Any]], statuses: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        results = []
        for row in rows:
            status = self.random.choice(statuses)
            if status == "ok":
                self.take(row)
            elif status == "drop":
                self.refused.add((row["record_key"], row["record_version"]))
            if status != "unsaid":
                results.append({"id": row["id"], "status": status})
        return results


class Receiver(BaseHTTPRequestHandler):
    """The memory behind an address."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # headers and body leave together
    memory = Memory()

    def do_POST(self) -> None:  # the standard library's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/mood":
            mood = json.loads(body)
            if mood.pop("fresh"):
                type(self).memory = Memory()
            self.memory.mood(**mood)
            self._say(200, {}, None)
            return
        self._give(self.memory.answer(body, accepts=self.path == "/jobs"))

    def _give(self, given: Answer) -> None:
        end, status, headers, answer = given
        if end == "silent":
            time.sleep(2 * SILENCE_S)
        if end:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
        else:
            self._say(status, headers, answer)

    def do_GET(self) -> None:  # the standard library's name
        if self.path.startswith("/jobs/"):
            self._give(self.memory.tell(self.path.rpartition("/")[2]))
        else:
            self._say(200, {}, self.memory.as_json())

    def _say(self, status: int, headers: dict[str, str], answer: Any) -> None:
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)
        self.wfile.flush()

    def finish(self) -> None:
        if not self.connection._closed:  # type: ignore[attr-defined]  # closed by a reset
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until whoever started it is gone
