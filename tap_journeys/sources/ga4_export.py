"""GA4's raw events in BigQuery: which tables have changed, and their rows.

Reading a table costs nothing (`tabledata.list`), a query would. A day has one table that counts;
which one, and how long it may still change, is in `ga4_days`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.base import ApiStream, Page, Record
from tap_journeys.sources.errors import NotThereError, TryAgainError
from tap_journeys.sources.ga4_columns import Column, Row, json_schema, row_decoder
from tap_journeys.sources.ga4_days import Days, Listed
from tap_journeys.sources.windows import follow

if TYPE_CHECKING:
    import requests
    from singer_sdk import Tap

    from tap_journeys.sources.client import Client

TABLES = 1000  # in one answer; the API's maximum
DESCRIBED = 8  # tables at once
PAGE_ROWS = 1000  # some megabytes; an answer has ten at most, and fewer rows then
RANGE_ROWS = 25_000  # of one table that are read by one reader

KEY = "_event_key"
KEY_FIELDS = (  # what tells events apart; the last three are null in older rows
    "user_pseudo_id",
    "event_timestamp",
    "event_name",
    "event_bundle_sequence_id",
    "batch_page_id",
    "batch_ordering_id",
    "batch_event_index",
)


def key_of(record: Mapping[str, Any]) -> str:
    """One text for the fields that tell events apart; a stream map can compute the same."""
    values = json.dumps([record.get(name) for name in KEY_FIELDS])
    return hashlib.md5(values.encode(), usedforsecurity=False).hexdigest()


class Table(NamedTuple):
    """A table of events, described."""

    name: str
    rows: int  # without those that are being streamed in
    is_streaming: bool
    mark: str  # changes when the table does
    columns: Sequence[Column]


class Range(NamedTuple):
    """Rows of one table that are read in order, and the bookmark once they are written."""

    table: Table | None
    first: int = 0
    most: int | None = None  # None: to the end of the table
    bookmark: Mapping[str, Any] | None = None


class RowPage(msgspec.Struct):
    """Some rows of a table, and where the next ones are."""

    rows: list[Row] = []  # left out where there are none
    pageToken: str | None = None  # noqa: N815  # the API's name
    error: msgspec.Raw | None = None


_decode_page = msgspec.json.Decoder(RowPage).decode


def page_of(response: requests.Response) -> RowPage:
    """The rows of an answer; one that is cut short, or an error that says 200, is asked again."""
    try:
        page = _decode_page(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TryAgainError("the answer holds no rows") from None
    if page.error is not None:
        raise TryAgainError(f"HTTP {response.status_code} with an error")
    return page


class Dataset:
    """The dataset that a GA4 property is exported to."""

    def __init__(self, client: Client, project_id: str, dataset: str) -> None:
        self.client = client
        self.path = f"/bigquery/v2/projects/{quote(project_id)}/datasets/{quote(dataset)}/tables"

    def listed(self) -> list[Listed]:
        """The tables of events, by day."""

        def ask(token: str) -> tuple[Any, str | None]:
            params = {"maxResults": TABLES} | ({"pageToken": token} if token else {})
            try:
                answer = self.client.get(self.path, params)
            except NotThereError:
                raise FatalAPIError(
                    "there is no such dataset; link BigQuery in GA4's settings, or correct "
                    "`project_id`, `property_id` or `dataset`"
                ) from None
            return answer.get("tables", ()), answer.get("nextPageToken")

        found = []
        for each in (table for page in follow("", ask) for table in page):
            name = str(each["tableReference"]["tableId"])
            if table := Listed.of(name, int(each.get("creationTime") or 0)):
                found.append(table)
        return sorted(found)

    def described(self, name: str) -> Table:
        """What the table holds now."""
        about = self.client.get(f"{self.path}/{quote(name)}")
        rows = int(about.get("numRows") or 0)
        return Table(
            name,
            rows,
            "streamingBuffer" in about,
            f"{about.get('lastModifiedTime')} {rows}",
            about.get("schema", {}).get("fields", ()),
        )

    def rows(self, name: str, first: int, most: int | None) -> Iterator[list[Row]]:
        """Rows of a table page by page, from one on, in the order in which they are stored."""
        taken = 0

        def ask(token: str) -> tuple[list[Row], str | None]:
            nonlocal taken
            params: dict[str, Any] = {"formatOptions.useInt64Timestamp": "true"}
            params["maxResults"] = PAGE_ROWS if most is None else min(PAGE_ROWS, most - taken)
            params |= {"pageToken": token} if token else {"startIndex": first}
            path = f"{self.path}/{quote(name)}/data"
            page = self.client.ask("GET", path, page_of, params=params)
            rows = page.rows[: None if most is None else most - taken]
            taken += len(rows)
            return rows, None if taken == most else page.pageToken

        return follow("", ask)


class Events(ApiStream):
    """Every event of the export, nested as exported files are."""

    name = "ga4_events"
    primary_keys = (KEY,)
    width = 8
    customer_paths = ("user_id", "user_pseudo_id")
    product_paths = ("items.item_id", "items.item_name")

    def __init__(
        self, tap: Tap, dataset: Dataset, since: datetime | None, columns: Sequence[Column]
    ) -> None:
        self.dataset = dataset
        self._since_us = int(since.timestamp() * 1_000_000) if since else None
        # days are those of the property's time zone, which may be behind ours
        self._since_day = f"{since - timedelta(days=1):%Y%m%d}" if since else ""
        self._decoders: dict[bytes, Any] = {}  # tables mostly have the same columns
        key = {"type": "string", "description": f"MD5 of {', '.join(KEY_FIELDS)}."}
        properties = {KEY: key, **json_schema(columns)}
        super().__init__(tap, schema={"type": "object", "properties": properties})

    def parts(self, bookmark: Mapping[str, Any]) -> Iterable[Range]:
        days, tables = Days(bookmark), self.dataset.listed()
        newest_ms = max((table.created_ms for table in tables), default=0)
        if not days.last:  # the first run: all that is listed is due, and later what is made since
            days.created_ms = newest_ms
        due = iter(days.due(tables, self._since_day))
        while several := list(islice(due, DESCRIBED)):
            described = self._described([table.name for found in several for table in found])
            for found in several:
                changed = [
                    table
                    for name in (each.name for each in found)
                    if (table := described.get(name)) and table.mark != days.marks.get(name)
                ]
                if changed:
                    ranges = [each for table in changed for each in ranges_of(table)]
                    yield from ranges[:-1]
                    yield ranges[-1]._replace(bookmark=days.after(found[0].day, changed))
        days.created_ms = max(days.created_ms, newest_ms)
        if days.last:
            yield Range(None, bookmark=days.bookmark())

    def _described(self, names: Sequence[str]) -> dict[str, Table]:
        """The tables that are still there."""
        from tap_journeys.side_by_side import together  # it imports the clients of this package

        found: dict[str, Table] = {}
        for name, answer in together(self.dataset.described, names):
            if isinstance(answer, Table):
                found[name] = answer
            elif not isinstance(answer, NotThereError):
                raise answer
        return found

    def read(self, part: Range) -> Iterator[Page]:
        if part.table is not None:
            decode = self._decoder(part.table.columns)
            try:
                for rows in self.dataset.rows(part.table.name, part.first, part.most):
                    yield Page([record for row in rows if (record := self._record(decode(row)))])
            except NotThereError:  # the daily table is there instead, and is read by the next run
                self.logger.info("%s is gone meanwhile", part.table.name)
        if part.bookmark is not None:
            yield Page((), part.bookmark)

    def _decoder(self, columns: Sequence[Column]) -> Any:
        shape = msgspec.json.encode(columns)
        if shape not in self._decoders:
            self._decoders[shape] = row_decoder(columns)
        return self._decoders[shape]

    def _record(self, record: Record) -> Record | None:
        """The record with its key; None if it is older than what was asked for."""
        if self._since_us is not None and int(record["event_timestamp"] or 0) < self._since_us:
            return None
        return {KEY: key_of(record), **record}

    def take(self, page: Page) -> None:
        super().take(page)
        if page.bookmark is not None:
            self._seen.clear()  # a day is finished, and no other one has its events


def ranges_of(table: Table) -> list[Range]:
    """The rows of a table in pieces; the last one has also what is added meanwhile."""
    starts = range(0, max(table.rows, 1), RANGE_ROWS)
    found = [Range(table, first, RANGE_ROWS) for first in starts]
    return [*found[:-1], found[-1]._replace(most=None)]
