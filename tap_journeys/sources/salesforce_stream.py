"""A stream of one Salesforce object, read in the order of its stamps or by Bulk jobs.

A page of REST is a query of its own that begins behind the last row (stamp, then id): rows of one
stamp are not lost between two pages, and no cursor stays open. A bookmark is the stamp of the last
row, but never of the last minutes, and the next run looks back behind it: rows that are committed
late carry older stamps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.base import ApiStream, Page, Record
from tap_journeys.sources.client import MissingScopeError
from tap_journeys.sources.salesforce_api import PAGE_ROWS, Organisation, SalesforceError
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
from tap_journeys.sources.salesforce_soql import Position, Rows
from tap_journeys.sources.windows import EPOCH, Window, moment, windows, written

if TYPE_CHECKING:
    from singer_sdk import Tap

SETTLED = timedelta(minutes=5)  # rows older than this are all committed, but for late ones
LOOK_BACK = timedelta(minutes=15)  # a transaction lasts ten at most
REST_PIECE, REST_PIECES = 2 * PAGE_ROWS, 8  # rows that make reading side by side worth a query
BULK_PIECE, BULK_PIECES = 500_000, 16  # rows of one job; a bookmark moves when it is read
LONGEST_FIELDS = 11_000  # bytes; of 16,384 for address and headers, tokens may take thousands
FEWEST_ROWS = 20  # of a page, before a query that takes too long is given up
SHORTEST = timedelta(seconds=1)  # a window that is not halved: stamps are whole seconds
TOO_MUCH = {"QUERY_TIMEOUT", "OPERATION_TOO_LARGE"}
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
        self.fields()
        until, cursor = self._organisation.now(), self.replication_key
        same = cursor is not None and bookmark.get("replication_key") == cursor
        floor = str(bookmark.get("replication_key_value") or "") if same else ""
        known = moment(floor)
        since = known - LOOK_BACK if known else moment(self.config.get("start_date")) or EPOCH
        window = Window(since, until)
        rows = self._count(window)
        if rows == 0:
            return
        by_bulk = self._bulk_from is not None and (rows is None or rows >= self._bulk_from)
        size, most = (BULK_PIECE, BULK_PIECES) if by_bulk else (REST_PIECE, REST_PIECES)
        pieces = min(-(-(rows or 1) // size), most) if cursor else 1
        if pieces > 1:
            window = Window(self._first_stamp(window), until)
        length = (window.until - window.since) / pieces
        for piece in windows(*window, length):
            yield Part(piece, by_bulk, floor, written(until - SETTLED))

    def _count(self, window: Window) -> int | None:
        try:
            return self._organisation.count(self._rows(window).count())
        except SalesforceError as error:
            if error.code == "INVALID_TYPE":
                raise self._missing() from None
            raise

    def _first_stamp(self, window: Window) -> datetime:
        """Where the rows begin, which may be years after the window does."""
        cursor = self.replication_key or "Id"
        try:
            rows, _ = self._organisation.query(self._rows(window).first(("Id", cursor), 1))
        except SalesforceError as error:
            if error.code not in TOO_MUCH:
                raise
            return window.since
        first = moment(rows[0][cursor]) if rows else None
        return max(first or window.since, window.since)

    def _missing(self) -> MissingScopeError:
        return MissingScopeError(f"Read of the object {self._object.name}")

    def read(self, part: Part) -> Iterator[Page]:
        try:
            yield from self._read(part)
        except SalesforceError as error:
            if error.code != "INVALID_FIELD":
                raise
            self._organisation.forget_fields()  # one has vanished since it was described
            yield from self._read(part)

    def _read(self, part: Part) -> Iterator[Page]:
        if part.by_bulk and self._organisation.has_bulk_jobs:
            try:
                yield from self._by_bulk(part)
                return
            except NoBulkError as error:
                self.logger.info("Stream '%s': REST reads it, not Bulk (%s)", self.name, error)
        yield from self._by_rest(part)

    # -- by Bulk -----------------------------------------------------------------------------

    def _by_bulk(self, part: Part) -> Iterator[Page]:
        """The rows of a window in no order: its bookmark comes with the last of them."""
        fields, latest = self.fields(), ""
        names = (field.path for field in fields)
        rows = rows_of(self._organisation, self._rows(part.window).all(names))
        while batch := list(islice(rows, PAGE_ROWS)):
            records = [from_csv(fields, row) for row in batch]
            latest = max(latest, *(self._position(record).stamp for record in records))
            yield Page(records)
        yield Page((), self._bookmark(part, latest))

    # -- by REST -----------------------------------------------------------------------------

    def _by_rest(self, part: Part) -> Iterator[Page]:
        """The rows of a window in order; what takes the vendor too long is asked for in halves."""
        fields, limit, waiting = self.fields(), PAGE_ROWS, [part.window]
        after: Position | None = None
        while waiting:
            window = waiting.pop()
            try:
                records, end, follows = self._page(fields, self._rows(window, after), limit)
            except SalesforceError as error:
                if error.code not in TOO_MUCH:
                    raise
                if self.replication_key and window.until - window.since > SHORTEST:
                    waiting += reversed(window.halves())
                elif limit > FEWEST_ROWS:
                    waiting.append(window)
                    limit //= 2
                else:
                    raise
                continue
            if end is not None:
                yield Page(records, self._bookmark(part, end.stamp))
            if follows:
                if end == after:
                    raise FatalAPIError("the vendor's next page is the same page again")
                waiting.append(window)
            after = end if follows else None

    def _page(
        self, fields: Sequence[Field], rows: Rows, limit: int
    ) -> tuple[list[Record], Position | None, bool]:
        """Up to ``limit`` records, the last row, and whether more may follow it.

        Fields that do not fit into one address are read by further queries. A row that has
        changed meanwhile is left out: it comes again, with its new stamp.
        """
        first, *others = chunks(fields, (*ALWAYS, self.replication_key or "Id"), LONGEST_FIELDS)
        records = self._ask(first, rows, limit)
        if not records:
            return [], None, False
        end, follows = self._position(records[-1]), len(records) >= limit
        for chunk in others:
            found = self._ask(chunk, replace(rows, upto=end), limit)
            more = {self._position(record): record for record in found}
            records = [
                record | more[position]
                for record in records
                if (position := self._position(record)) in more
            ]
        return records, end, follows

    def _ask(self, fields: Sequence[Field], rows: Rows, limit: int) -> list[Record]:
        """The first records, asked for again behind those that came before a cursor was lost."""
        records: list[Record] = []
        is_whole = False
        while not is_whole and len(records) < limit:
            soql = rows.first((field.path for field in fields), limit - len(records))
            found, is_whole = self._organisation.query(soql)
            records += [from_rest(fields, row) for row in found]
            if records:
                rows = replace(rows, after=self._position(records[-1]))
        return records

    # -- where it stands ---------------------------------------------------------------------

    def _rows(self, window: Window, after: Position | None = None) -> Rows:
        return Rows(self._object.name, self.replication_key, window, after)

    def _position(self, record: Mapping[str, Any]) -> Position:
        stamp = record.get(self.replication_key) if self.replication_key else ""
        return Position(str(stamp or ""), str(record["Id"]))

    def _bookmark(self, part: Part, stamp: str) -> dict[str, str] | None:
        """The bookmark once the rows up to a stamp are written."""
        at = moment(stamp)
        if self.replication_key is None or at is None:
            return None
        value = max(part.floor, min(written(at), part.latest))
        return {"replication_key": self.replication_key, "replication_key_value": value}
