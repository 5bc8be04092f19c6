"""Zendesk's exports: what changed, by cursor or by time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.base import ApiStream, Page, Record
from tap_journeys.sources.client import Client
from tap_journeys.sources.windows import moment, written
from tap_journeys.sources.zendesk_answers import EXPORTS, RejectedError, export_pages, rows_of
from tap_journeys.sources.zendesk_schemas import ANY, Schema, schema_of

if TYPE_CHECKING:
    from singer_sdk import Tap

PAGE_SIZE = 1000  # rows of a page of an export; the API's maximum
RECENT_S = 120  # the last minute may not be asked for; twice that, because clocks differ
VALUE = "replication_key_value"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the streams of one account share."""

    client: Client
    start_s: int = 0  # unix seconds: where to begin without a bookmark
    product_field: int | None = None
    custom: Mapping[str, Schema] = field(default_factory=dict)  # columns of custom fields


class ZendeskStream(ApiStream):
    """A stream of one account."""

    path: ClassVar[str]
    key: ClassVar[str]  # where the rows are in an answer
    primary_keys = ("id",)
    in_seconds = False  # whether the replication key is unix seconds; else it is ISO 8601

    def __init__(self, tap: Tap, reading: Reading) -> None:
        self.reading = reading
        kind = self.name.removeprefix("zendesk_")
        super().__init__(tap, schema=schema_of(kind, self.more_columns()))

    def more_columns(self) -> Mapping[str, Schema]:
        """The columns that only this account's rows have."""
        return {}

    def since(self, bookmark: Mapping[str, Any]) -> int:
        """Unix seconds from which on to read."""
        known = moment(bookmark.get(VALUE))
        start_s = int(known.timestamp()) if known else self.reading.start_s
        return min(start_s, latest_s())

    def bookmark(self, at_s: int, **more: Any) -> dict[str, Any]:
        """What STATE holds when everything up to a second is written."""
        value = at_s if self.in_seconds else written(datetime.fromtimestamp(at_s, UTC))
        key = {"replication_key": self.replication_key} if self.replication_key else {}
        return {**key, VALUE: value, **more}

    def changed_s(self, row: Record) -> int:
        """Unix seconds of a row's last change; 0 if it does not say."""
        at = moment(row.get(self.replication_key or ""))
        return int(at.timestamp()) if at else 0


def latest_s() -> int:
    """The latest second that may be asked for."""
    return int(time.time()) - RECENT_S


class CursorExport(ZendeskStream):
    """Rows in the order of their changes; a cursor says how far they have been read."""

    asked: ClassVar[Mapping[str, Any]] = {}

    def read(self, part: Mapping[str, Any]) -> Iterator[Page]:
        since, cursor = self.since(part), part.get("cursor")
        from_start = {"start_time": since, "per_page": PAGE_SIZE, **self.asked}
        if cursor is not None:
            resumed = {"cursor": cursor, "per_page": PAGE_SIZE, **self.asked}
            try:
                yield from self._pages(resumed, since, cursor)
                return
            except RejectedError:
                self.logger.warning(
                    "Stream '%s': its cursor is too old; what changed since its bookmark is read "
                    "by time instead.",
                    self.name,
                )
        yield from self._pages(from_start, since, None)

    def _pages(self, asked: Mapping[str, Any], at_s: int, cursor: str | None) -> Iterator[Page]:
        for answer in export_pages(self.reading.client, (self.path, asked)):
            rows = rows_of(answer, self.key)
            at_s = max(at_s, *map(self.changed_s, rows), 0)
            cursor = answer.get("after_cursor") or cursor
            bookmark = self.bookmark(at_s, cursor=cursor) if cursor else self.bookmark(at_s)
            yield Page(self.records(rows, answer), bookmark)

    def records(self, rows: list[Record], answer: Mapping[str, Any]) -> Sequence[Record]:
        """What is written of a page."""
        return rows


