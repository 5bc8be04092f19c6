"""Zendesk's lists: answers to surveys, and what is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from tap_journeys.sources.base import Page, Record
from tap_journeys.sources.errors import NotThereError
from tap_journeys.sources.windows import Window, moment, windows
from tap_journeys.sources.zendesk_answers import LIST_SIZE, list_pages, rows_of
from tap_journeys.sources.zendesk_exports import VALUE, ZendeskStream, latest_s

BEGAN = datetime(2007, 1, 1, tzinfo=UTC)  # no account is older
WINDOW = timedelta(days=14)  # the latest windows are read side by side, and all before as one
LATEST_WINDOWS = 52
LOOK_BACK = timedelta(days=30)  # a survey may be answered, and an answer changed, so long
OVERLAP = timedelta(minutes=10)  # of changes that are read again


class List(ZendeskStream):
    """A short list that is read as a whole each time; not on every plan."""

    asked: ClassVar[Mapping[str, Any]] = {"page[size]": LIST_SIZE}

    def read(self, part: Mapping[str, Any]) -> Iterator[Page]:
        try:
            for answer in list_pages(self.reading.client, self.path, self.asked):
                yield Page(rows_of(answer, self.key))
        except NotThereError:
            self.logger.info("Stream '%s': this account has none.", self.name)


class TicketFields(List):
    """Fields of tickets with their ids and titles: here is the one that names the product."""

    name = "zendesk_ticket_fields"
    path, key = "/api/v2/ticket_fields.json", "ticket_fields"


class TicketForms(List):
    """Forms by which tickets are opened."""

    name = "zendesk_ticket_forms"
    path, key = "/api/v2/ticket_forms.json", "ticket_forms"


class Brands(List):
    """Brands of the account."""

    name = "zendesk_brands"
    path, key = "/api/v2/brands.json", "brands"


class Answers(ZendeskStream):
    """Answers to surveys, found by when they were created; those that changed since are written.

    An account has one kind of surveys: the other one is not there.
    """

    width, ahead = 8, 50
    is_absent = False

    def asked(self, window: Window) -> Mapping[str, Any]:
        """The parameters for what was created in a window of time."""
        raise NotImplementedError  # pragma: no cover

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[tuple[Window, datetime | None]]:
        known = moment(bookmark.get(VALUE))
        since = known - LOOK_BACK if known else max(self._start(), BEGAN)
        until = datetime.fromtimestamp(latest_s(), UTC)
        latest = max(since, until - LATEST_WINDOWS * WINDOW)
        for window in (*windows(since, latest, latest - since), *windows(latest, until, WINDOW)):
            if self.is_absent:
                return
            yield window, known

    def _start(self) -> datetime:
        return datetime.fromtimestamp(self.reading.start_s, UTC)

    def read(self, part: tuple[Window, datetime | None]) -> Iterator[Page]:
        window, known = part
        new_from_s = int((known - OVERLAP).timestamp()) if known else 0
        asked = {**self.asked(window), "page[size]": LIST_SIZE}
        try:
            for answer in list_pages(self.reading.client, self.path, asked):
                rows = rows_of(answer, self.key)
                yield Page(
                    [row for row in rows if (self.changed_s(row) or new_from_s) >= new_from_s]
                )
        except NotThereError:
            if not self.is_absent:
                self.is_absent = True
                self.logger.info("Stream '%s': this account has none.", self.name)
            return
        until = max(window.until, known or BEGAN)
        yield Page((), self.bookmark(int(until.timestamp())))


class SatisfactionRatings(Answers):
    """The older surveys: good or bad."""

    name = "zendesk_satisfaction_ratings"
    path, key = "/api/v2/satisfaction_ratings.json", "satisfaction_ratings"
    replication_key = "updated_at"
    customer_paths = ("requester_id",)

    def asked(self, window: Window) -> Mapping[str, Any]:
        since, until = (int(at.timestamp()) for at in window)
        return {"start_time": since, "end_time": until + 1}


class SurveyResponses(Answers):
    """The newer surveys: several questions each."""

    name = "zendesk_survey_responses"
    path, key = "/api/v2/guide/survey_responses", "survey_responses"
    customer_paths = ("responder_id",)

    def asked(self, window: Window) -> Mapping[str, Any]:
        since, until = (int(at.timestamp()) * 1000 for at in window)
        return {"filter[created_at_start]": since, "filter[created_at_end]": until + 1000}

    def changed_s(self, row: Record) -> int:
        answers = row.get("answers") or ()
        found = (moment(each.get("updated_at") or each.get("created_at")) for each in answers)
        return max((int(at.timestamp()) for at in found if at), default=0)
