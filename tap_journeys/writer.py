"""Singer messages to stdout in large pieces, always whole lines."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

BUFFER_SIZE = 64 * 1024  # bytes; what a pipe takes at once
# What makes a target act: it must not wait for the buffer to fill.
URGENT = ("STATE", "SCHEMA", "ACTIVATE_VERSION")


class Message(Protocol):
    """A message of the SDK."""

    def to_dict(self) -> dict[str, Any]: ...


def _plain(value: Any) -> Any:
    """JSON for what msgspec does not know."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class BufferedWriter(GenericSingerWriter[bytes, Message]):
    """Collects lines and writes them when there are 64 KiB, after every STATE, and on `flush`."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
        self._buffer = bytearray()
        self._writing = False
        self._signal: int | None = None
        self._second = 0
        self._tail = b""

    def serialize_message(self, message: Message) -> bytes:
        return self._encoder.encode(message.to_dict()) + b"\n"

    def write_message(self, message: Message) -> None:
        content = message.to_dict()
        self._buffer += self._encoder.encode(content) + b"\n"
        if content["type"] in URGENT or len(self._buffer) >= BUFFER_SIZE:
            self.flush()

    def write_record(self, head: bytes, record: dict[str, Any]) -> None:
        """Write a RECORD message that begins with ``head`` (see `record_head`)."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            extracted = datetime.fromtimestamp(second, tz=UTC).isoformat()
            self._tail = f',"time_extracted":"{extracted}"}}\n'.encode()
        self._buffer += b"%b%b%b" % (head, self._encoder.encode(record), self._tail)
        if len(self._buffer) >= BUFFER_SIZE:
            self.flush()

    def record_head(self, stream: str) -> bytes:
        """The start of every RECORD message of one stream, up to the record itself."""
        return b'{"type":"RECORD","stream":%b,"record":' % self._encoder.encode(stream)

    def flush(self) -> None:
        """Hand everything to stdout. A signal that comes meanwhile ends the run afterwards."""
        self._writing = True
        try:
            if self._buffer:
                # stdout is looked up each time: tests put another one in its place
                sys.stdout.buffer.write(self._buffer)
                sys.stdout.flush()
                self._buffer.clear()
        finally:
            self._writing = False
        if self._signal is not None:
            self.end(self._signal)

    def end(self, signum: int) -> None:
        """End the process for a signal, but never in the middle of a line.

        A reader that is slow makes us wait; leaving would hand it half a line.
        """
        if self._writing:
            self._signal = signum
        else:
            self._signal = None
            raise SystemExit(128 + signum)
