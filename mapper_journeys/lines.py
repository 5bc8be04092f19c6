"""Singer lines: events for the records that rules read, the very bytes of everything else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from hashlib import blake2b
from typing import Any, Union

import msgspec
from singer_sdk.exceptions import FatalSyncError, RecordsWithoutSchemaException
from singer_sdk.singerlib.exceptions import InvalidInputLine

from journeys.event import JourneyEvent, Product
from mapper_journeys.events import key_text
from mapper_journeys.paths import Row
from mapper_journeys.rules import EVERY_RULE, Failure, StreamRules, apply, row_of
from mapper_journeys.wire import EventRecord

EVENT_FRONT = b'{"type":"RECORD","stream":"journey_events","record":'
PRODUCT_FRONT = b'{"type":"RECORD","stream":"products","record":'
UNMAPPED_FRONT = b'{"type":"RECORD","stream":"unmapped_records","record":'
EXTRACTED = b',"time_extracted":'
END = b"}\n"
UNMAPPED_COLUMNS = ("stream", "rule", "key", "reason")
KEYS = {
    "journey_events": ["event_id"],
    "products": ["product_id"],
    "unmapped_records": ["stream", "rule", "key"],
}
MEND = "Mend it in the source or the tap."
TOO_DEEP = (Failure(EVERY_RULE, "the record is nested too deeply to be read", MEND),)
PASSED_TYPES = ("STATE", "ACTIVATE_VERSION", "BATCH")

# An escaped half of a surrogate pair is valid JSON, but no text that could be written again.
ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
RECORD_START = re.compile(
    rb'\s*\{\s*"type"\s*:\s*"RECORD"\s*,\s*"stream"\s*:\s*("(?:[^"\\]|\\.)*")'
)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError)


def _replace_half(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if match[1] else match[0]


class _Envelope(msgspec.Struct):
    """What every message says about itself."""

    type: str
    stream: str = ""


class _WholeRecord(msgspec.Struct):
    """A RECORD message whose record is left as it is."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw(b"null")
    time_extracted: msgspec.Raw | None = None


class _Nowhere(msgspec.Struct, tag_field="stream", tag="\0 nowhere"):
    """No stream; makes `stream` obligatory where only one stream is known."""


class _Schema(msgspec.Struct):
    stream: str
    key_properties: list[str] | None = None


_encoder = msgspec.json.Encoder(decimal_format="number")
_encode = _encoder.encode
_encode_into = _encoder.encode_into
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
_decode_any = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_whole = msgspec.json.Decoder(_WholeRecord).decode
_decode_schema = msgspec.json.Decoder(_Schema).decode


@dataclass(slots=True)
class Counts:
    """What one run has seen and made."""

    records: int = 0
    events: int = 0
    products: int = 0
    set_aside: int = 0
    unmatched: int = 0
    passed: int = 0
    messages: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.records:,} records, {self.events:,} events, {self.products:,} products, "
            f"{self.set_aside:,} set aside, {self.unmatched:,} matched no rule, "
            f"{self.passed:,} passed through"
        )


class _StreamReader:
    """Reads the messages of one stream: of a mapped record only what its rules and key need."""

    def __init__(self, stream: str, rules: StreamRules | None, keys: Sequence[str]) -> None:
        self.stream = stream
        self.rules = rules
        self.keys = keys
        fields: list[Any] = [("type", str)]
        if rules is not None:
            columns = tuple(dict.fromkeys((*rules.columns, *keys)))
            record, self.row = _record_type(columns)
            self.key = _key_reader([columns.index(name) for name in keys])
            fields += [("record", record | None, None), ("time_extracted", msgspec.Raw, None)]
        self.message = msgspec.defstruct(
            "Message", fields, tag_field="stream", tag=stream, gc=False
        )


def _key_reader(places: Sequence[int]) -> Callable[[Row, bytes], str | None]:
    """How to make a record's key of its row, or of its line; None where a part is missing."""
    if not places:
        return lambda row, line: _content_key(line)
    if len(places) > 1:
        return lambda row, line: key_text([row[place] for place in places])
    (place,) = places

    def key(row: Row, line: bytes) -> str | None:
        value = row[place]
        if type(value) is str:
            return value or None
        return str(value) if type(value) is int else key_text([value])

    return key


def _record_type(columns: Sequence[str]) -> tuple[Any, Callable[[Any], Row]]:
    """A type that holds these columns only, and how to make a row of it."""
    names = {f"f{place}": name for place, name in enumerate(columns)}
    try:
        made = msgspec.defstruct(
            "Record", [(name, Any, None) for name in names], rename=names, gc=False
        )
    except ValueError:  # a column's name holds a quote or a backslash
        return dict[str, Any], partial(row_of, columns)
    return made, msgspec.structs.astuple