class TimeExport(ZendeskStream):
    """Rows from a second on; a page ends with a second, and the next one begins with it."""

    asked: ClassVar[Mapping[str, Any]] = {}

    def read(self, part: Mapping[str, Any]) -> Iterator[Page]:
        at_s = self.since(part)
        while True:
            asked = {"start_time": at_s, "per_page": PAGE_SIZE, **self.asked}
            answer = self.reading.client.get(self.path, asked, bucket=EXPORTS)
            rows = rows_of(answer, self.key)
            before_s, at_s = at_s, max(at_s, answer.get("end_time") or 0)
            yield Page(rows, self.bookmark(at_s))
            ends = answer.get("end_of_stream")
            is_full = (answer.get("count") or len(rows)) >= PAGE_SIZE
            if ends or (ends is None and not is_full):
                return
            if at_s == before_s:
                if is_full:
                    raise FatalAPIError("the vendor's next page is the same page again")
                return


class Tickets(CursorExport):
    """Tickets as they are now; deleted ones with the status `deleted`."""

    name = "zendesk_tickets"
    path, key = "/api/v2/incremental/tickets/cursor.json", "tickets"
    replication_key, in_seconds = "generated_timestamp", True
    customer_paths, product_paths = ("requester_id",), ("product",)

    def more_columns(self) -> Mapping[str, Schema]:
        return {} if self.reading.product_field is None else {"product": ANY}

    def records(self, rows: list[Record], answer: Mapping[str, Any]) -> Sequence[Record]:
        if self.reading.product_field is not None:
            for row in rows:
                row["product"] = field_of(row, self.reading.product_field)
        return rows


def field_of(ticket: Record, field_id: int) -> Any:
    """The value of a ticket's custom field."""
    fields = ticket.get("custom_fields") or ticket.get("fields") or ()
    return next((each.get("value") for each in fields if each.get("id") == field_id), None)


class TicketMetrics(CursorExport):
    """The measures of each ticket, brought along by the export of tickets, archived ones too."""

    name = "zendesk_ticket_metrics"
    path, key = "/api/v2/incremental/tickets/cursor.json", "tickets"
    asked = {"include": "metric_sets"}
    replication_key = "updated_at"

    def changed_s(self, row: Record) -> int:
        return int(row.get("generated_timestamp") or 0)

    def records(self, rows: list[Record], answer: Mapping[str, Any]) -> Sequence[Record]:
        within = (row.get("metric_set") for row in rows)
        beside = answer.get("metric_sets") or ()
        return [each for each in (*beside, *within) if each]


class TicketEvents(TimeExport):
    """What happened to tickets: changes of fields and comments."""

    name = "zendesk_ticket_events"
    path, key = "/api/v2/incremental/ticket_events.json", "ticket_events"
    asked = {"include": "comment_events"}
    replication_key, in_seconds = "timestamp", True


class TicketMetricEvents(TimeExport):
    """When a ticket's clocks began, paused and ended, and which promises they broke."""

    name = "zendesk_ticket_metric_events"
    path, key = "/api/v2/incremental/ticket_metric_events.json", "ticket_metric_events"
    replication_key = "time"


class Users(CursorExport):
    """End users and agents; deleted and merged ones with `active: false`."""

    name = "zendesk_users"
    path, key = "/api/v2/incremental/users/cursor.json", "users"
    replication_key = "updated_at"
    customer_paths = ("email", "external_id")

    def more_columns(self) -> Mapping[str, Schema]:
        return {name: each for name, each in self.reading.custom.items() if name == "user_fields"}


class Organizations(TimeExport):
    """Organizations."""

    name = "zendesk_organizations"
    path, key = "/api/v2/incremental/organizations.json", "organizations"
    replication_key = "updated_at"

    def more_columns(self) -> Mapping[str, Schema]:
        own = "organization_fields"
        return {name: each for name, each in self.reading.custom.items() if name == own}
