"""A webhook on loopback that keeps what it is told: the state of a CDP at the other end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Receiver:
    """What the other end holds after all requests so far."""

    def __init__(self) -> None:
        self.url = ""
        self.records: dict[str, dict[str, Any]] = {}  # record key → the latest state of it
        self.lines: list[dict[str, Any]] = []  # everything that was ever told, in order

    def take(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if line["type"] == "journey.record.upserted":
            self.records[line["record_key"]] = line["data"]
        elif line["type"] == "journey.record.deleted":
            self.records.pop(line["record_key"], None)

    def subjects(self) -> list[str]:
        """Whom it has records of."""
        return sorted({record["subject"] for record in self.records.values()})


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that listens."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for line in body.splitlines():
                kept.take(json.loads(line))
            self.send_response(204)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}/journeys"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
