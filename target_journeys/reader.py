"""The target's read loop: bytes in, one pass, no copy of a record that is kept as it came."""

from __future__ import annotations

import select
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

import msgspec
from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException
from singer_sdk.singerlib.encoding.base import GenericSingerReader
from singer_sdk.singerlib.exceptions import InvalidInputLine

from target_journeys.stores.base import UnmappedRow

if TYPE_CHECKING:
    from target_journeys.target import TargetJourneys

READ_BYTES = 1 << 18
PACE = 1_000  # events between two looks at the clock
IDLE_S = 1.0  # a batch is closed when the input pauses for this long


class Message(msgspec.Struct):
    """The envelope of a Singer message; the record stays as it came."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw(b"")
    value: Any = None
    schema: Any = None
    key_properties: list[str] | None = None


class Unmapped(msgspec.Struct):
    """A record of the mapper's stream `unmapped_records`."""

    stream: str
    rule: str
    key: str
    reason: str


class Reader(GenericSingerReader[bytes]):
    """Feeds the target; the SDK's own loop decodes, copies and validates every record."""

    def __init__(self, target: TargetJourneys) -> None:
        super().__init__()
        self.target = target

    @property
    def default_input(self) -> IO[bytes]:
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        return msgspec.json.decode(line, type=dict[str, Any])

    def process_lines(
        self, file_input: IO[Any] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read until the input ends; the SDK's callbacks are not used."""
        target = self.target
        decode = msgspec.json.Decoder(Message).decode
        stats: Counter[str] = Counter()
        number = 0
        takes_events = False
        events: list[bytes] = []  # handed over many at a time, and before anything else is done
        for line in lines(file_input or self.default_input):
            if line is None:
                self._hand_over(events, stats)
                target.commit()
                continue
            number += 1
            try:
                message = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if not line.strip():
                    continue
                raise InvalidInputLine(
                    f"Line {number} of the input is not a Singer message ({reason(error)}). What "
                    "came before it is kept; what comes after it is not read."
                ) from None
            if takes_events and message.stream == "journey_events" and message.type == "RECORD":
                events.append(bytes(message.record))
                if len(events) >= PACE:
                    self._hand_over(events, stats)
                    target.pace()
                continue
            self._hand_over(events, stats)
            self._take(message, number)
            stats[message.type] += 1
            takes_events = "journey_events" in target.keys
        self._hand_over(events, stats)
        return stats

    def _hand_over(self, events: list[bytes], stats: Counter[str]) -> None:
        """Give the ledger the events that were read, and forget them."""
        stats["RECORD"] += len(events)
        self.target.ledger.add_events(events)
        events.clear()

    def _take(self, message: Message, number: int) -> None:
        """Any message but the usual one."""
        target, stream = self.target, message.stream
        if message.type == "STATE":
            target.keep_state(message.value)
        elif message.type == "SCHEMA":
            self._schema(message, number)
        elif message.type == "RECORD":
            if stream not in target.keys:
                raise RecordsWithoutSchemaException(
                    f"Line {number}: a RECORD of stream '{stream}' came before its SCHEMA. "
                    "The tap or mapper before this target must send the SCHEMA first."
                )
            if stream == "products":
                target.ledger.add_product(bytes(message.record))
            elif stream == "unmapped_records":
                try:
                    found = msgspec.json.decode(message.record, type=Unmapped)
                except msgspec.DecodeError as error:
                    raise InvalidInputLine(
                        f"Line {number}: the RECORD of 'unmapped_records' is none ({error})."
                    ) from None
                row = UnmappedRow(found.stream, found.rule, found.key, found.reason)
                target.ledger.add_unmapped(row)
            else:
                self._unused(stream, message.record, number)
        elif message.type != "ACTIVATE_VERSION":
            raise InvalidInputLine(
                f"Line {number} is a message of type '{message.type[:40]}', which this target "
                "does not read. Switch `batch_config` off in the tap."
            )

    def _schema(self, message: Message, number: int) -> None:
        schema = message.schema
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            raise InvalidInputLine(
                f"Line {number}: the SCHEMA of stream '{message.stream}' has no properties."
            )
        self.target.keep_schema(message.stream, message.key_properties or [])

    def _unused(self, stream: str, raw: msgspec.Raw, number: int) -> None:
        record = msgspec.json.decode(raw)
        if not isinstance(record, dict):
            raise InvalidInputLine(f"Line {number}: the RECORD of '{stream}' is not an object.")
        missing = [name for name in self.target.keys[stream] if name not in record]
        if missing:
            raise MissingKeyPropertiesError(
                f"Line {number}: a RECORD of stream '{stream}' has no key '{missing[0]}'."
            )
        self.target.keep_unused(stream, record)


def lines(source: IO[Any]) -> Iterator[bytes | None]:
    """The lines of a file, pipe or test's StringIO; None whenever the input pauses."""
    raw = getattr(source, "buffer", source)
    if not hasattr(raw, "read1") or not pauses(raw):
        for line in raw:
            yield line.encode() if isinstance(line, str) else line
        return
    rest: list[bytes] = []
    while True:
        ready, _, _ = select.select([raw], [], [], IDLE_S)
        if not ready:
            yield None
            select.select([raw], [], [])
        data = raw.read1(READ_BYTES)
        if not data:
            break
        *whole, last = data.split(b"\n")
        if whole:
            rest.append(whole[0])
            yield b"".join(rest)
            yield from whole[1:]
            rest = []
        rest.append(last)
    if any(rest):
        yield b"".join(rest)


def pauses(raw: Any) -> bool:
    """Whether the input is a pipe or terminal, which may pause; a file never does."""
    try:
        select.select([raw], [], [], 0)
    except (OSError, ValueError, TypeError):
        return False
    return True


def reason(error: Exception) -> str:
    """What is wrong with a line, without a word of its content."""
    return "invalid UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