class LineMapper:
    """Turns the lines of a Singer tap into the lines of this mapper; no memory but the schemas."""

    def __init__(self, rules: Mapping[str, StreamRules], warn: Callable[[str], None]) -> None:
        self.counts = Counts()
        self.line_number = 0
        self._rules = rules
        self._warn = warn
        self._warned: set[tuple[str, str]] = set()
        self._readers: dict[str, _StreamReader] = {}
        self._readers_by_message: dict[type, _StreamReader] = {}
        self._decode: Callable[[bytes], Any] = _decode_envelope  # replaced by the first SCHEMA

    def map_lines(self, lines: Iterable[bytes], out: bytearray) -> None:
        """Append what the lines become; a line that raises appends nothing."""
        counts, readers, decode = self.counts, self._readers_by_message, self._decode
        records = events = unmatched = 0  # counted here, because this loop is the hot one
        before = self.line_number
        number = 0
        try:
            for number, line in enumerate(lines, start=1):
                try:
                    message = decode(line)
                except UNREADABLE:
                    self.line_number = before + number
                    self._map_unusual(line, out)
                    decode = self._decode
                    continue
                reader = readers.get(type(message))
                if reader is None or message.type != "RECORD":
                    self.line_number = before + number
                    self._map_other(message.type, line, line, out)
                    decode = self._decode
                    continue
                if reader.rules is None or message.record is None:
                    self._map_plain(reader, line, out)
                    continue
                records += 1
                row = reader.row(message.record)
                key = reader.key(row, line)
                made, failures = apply(reader.rules, row, key)
                for item in made:
                    size = len(out)
                    is_event = type(item) is EventRecord
                    out += EVENT_FRONT if is_event else PRODUCT_FRONT
                    try:
                        _encode_into(item, out, -1)  # which is the end
                    except RecursionError:
                        del out[size:]
                        failures = TOO_DEEP
                        continue
                    if is_event:
                        events += 1
                    else:
                        counts.products += 1
                    if message.time_extracted is not None:
                        out += EXTRACTED
                        out += message.time_extracted
                    out += END
                if failures:
                    self._set_aside(reader.stream, key or _content_key(line), failures, out)
                elif not made:
                    unmatched += 1
        finally:
            self.line_number = before + number
            counts.records += records
            counts.events += events
            counts.unmatched += unmatched

    def _map_plain(self, reader: _StreamReader, line: bytes, out: bytearray) -> None:
        self.counts.records += 1
        if reader.rules is not None:
            self._refuse(reader, "the record is not an object", line, out)
            return
        self.counts.passed += 1
        out += line
        out += b"\n"

    def _reader_of(self, stream: str) -> _StreamReader:
        try:
            return self._readers[stream]
        except KeyError:
            raise RecordsWithoutSchemaException(
                f"Line {self.line_number} is a record of stream '{stream}', "
                "but the stream has had no SCHEMA message. The tap must send one first."
            ) from None

    def _map_other(self, kind: str, readable: bytes, line: bytes, out: bytearray) -> None:
        self.counts.messages[kind] += 1
        if kind == "SCHEMA":
            self._read_schema(readable)
        elif kind == "RECORD":
            self._reader_of(_decode_envelope(readable).stream)
        elif kind not in PASSED_TYPES:
            raise InvalidInputLine(
                f"Line {self.line_number} is no Singer message: its `type` is unknown."
            )
        stream = _decode_envelope(readable).stream
        if kind == "STATE" or stream not in self._rules:
            out += line
            out += b"\n"
        elif kind == "BATCH":
            raise FatalSyncError(
                f"Stream '{stream}' has rules, but came as a BATCH, which is a pointer to a file. "
                "Remove `batch_config` from the tap's settings."
            )

    def _read_schema(self, line: bytes) -> None:
        try:
            schema = _decode_schema(line)
        except msgspec.ValidationError:
            raise InvalidInputLine(
                f"Line {self.line_number} is a SCHEMA message without a `stream` or with "
                "`key_properties` that are not a list of names."
            ) from None
        rules, keys = self._rules.get(schema.stream), schema.key_properties or []
        if rules is None and keys != KEYS.get(schema.stream, keys):
            self._warn(
                f"Stream '{schema.stream}' has no rule and passes through, under the name of a "
                "stream of this mapper's own.\nWrite a rule for it, or rename it in the tap."
            )
        known = self._readers.get(schema.stream)
        if known is None or known.keys != keys:  # some taps repeat it for every parent record
            self._readers[schema.stream] = _StreamReader(schema.stream, rules, keys)
            self._decode_all()

    def _decode_all(self) -> None:
        """One decoder for the streams that are known by now; it tells them apart by `stream`."""
        self._readers_by_message.clear()
        self._readers_by_message.update((each.message, each) for each in self._readers.values())
        messages: Any = Union[(_Nowhere, *self._readers_by_message)]
        self._decode = msgspec.json.Decoder(messages, float_hook=Decimal).decode

    # What is rare: records that JSON allows and nobody can use

    def _map_unusual(self, line: bytes, out: bytearray) -> None:
        if not line.strip():
            return
        readable = ESCAPE.sub(_replace_half, line) if b"\\u" in line else line
        try:
            message = _decode_whole(readable)
        except RecursionError:
            self._map_too_deep(line, out)
            return
        except msgspec.ValidationError:
            raise InvalidInputLine(f"Line {self.line_number} is no Singer message.") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidInputLine(f"Line {self.line_number} is not valid JSON.") from None
        if message.type != "RECORD":
            self._map_other(message.type, readable, line, out)
            return
        reader = self._reader_of(message.stream)
        if reader.rules is None:
            self._map_plain(reader, line, out)
            return
        try:
            self._decode(readable)
        except UNREADABLE:
            content = bytes(message.record)
            is_object = content.lstrip()[:1] == b"{"
            reason = "holds a number that is out of range" if is_object else "is not an object"
            self.counts.records += 1
            self._refuse(reader, f"the record {reason}", content, out)
            return
        self.line_number -= 1  # to be counted again
        self.map_lines([readable], out)

    def _map_too_deep(self, line: bytes, out: bytearray) -> None:
        match = RECORD_START.match(line)
        if match is None:
            raise InvalidInputLine(f"Line {self.line_number} is nested too deeply to be read.")
        reader = self._reader_of(str(_decode_any(match[1])))
        if reader.rules is None:
            self._map_plain(reader, line, out)
        else:
            self.counts.records += 1
            self._set_aside(reader.stream, _digest(line), TOO_DEEP, out)

    def _refuse(self, reader: _StreamReader, reason: str, content: bytes, out: bytearray) -> None:
        failure = Failure(EVERY_RULE, reason, MEND)
        self._set_aside(reader.stream, _digest(content), [failure], out)

    def _set_aside(
        self, stream: str, key: str, failures: Sequence[Failure], out: bytearray
    ) -> None:
        self.counts.set_aside += len(failures)
        for failure in failures:
            values = (stream, failure.rule, key, failure.reason)
            out += UNMAPPED_FRONT
            out += _encode(dict(zip(UNMAPPED_COLUMNS, values, strict=True)))
            out += END
            if (failure.rule, failure.reason) not in self._warned:
                self._warned.add((failure.rule, failure.reason))
                self._warn(
                    f"Rule '{failure.rule}': record {key!r} of stream '{stream}' is set aside: "
                    f"{failure.reason}.\n{failure.fix}"
                )


