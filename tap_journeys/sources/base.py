"""What every source is: closed settings that know their streams, and how streams are read."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from pydantic import BaseModel, ConfigDict
from singer_sdk import Stream
from singer_sdk.exceptions import ConfigValidationError, FatalAPIError, RetriableAPIError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_journeys.sources.errors import MissingScopeError
from tap_journeys.writer import BufferedWriter

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context
    from singer_sdk.metrics import Counter

    from tap_journeys.side_by_side import SideBySide

Record = dict[str, Any]
STATE_EVERY_S = 1.0  # a bookmark that moves more often is not written each time


def wrong_configuration(*errors: str) -> ConfigValidationError:
    """The error that stops before the first record; its lines hold places, never values."""
    return ConfigValidationError("; ".join(errors), errors=list(errors))


class Source(BaseModel, ABC):
    """Settings of one source; being there switches it on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def streams(self, tap: Tap) -> list[Stream]:
        """The streams these settings ask for."""

    def check(self, tap: Tap) -> Iterator[tuple[str, str]]:
        """What a look at the login shows: "ok", "warning" or "error", and a sentence.

        Sentences name what is missing and what to do next; they hold no settings and no records.
        """
        yield from ()


class SourceStream(Stream):
    """A stream that tells the tap how its run went instead of ending it."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # records are JSON already

    fails = "file"  # what `failures` counts,
    breaks = "broken line"  # and `set_aside`

    def __init__(self, tap: Tap, schema: dict[str, object] | None, name: str) -> None:
        super().__init__(tap, schema=schema, name=name)
        writer = tap.message_writer
        self._writer = writer if isinstance(writer, BufferedWriter) else None
        self._head: bytes | None = None  # start of a message, when nothing changes the records
        self.taken = 0  # records read from the source
        self.failures = 0  # what could not be read; its state is kept
        self.set_aside = 0  # broken lines or records that were left out
        self.unfinished = 0  # last lines that are left for the next run
        self.stopped = False  # a record could not be written; nothing behind it may be

    def fail(self, message: str) -> None:
        """Say in one line what could not be read and what to do; the run goes on."""
        self.failures += 1
        self.logger.error("Stream '%s': %s", self.name, message)

    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[Context | None]:
        """None: no stream has child streams, and asking costs time for every record."""
        return ()

    def record_head(self) -> bytes | None:
        """The start of each message; None if stream maps or the catalog change the records."""
        plain = (
            [type(each) for each in self.stream_maps] == [SameRecordTransform]
            and not self.config.get("flattening_enabled")
            and all(self.mask.values())
        )
        return self._writer.record_head(self.name) if plain and self._writer else None

    # The SDK's way through selection, maps and a message object costs as much as all the rest of
    # the run together, and there is no public seam around it.
    def _write_record_message(self, record: Record) -> None:
        if self._head is not None and self._writer is not None:
            self._writer.write_record(self._head, record)
            self.state_manager.is_flushed = False
            return
        try:
            super()._write_record_message(record)
        except OSError:  # stdout, not the map
            raise
        except Exception as error:  # an expression may raise anything, with the record in its text
            self.stopped = True
            self.fail(
                f"{self.place()}: `stream_maps` cannot be applied ({type(error).__name__}); mend "
                "them and run again, nothing behind it was read."
            )

    def place(self) -> str:
        """Where the record stands that is being written; never its content."""
        return f"record {self.taken:,} of this run"


@dataclass(frozen=True, slots=True)
class Page:
    """Records that were read together, and the stream's bookmark once they are written.

    ``bookmark`` replaces the stream's whole entry in STATE, and is None where a restart may not
    skip these records. ``replication_key_value`` is its usual name in there; moments are UTC and
    written alike (`journeys.event.isoformat`), so that they can be compared as text.
    """

    records: Sequence[Record]
    bookmark: Mapping[str, Any] | None = None


class ApiStream(SourceStream):
    """A stream that is read by requests, at the same time as all others.

    Members declare ``name``, ``primary_keys``, ``replication_key`` and ``schema``, and implement
    :meth:`read`; those whose windows (or parents, or jobs) can be read independently of each other
    implement :meth:`parts` as well. Both run in threads of `side_by_side`; everything they touch
    beside the client is theirs alone.
    """

    fails = "stream"
    breaks = "keyless record"
    width = 4  # parts that are read at once
    ahead = 4  # pages that a part may read before they are written; more where pages are small
    customer_paths: tuple[str, ...] = ()  # dotted paths of what names a customer …
    product_paths: tuple[str, ...] = ()  # … and a product; for the check of a login
    undescribed: Exception | None = None  # why its columns are not known; then nothing is read

    def __init__(
        self, tap: Tap, schema: dict[str, Any] | None = None, name: str | None = None
    ) -> None:
        super().__init__(tap, schema=schema, name=name or self.name)
        self.counter = super().get_record_counter()
        self.finished = False
        self._tap_side_by_side: Callable[[], SideBySide] = lambda: tap.side_by_side  # type: ignore[attr-defined]  # ours
        self._schema_written = False
        self._seen: set[int] = set()
        self._state_at = 0.0

    # -- what members say ------------------------------------------------------------------

    def parts(self, bookmark: Mapping[str, Any]) -> Iterable[Any]:
        """What can be read independently, in the order in which it must be written."""
        return (bookmark,)

    def read(self, part: Any) -> Iterator[Page]:
        """The pages of one part, in order."""
        raise NotImplementedError  # pragma: no cover

    def plan(self, bookmark: Mapping[str, Any]) -> Iterable[Any]:
        """The parts, unless what they would be written with is not what the account has."""
        if self.undescribed is not None:
            raise self.undescribed
        return self.parts(bookmark)

    # -- how it is written -----------------------------------------------------------------

    def begin(self) -> Mapping[str, Any]:
        """Write the SCHEMA, once, and return the bookmark of the last run."""
        self._write_schema_message()
        self._head = self.record_head()
        return {key: value for key, value in self.stream_state.items() if key != "progress_markers"}

    def take(self, page: Page) -> None:
        """Write a page that no page of this run has written before, then its bookmark."""
        version = self.replication_key
        for record in page.records:
            key = tuple(record.get(name) for name in self.primary_keys)
            if None in key:
                self.set_aside += 1
                continue
            mark = hash((key, record.get(version) if version else None))
            if mark in self._seen:
                continue
            self._seen.add(mark)
            self.taken += 1
            self._write_record_message(record)
            if self.stopped:
                return
            self.counter.increment()
        if page.bookmark is not None:
            state = self.stream_state
            state.clear()
            state.update(page.bookmark)
            self.state_manager.is_flushed = False
            if time.monotonic() - self._state_at >= STATE_EVERY_S:
                self._write_state_message()
                self._state_at = time.monotonic()

    def give_up(self, error: BaseException) -> None:
        """Say what stopped the reading, in one line and without any content."""
        match error:
            case MissingScopeError():
                self.logger.warning("Stream '%s' is left out: %s", self.name, error)
            case FatalAPIError() | RetriableAPIError():
                self.fail(f"{error}; its bookmark stays, run again.")
            case requests.RequestException():
                self.fail(f"{type(error).__name__}; its bookmark stays, run again.")
            case _:  # our own mistake, or an answer of a shape that the vendor does not document
                where = place_of(error)
                self.fail(
                    f"{type(error).__name__} at {where}; its bookmark stays, please report it."
                )

    def end(self) -> None:
        """Every part is written, or the stream has failed."""
        self.finished = True
        self._seen.clear()
        self._write_state_message()

    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Nothing: `side_by_side` writes the records of all such streams as they come.

        Where the SDK asks for a few records only (``--test``), it gets them here.
        """
        if self.ABORT_AT_RECORD_COUNT is None:
            self._tap_side_by_side().write_until_finished(self)
            return
        for part in self.plan({}):
            for page in self.read(part):
                yield from page.records

    def get_record_counter(self, **kwargs: Any) -> Counter:
        """The one counter of this stream: its records are written before its turn comes."""
        return self.counter

    # The SDK's bookmarks are made of the records that it saw; ours come with the pages.
    def _write_schema_message(self) -> None:
        if not self._schema_written and self.undescribed is None:
            self._schema_written = True
            super()._write_schema_message()

    def _write_starting_replication_value(self, context: Context | None) -> None: ...

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None: ...

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: windows have their own upper end."""


def place_of(error: BaseException) -> str:
    """Module and line of an error; its text may hold records."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
