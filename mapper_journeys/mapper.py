"""mapper-journeys: a Singer mapper that turns records into journey events by rules."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from types import FrameType
from typing import IO, Any

import click
import msgspec
from singer_sdk import singerlib as singer
from singer_sdk.exceptions import ConfigValidationError, FatalSyncError
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.mapper_base import InlineMapper
from singer_sdk.singerlib.encoding import GenericSingerReader
from singer_sdk.singerlib.exceptions import InvalidInputLine

from mapper_journeys import settings
from mapper_journeys.lines import LineMapper, schema_lines

CHUNK = 1 << 16  # bytes; what a pipe holds, so that nothing waits while the input idles
GC_THRESHOLD = 100_000  # allocations; what a record leaves behind holds no cycles
NOT_UTF8 = b"\xff"  # so that such a line is refused where lines are counted
MESSAGES: dict[str, type[singer.Message]] = {
    "SCHEMA": singer.SchemaMessage,
    "RECORD": singer.RecordMessage,
    "STATE": singer.StateMessage,
    "ACTIVATE_VERSION": singer.ActivateVersionMessage,
}


class Outlet:
    """Standard output, where no signal cuts a line in two."""

    def __init__(self) -> None:
        self._writing = False
        self._exit_code: int | None = None

    def write(self, lines: bytearray) -> None:
        """Write whole lines, flush them and forget them."""
        rest = bytes(lines)
        self._writing = True
        try:
            binary = getattr(sys.stdout, "buffer", None)
            if binary is None:
                sys.stdout.write(rest.decode())
            else:
                while rest:  # a signal ends write() early, whatever its documentation says
                    rest = rest[binary.write(rest) :]
            sys.stdout.flush()
        finally:
            self._writing = False
        lines.clear()
        if self._exit_code is not None:
            sys.exit(self._exit_code)

    def stop(self, signum: int, frame: FrameType | None) -> None:
        """End the process, at once or after the lines that are being written."""
        if not self._writing:
            sys.exit(128 + signum)
        self._exit_code = 128 + signum


class LineReader(GenericSingerReader[bytes]):
    """Reads bytes in chunks and maps them line by line."""

    def __init__(self, lines: LineMapper, outlet: Outlet) -> None:
        super().__init__()
        self._lines = lines
        self._outlet = outlet

    @property
    def default_input(self) -> IO[bytes]:
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        return message

    def process_lines(
        self,
        file_input: IO[bytes] | None,
        callbacks: dict[str, Callable[[dict[str, Any]], None]],
    ) -> Counter[str]:
        """Map all lines; what was read before an error is written before it is raised."""
        out = bytearray(schema_lines())
        self._outlet.write(out)
        for lines in blocks(file_input or self.default_input):
            try:
                self._lines.map_lines(utf8_lines(lines), out)
            except (FatalSyncError, InvalidInputLine):
                self._outlet.write(out)
                raise
            self._outlet.write(out)
        counts = self._lines.counts
        return Counter({**counts.messages, "RECORD": counts.records})


def blocks(file_input: IO[Any]) -> Iterator[list[bytes]]:
    """The lines of each chunk of the input, in time that grows with the input's size only."""
    binary = getattr(file_input, "buffer", file_input)
    read = getattr(binary, "read1", binary.read)
    carry: list[bytes] = []  # the chunks of a line that has not ended
    while chunk := read(CHUNK):
        if isinstance(chunk, str):
            chunk = chunk.encode("utf-8", "surrogatepass")
        lines = chunk.split(b"\n")
        carry.append(lines[0])
        if len(lines) > 1:
            lines[0] = b"".join(carry)
            carry = [lines.pop()]
            yield lines
    if rest := b"".join(carry):
        yield [rest]


def utf8_lines(lines: list[bytes]) -> Iterable[bytes]:
    """The lines; the first one that is not UTF-8 becomes one that is no JSON either."""
    if all(map(bytes.isascii, lines)):
        return lines
    return [line if line.isascii() or _is_utf8(line) else NOT_UTF8 for line in lines]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class MapperJourneys(InlineMapper):
    """Turns records into journey events, by rules that are data."""

    name = "mapper-journeys"
    package_name = "product-journeys"
    config_jsonschema = settings.json_schema()
    capabilities = [PluginCapabilities.ABOUT, PluginCapabilities.STRUCTURED_LOGGING]

    def __init__(
        self,
        *,
        config: dict[str, Any] | PurePath | str | list[PurePath | str] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
    ) -> None:
        # The SDK's own check would print values, and cannot know whether a rule makes sense.
        try:
            super().__init__(
                config=config, parse_env_config=parse_env_config, validate_config=False
            )
        except ValueError:  # of the SDK's JSON reader
            fault = "An environment variable MAPPER_JOURNEYS_… must hold JSON."
            raise ConfigValidationError(fault, errors=[fault]) from None
        rules = settings.load(self.config)
        if not rules:
            self.logger.warning(
                "There are no rules: every stream passes through unchanged.\n"
                "Name `presets` or `rules_files`, or write `rules`."
            )
        outlet = Outlet()
        self._started = time.monotonic()
        self.lines = LineMapper(rules, self.logger.warning)
        self.message_reader = LineReader(self.lines, outlet)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, outlet.stop)
            signal.signal(signal.SIGINT, outlet.stop)

    def process_endofpipe(self) -> None:
        run_id = os.environ.get("JOURNEYS_RUN_ID") or secrets.token_hex(8)
        seconds = time.monotonic() - self._started
        counts = self.lines.counts
        fields = {
            "run_id": run_id,
            "duration_s": round(seconds, 3),
            "records": counts.records,
            "events": counts.events,
            "products": counts.products,
            "set_aside": counts.set_aside,
            "unmatched": counts.unmatched,
        }
        self.logger.info("Run %s took %.1f s.", run_id, seconds, extra=fields)
        click.echo(f"{self.name}: {self.lines.counts}", err=True)

    # The reader maps lines itself; these serve callers that bring messages one by one.

    def map_schema_message(self, message_dict: dict[str, Any]) -> Iterable[singer.Message]:
        return self._map(message_dict)

    def map_record_message(self, message_dict: dict[str, Any]) -> Iterable[singer.Message]:
        return self._map(message_dict)

    def map_state_message(self, message_dict: dict[str, Any]) -> Iterable[singer.Message]:
        return self._map(message_dict)

    def map_activate_version_message(
        self, message_dict: dict[str, Any]
    ) -> Iterable[singer.Message]:
        return self._map(message_dict)

    def _map(self, message_dict: Mapping[str, Any]) -> Iterable[singer.Message]:
        out = bytearray()
        line = msgspec.json.Encoder(decimal_format="number").encode(message_dict)
        self.lines.map_lines([line], out)
        for mapped in out.splitlines():
            message = msgspec.json.decode(mapped, type=dict[str, Any])
            yield MESSAGES[message["type"]].from_dict(message)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            reason = "cannot be read" if isinstance(error, OSError) else "is not a JSON object"
            raise click.BadParameter(f"the configuration file {reason}.") from None

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run; the exit code is 1 for a failed run and 2 for settings that cannot be used."""
        gc.freeze()  # what was imported is never garbage
        gc.set_threshold(GC_THRESHOLD)
        try:
            super().invoke(**kwargs)
        except ConfigValidationError as error:
            for sentence in error.errors:
                cls.logger.error(sentence)
            sys.exit(2)
        except (FatalSyncError, InvalidInputLine) as error:
            cls.logger.error(error)
            sys.exit(1)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())  # or the interpreter complains when it flushes
            sys.exit(1)
