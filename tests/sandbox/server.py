"""The sandbox: vendors on loopback, a port each, all in one process.

    with Sandbox() as sandbox:
        sandbox.zendesk.world.add("tickets", {...})
        requests.get(f"{sandbox.zendesk.url}/api/v2/users/me.json", auth=...)

A vendor that is new gets one line in VENDORS and one annotation in Sandbox.
"""

from __future__ import annotations

import importlib
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from tests.sandbox.base import Answer, Clock, Delivery, Request, Vendor
from tests.sandbox.faults import Fault

if TYPE_CHECKING:
    from tests.sandbox.bigquery import BigQuery
    from tests.sandbox.hubspot import HubSpot
    from tests.sandbox.salesforce import Salesforce
    from tests.sandbox.segment import Segment
    from tests.sandbox.zendesk import Zendesk

VENDORS: dict[str, str] = {  # where each class is; imported when it is asked for
    "hubspot": "tests.sandbox.hubspot:HubSpot",
    "zendesk": "tests.sandbox.zendesk:Zendesk",
    "salesforce": "tests.sandbox.salesforce:Salesforce",
    "bigquery": "tests.sandbox.bigquery:BigQuery",
    "segment": "tests.sandbox.segment:Segment",
}
LONGEST_TARGET = 1 << 20  # bytes of a request line; a vendor refuses earlier, in its own words


class _Requests(BaseHTTPRequestHandler):
    """Reads requests from a connection that is kept, and writes the vendor's answers to it."""

    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # headers and body leave together
    server: _Server

    def handle_one_request(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(LONGEST_TARGET)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            request = self._read()
            self._write(self._respond(request), head=request.method == "HEAD")
        except (ConnectionError, TimeoutError):  # the client is gone, or was killed
            self.close_connection = True

    def _respond(self, request: Request) -> Delivery:
        """The vendor's delivery; a mistake of the sandbox is kept, and raised when it closes."""
        try:
            return self.server.vendor.respond(request)
        except Exception as mistake:
            mistake.add_note(f"while the sandbox answered {request.method} {request.target}")
            self.server.mistakes.append(mistake)
            return Delivery(Answer(599, {"sandbox": repr(mistake)}), Fault())

    def _read(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "chunked" in headers.get("transfer-encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(headers.get("content-length", 0)))
        return Request(self.command, self.path, headers, body)

    def _write(self, delivery: Delivery, *, head: bool) -> None:
        answer, fault = delivery.answer, delivery.fault
        if fault.reset:
            return self._reset()
        body = answer.encoded()
        if fault.truncated:
            body = body[: len(body) // 2]
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json;charset=utf-8"} | answer.headers
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head and answer.status != 204:
            self.wfile.write(body[: len(body) // 2] if fault.cut else body)
        self.wfile.flush()
        if fault.cut:
            self._reset()

    def _reset(self) -> None:
        """Close with a reset instead of a goodbye."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Say nothing: the vendor keeps a log."""


class _Server(ThreadingHTTPServer):
    """One vendor's port; closing it ends the connections that clients keep open."""

    daemon_threads = True  # a program that forgot to stop it ends nevertheless
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, vendor: Vendor, port: int) -> None:
        self.vendor = vendor
        self.mistakes: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._busy: set[threading.Thread] = set()
        super().__init__(("127.0.0.1", port), _Requests)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the other side was faster
                    continue
            busy = list(self._busy)
        for thread in busy:
            thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone while something is still to be written to it is no error."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._busy.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._busy.discard(threading.current_thread())

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)


class Sandbox:
    """All vendors (or those that are named), running while the `with` block lasts.

    They share one clock. Ports are free ones, or count up from `port`.
    """

    hubspot: HubSpot
    zendesk: Zendesk
    salesforce: Salesforce
    bigquery: BigQuery
    segment: Segment

    def __init__(self, *names: str, port: int = 0) -> None:
        self.clock = Clock()
        self.vendors: dict[str, Vendor] = {}
        self._port = port
        self._servers: list[_Server] = []
        for name in names or VENDORS:
            module, _, kind = VENDORS[name].partition(":")
            vendor = getattr(importlib.import_module(module), kind)(self.clock)
            self.vendors[name] = cast(Vendor, vendor)
            setattr(self, name, vendor)

    def __enter__(self) -> Sandbox:
        for number, vendor in enumerate(self.vendors.values()):
            server = _Server(vendor, self._port + number if self._port else 0)
            self._servers.append(server)
            vendor.url = server.url
            server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        mistakes = []
        while self._servers:
            server = self._servers.pop()
            server.stop()
            mistakes += server.mistakes
        if mistakes and kind is None:
            raise ExceptionGroup("mistakes of the sandbox itself", mistakes)


@contextmanager
def serving(vendor: Vendor) -> Iterator[str]:
    """One vendor, running while the block lasts; its address."""
    server = _Server(vendor, 0)
    vendor.url = server.url
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
    if server.mistakes:
        raise ExceptionGroup("mistakes of the sandbox itself", server.mistakes)