def _content_key(line: bytes) -> str:
    """The key of a record without key properties: a hash of what it says, in canonical order."""
    content = _decode_whole(line).record
    try:
        return _digest(_encode_sorted(_decode_any(content)))
    except UNREADABLE:  # a field that no rule reads
        return _digest(bytes(content))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def schema_lines() -> bytes:
    """The SCHEMA messages of this mapper's own streams."""
    unmapped = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in UNMAPPED_COLUMNS},
        "required": list(UNMAPPED_COLUMNS),
    }
    events = json_schema(JourneyEvent)
    events["properties"]["occurred_at"]["format"] = "date-time"  # which msgspec leaves out
    events["properties"]["recorded_at"]["anyOf"][0]["format"] = "date-time"
    schemas = {
        "journey_events": events,
        "products": json_schema(Product),
        "unmapped_records": unmapped,
    }
    messages = (
        {"type": "SCHEMA", "stream": name, "schema": schema, "key_properties": KEYS[name]}
        for name, schema in schemas.items()
    )
    return b"".join(_encode(message) + b"\n" for message in messages)


def json_schema(of: type) -> dict[str, Any]:
    """The JSON Schema of a type, without `$ref`."""
    schema = msgspec.json.schema(of)
    definitions = schema.pop("$defs")
    inlined: dict[str, Any] = _inline(schema, definitions)
    return inlined


def _inline(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inline(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inline(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {name: _inline(item, definitions) for name, item in part.items()}
