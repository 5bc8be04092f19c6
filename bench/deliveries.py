"""What a destination that is down costs the others and the reading, in one run, in turns.

The whole pipe reads a file of deals and tells a webhook, which is up. Beside it there is nobody, a
Segment that is up, or one that refuses every connection. For each the clock tells when the tap had
read everything, when the webhook had its last row, and when the run was over, which tries again for
a while what is waiting. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from measure import run

BENCH = Path(__file__).resolve().parent
ACCEPT = (0, 3)  # all was sent, or rows wait for the one that is down
BESIDE = ("nobody", "one that is up", "one that is down")
CLOCKS = ("read_s", "delivered_s", "run_s", "cpu_s")


class Webhook(BaseHTTPRequestHandler):
    """Takes everything; the server knows how many lines came, and when the last one did."""

    protocol_version = "HTTP/1.1"  # keeps the connection
    disable_nagle_algorithm = True
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.lines += body.count(b"\n")
        self.server.last_at = time.perf_counter()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Receiver(ThreadingHTTPServer):
    """A webhook on a free port."""

    lines = 0
    last_at = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def listening() -> Iterator[Receiver]:
    with Receiver(("127.0.0.1", 0), Webhook) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def refusing() -> Iterator[str]:
    """An address that is taken, so that nobody else gets it, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def once(folder: Path, deals: Path, ours: Path, beside: str | None) -> dict[str, float]:
    """One run of the pipe into a new store; ``beside`` is the address of the other destination."""
    with listening() as webhook:
        destinations: dict[str, Any] = {"webhook": {"url": webhook.url}}
        if beside is not None:
            destinations["segment"] = {"base_url": beside, "write_key": "bench"}
        stream = {"name": "deals", "path": str(deals), "primary_keys": ["id"]}
        config = {
            "sources": {"files": {"streams": [stream]}},
            "rules_files": [str(BENCH / "rules.yml")],
            "store": f"sqlite:///{folder}/store.db",
            "destinations": destinations,
        }
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        names = ("tap-journeys", "mapper-journeys", "target-journeys")
        commands = [[str(ours / name), "--config", str(path)] for name in names]
        began = time.perf_counter()
        tap, mapper, target = run(commands, folder=folder, accept=ACCEPT)
        return {
            "read_s": tap.wall_s,
            "delivered_s": webhook.last_at - began,
            "run_s": target.wall_s,
            "cpu_s": tap.cpu_s + mapper.cpu_s + target.cpu_s,
            "lines": webhook.lines,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deals", type=Path, required=True, help="JSON lines of records.py")
    parser.add_argument("--ours", type=Path, required=True, help="our commands")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--folder", type=Path, required=True, help="where the stores are made")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in BESIDE}
    with listening() as other, refusing() as nowhere:
        addresses = dict(zip(BESIDE, (None, other.url, nowhere), strict=True))
        for number in range(options.repeat + 1):  # round 0 compiles byte code and does not count
            for name, address in addresses.items():
                with TemporaryDirectory(dir=options.folder) as folder:
                    told = once(Path(folder), options.deals.resolve(), options.ours, address)
                if number:
                    runs[name].append(told)
    lines = {each["lines"] for told in runs.values() for each in told}
    assert len(lines) == 1, f"the webhook was told differently: {sorted(lines)} lines"
    found = {
        name: {clock: median(each[clock] for each in told) for clock in CLOCKS}
        for name, told in runs.items()
    }
    down = runs["one that is down"]
    speed = {  # round by round: what else the machine does changes slower than that
        name: {
            clock: median(one[clock] / two[clock] for one, two in zip(told, down, strict=True))
            for clock in CLOCKS
        }
        for name, told in runs.items()
    }
    told = {"lines": lines.pop(), "medians": found, "speed": speed}
    sys.stderr.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
