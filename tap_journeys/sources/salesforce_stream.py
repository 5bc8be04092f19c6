"""A stream of one Salesforce object, read in the order of its stamps or by Bulk jobs.

A bookmark is the stamp of the last row that was written, but never of the last minutes, and the
next run looks back behind it: rows that are committed late carry older stamps. What has to be asked
for anew begins at the last stamp, not behind it, because many rows may share one; what comes twice
is written once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_journeys.sources.base import ApiStream, Page, Record
from tap_journeys.sources.errors import MissingScopeError
from tap_journeys.sources.salesforce_api import (
    LOST_CURSOR,
    TOO_MUCH,
    Organisation,
    SalesforceError,
)
from tap_journeys.sources.salesforce_bulk import NoBulkError, rows_of
from tap_journeys.sources.salesforce_fields import (
    Field,
    chunks,
    cursor_of,
    from_csv,
    from_rest,
    schema_of,
)
from tap_journeys.sources.salesforce_objects import SObject, fields_of, stream_name
from tap_journeys.sources.salesforce_soql import Rows
from tap_journeys.sources.windows import EPOCH, Window, moment, windows, written

if TYPE_CHECKING:
    from singer_sdk import Tap

SETTLED = timedelta(minutes=5)  # rows older than this are all committed, but for late ones
LOOK_BACK = timedelta(minutes=15)  # a transaction lasts ten at most
PAGE_ROWS = 2000  # written at once
JOB_ROWS, JOBS = 500_000, 16  # a bookmark moves when a job is read
LONGEST_FIELDS = 11_000  # bytes; of 16,384 for address and headers, tokens may take thousands
SHORTEST = timedelta(seconds=1)  # a window that is not halved: stamps are whole seconds
LOSSES = 5  # of cursors, without having come further
ALWAYS = ("Id", "IsDeleted")
UNKNOWN = (  # what every object has, while its description cannot be read
    Field("Id", "id"),
    Field("IsDeleted", "boolean"),
    Field("CreatedDate", "datetime"),
    Field("SystemModstamp", "datetime"),
)


class Part(NamedTuple):
    """What is read by one job or by pages that follow each other."""

    window: Window
    by_bulk: bool
    floor: str  # the bookmark of the last run …
    latest: str  # … and the last that this one may set


class SalesforceStream(ApiStream):
    """The rows of one object, deleted ones among them."""

    primary_keys = ("Id",)

    def __init__(
        self,
        tap: Tap,
        organisation: Organisation,
        sobject: SObject,
        fields: Sequence[Field] | None,
        *,
        bulk_from: int | None,
    ) -> None:
        self._organisation, self._object, self._bulk_from = organisation, sobject, bulk_from
        self.customer_paths, self.product_paths = sobject.customers, sobject.products
        super().__init__(tap, schema_of(fields or UNKNOWN), stream_name(sobject.name))
        self.replication_key = cursor_of(fields or UNKNOWN)

    def fields(self) -> tuple[Field, ...]:
        """What is selected of the fields that the object has now."""
        fields = fields_of(self._organisation, self._object)
        if fields is None:
            raise self._missing()
        self.replication_key = cursor_of(fields)
        needed = {*ALWAYS, self.replication_key}
        mask = self.mask
        return tuple(
            field
            for field in fields
            if field.path in needed or mask["properties", field.path.partition(".")[0]]
        )

    # -- what is read side by side -----------------------------------------------------------

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[Part]:
        fields, until = self.fields(), self._organisation.now()
        same = bookmark.get("replication_key") == self.replication_key
        floor = str(bookmark.get("replication_key_value") or "") if same else ""
        known = moment(floor)
        since = known - LOOK_BACK if known else moment(self.config.get("start_date")) or EPOCH
        window, latest = Window(since, until), written(until - SETTLED)
        rows = self._count(window)
        if rows == 0:
            return
        bulk_from = math.inf if self._bulk_from is None else self._bulk_from
        if len(self._queries(fields)) > 1 and bulk_from < math.inf:
            bulk_from = min(bulk_from, PAGE_ROWS)  # REST would need several queries for each row
        if rows < bulk_from:
            yield Part(window, False, floor, latest)
            return
        jobs = math.ceil(min(rows / JOB_ROWS, JOBS)) if self.replication_key else 1
        if jobs > 1:
            window = Window(self._first_stamp(window), until)
        for piece in windows(*window, (window.until - window.since) / jobs):
            yield Part(piece, True, floor, latest)

    def _count(self, window: Window) -> float:
        try:
            return self._organisation.count(self._rows(window).number())
        except SalesforceError as error:
            if error.code == "INVALID_TYPE":
                raise self._missing() from None
            if error.code == "INVALID_FIELD":
                raise
            return 1  # an object that cannot be counted is read all the same

    def _first_stamp(self, window: Window) -> datetime:
        """Where the rows begin, which may be years after the window does."""
        try:
            pages = self._organisation.pages(self._rows(window).first())
            stamps = [row[self.replication_key or "Id"] for rows in pages for row in rows]
        except SalesforceError:
            return window.since  # jobs of unequal size
        return max(moment(stamps[0]) or window.since, window.since) if stamps else window.since

    def read(self, part: Part) -> Iterator[Page]:
        try:
            yield from self._read(part)
        except SalesforceError as error:
            if error.code != "INVALID_FIELD":
                raise
            # one has vanished since it was described, or it is one that a job cannot read
            self._organisation.forget_fields()
            yield from self._by_rest(part)

    def _read(self, part: Part) -> Iterator[Page]:
        if part.by_bulk and self._organisation.has_bulk_jobs:
            try:
                yield from self._by_bulk(part)
                return
            except NoBulkError as error:
                self.logger.info("Stream '%s': read by REST, %s", self.name, error)
        try:
            yield from self._by_rest(part)
        except SalesforceError as error:
            if error.code not in TOO_MUCH or part.by_bulk or self._bulk_from is None:
                raise
            yield from self._by_bulk(part)  # a job has more time

    # -- by Bulk -----------------------------------------------------------------------------

    def _by_bulk(self, part: Part) -> Iterator[Page]:
        """The rows of a window in no order: its bookmark comes with the last of them."""
        fields, latest = self.fields(), ""
        soql = self._rows(part.window).unordered(_names(fields))
        rows = rows_of(self._organisation, soql)
        while batch := list(islice(rows, PAGE_ROWS)):
            records = [from_csv(fields, row) for row in batch]
            latest = max(latest, *map(self._stamp, records))
            yield Page(records)
        yield Page((), self._bookmark(part, latest))

    # -- by REST -----------------------------------------------------------------------------

    def _by_rest(self, part: Part) -> Iterator[Page]:
        """The rows of a window in order; what takes the vendor too long is asked for in halves."""
        queries, waiting, losses = self._queries(self.fields()), [part.window], 0
        while waiting:
            window = waiting.pop()
            try:
                for records, stamp in self._pages(queries, window):
                    yield Page(records, self._bookmark(part, stamp))
                    at = moment(stamp)
                    if at is not None and at > window.since:
                        window, losses = Window(at, window.until), 0
            except SalesforceError as error:
                if error.code == LOST_CURSOR and losses < LOSSES:
                    losses += 1
                    waiting.append(window)
                elif error.code in TOO_MUCH and self._can_halve(window):
                    waiting += reversed(window.halves())
                else:
                    raise

    def _pages(
        self, queries: Sequence[Sequence[Field]], window: Window
    ) -> Iterator[tuple[list[Record], str]]:
        """Records, and the stamp of the last of them."""
        fields, *others = queries
        for rows in self._organisation.pages(self._rows(window).ordered(_names(fields))):
            if rows:
                records = [from_rest(fields, row) for row in rows]
                stamps = self._stamp(records[0]), self._stamp(records[-1])
                for more in others:
                    records = self._joined(records, more, stamps)
                yield records, stamps[-1]

    def _joined(
        self, records: Sequence[Record], fields: Sequence[Field], stamps: tuple[str, str]
    ) -> list[Record]:
        """The records with more of their fields, which did not fit into the same address.

        A row that has changed meanwhile is left out: it comes again, with its new stamp.
        """
        first, last = (moment(stamp) or EPOCH for stamp in stamps)
        rows = self._rows(Window(first, last + timedelta(milliseconds=1)))
        more: dict[tuple[str, str], Record] = {}
        for page in self._organisation.pages(rows.ordered(_names(fields)), beside=True):
            found = (from_rest(fields, row) for row in page)
            more.update((self._version(record), record) for record in found)
        return [
            record | more[version]
            for record in records
            if (version := self._version(record)) in more
        ]

    def _queries(self, fields: Sequence[Field]) -> list[list[Field]]:
        """The fields of each query that one record takes."""
        return chunks(fields, (*ALWAYS, self.replication_key or "Id"), LONGEST_FIELDS)

    def _can_halve(self, window: Window) -> bool:
        return self.replication_key is not None and window.until - window.since > SHORTEST

    # -- where it stands ---------------------------------------------------------------------

    def _rows(self, window: Window) -> Rows:
        return Rows(self._object.name, self.replication_key, window)

    def _missing(self) -> MissingScopeError:
        return MissingScopeError(f"Read of the object {self._object.name}")

    def _stamp(self, record: Record) -> str:
        return str(record.get(self.replication_key or "") or "")

    def _version(self, record: Record) -> tuple[str, str]:
        return record["Id"], self._stamp(record)

    def _bookmark(self, part: Part, stamp: str) -> dict[str, str] | None:
        """The bookmark once the rows up to a stamp are written."""
        at = moment(stamp)
        if self.replication_key is None or at is None:
            return None
        value = max(part.floor, min(written(at), part.latest))
        return {"replication_key": self.replication_key, "replication_key_value": value}


def _names(fields: Sequence[Field]) -> list[str]:
    return [field.path for field in fields]
