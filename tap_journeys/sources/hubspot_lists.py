"""What HubSpot lists whole: forms and their submissions, pipelines, owners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_journeys.sources.base import Page
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import NotThereError
from tap_journeys.sources.hubspot_client import SCOPES, HubSpotStream, Row, next_of
from tap_journeys.sources.windows import EPOCH, follow, moment, written

if TYPE_CHECKING:
    from singer_sdk import Tap

PAGE_SUBMISSIONS = 50  # the documented maximum
LOOKBACK = timedelta(minutes=10)
FORM_TYPES = "all"  # else only those that were made in HubSpot's editor
CONTACT = "0-1"  # of the fields of one name in a form, the contact's is meant

_DATES = (
    th.Property("createdAt", th.DateTimeType),
    th.Property("updatedAt", th.DateTimeType),
    th.Property("archived", th.BooleanType),
)


class Listed(HubSpotStream):
    """A list that is read whole in every run, archived entries too."""

    primary_keys = ("id",)
    address = ""
    params: Mapping[str, Any] = {"limit": 100}

    def look(self) -> None:
        self.client.get(self.address, {"limit": 1})

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[str]:
        yield from ("false", "true")

    def read(self, part: str) -> Iterator[Page]:
        for rows in self.listed(self.address, archived=part, **self.params):
            yield Page(rows)


class Forms(Listed):
    """The forms."""

    name = "hubspot_forms"
    scope = SCOPES["forms"]
    address = "/marketing/v3/forms"
    params = {"limit": 100, "formTypes": FORM_TYPES}
    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True),
        th.Property("name", th.StringType),
        th.Property("formType", th.StringType),
        th.Property("fieldGroups", th.ArrayType(th.ObjectType(additional_properties=True))),
        *_DATES,
        th.Property("archivedAt", th.DateTimeType),
    ).to_dict()


class Owners(Listed):
    """The people to whom objects belong."""

    name = "hubspot_owners"
    scope = SCOPES["owners"]
    address = "/crm/v3/owners"
    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True),
        th.Property("type", th.StringType),
        th.Property("email", th.StringType),
        th.Property("firstName", th.StringType),
        th.Property("lastName", th.StringType),
        th.Property("userId", th.IntegerType),
        th.Property("teams", th.ArrayType(th.ObjectType(additional_properties=True))),
        *_DATES,
    ).to_dict()


class Pipelines(HubSpotStream):
    """The pipelines of deals and tickets with their stages; `objectType` is added."""

    name = "hubspot_pipelines"
    scope = SCOPES["deals"]
    primary_keys = ("objectType", "id")
    schema = th.PropertiesList(
        th.Property("objectType", th.StringType, required=True),
        th.Property("id", th.StringType, required=True),
        th.Property("label", th.StringType),
        th.Property("displayOrder", th.IntegerType),
        th.Property("stages", th.ArrayType(th.ObjectType(additional_properties=True))),
        *_DATES,
    ).to_dict()

    def look(self) -> None:
        self.client.get("/crm/v3/pipelines/deals")

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[str]:
        yield from ("deals", "tickets")

    def read(self, part: str) -> Iterator[Page]:
        for rows in self.listed(f"/crm/v3/pipelines/{part}"):
            yield Page([{**row, "objectType": part} for row in rows])


class FormSubmissions(HubSpotStream):
    """What was filled in, newest first; `formId`, `formName` and `fields` are added.

    There is no filter by time: each form is read until a submission is older than the bookmark,
    which moves once all forms are read.
    """

    name = "hubspot_form_submissions"
    scope = SCOPES["forms"]
    primary_keys = ("conversionId",)
    replication_key = "submittedAt"
    width = 8  # forms; most have nothing new
    customer_paths = ("fields.email",)
    product_paths = ("fields.product_interest",)
    schema = th.PropertiesList(
        th.Property("conversionId", th.StringType, required=True),
        th.Property("submittedAt", th.IntegerType),
        th.Property("values", th.ArrayType(th.ObjectType(additional_properties=True))),
        th.Property("pageUrl", th.StringType),
        th.Property("formId", th.StringType),
        th.Property("formName", th.StringType),
        th.Property("fields", th.ObjectType(additional_properties=True)),
    ).to_dict()

    def __init__(self, tap: Tap, client: Client, *, start: datetime | None) -> None:
        super().__init__(tap, client)
        self._start = start

    def look(self) -> None:
        self.client.get(Forms.address, {"limit": 1})

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[Row | None]:
        self._begun = datetime.now(UTC)
        self._newest = moment(bookmark.get("replication_key_value"))
        known = (self._newest and self._newest - LOOKBACK, self._start)
        self._since = max([each for each in known if each is not None], default=EPOCH)
        for archived in ("false", "true"):
            for forms in self.listed(Forms.address, archived=archived, **Forms.params):
                yield from forms
        yield None  # all forms are read

    def read(self, part: Row | None) -> Iterator[Page]:
        if part is None:
            yield Page((), {"replication_key": self.replication_key})  # `take` knows the rest
            return
        address = f"/form-integrations/v1/submissions/forms/{part['id']}"

        def ask(after: str) -> tuple[list[Row], str | None]:
            page = {"limit": PAGE_SUBMISSIONS, **({"after": after} if after else {})}
            answer = self.client.get(address, page)
            rows: list[Row] = answer.get("results") or []
            new = [row for row in rows if _at(row) >= self._since]
            return new, next_of(answer) if len(new) == len(rows) else None

        try:
            for rows in follow("", ask):
                yield Page([_submission(row, part) for row in rows])
        except NotThereError:  # deleted meanwhile, or of a kind that is not submitted
            return

    def take(self, page: Page) -> None:
        """Write a page; the bookmark follows from all forms, which are read at the same time."""
        moments = [_at(row) for row in page.records]
        self._newest = max([*moments, *([self._newest] if self._newest else [])], default=None)
        if page.bookmark is not None and self._newest is not None:
            value = written(min(self._newest, self._begun))
            page = Page(page.records, {**page.bookmark, "replication_key_value": value})
        super().take(page)


def _at(submission: Row) -> datetime:
    return moment(submission.get("submittedAt")) or EPOCH


def _submission(row: Row, form: Row) -> Row:
    """A submission with its form, and its values by name, several of them as HubSpot joins them."""
    values = [each for each in row.get("values") or () if "name" in each]
    of_contact = {each["name"] for each in values if each.get("objectTypeId") == CONTACT}
    fields: dict[str, list[str]] = {}
    for each in values:
        if each.get("objectTypeId") == CONTACT or each["name"] not in of_contact:
            fields.setdefault(each["name"], []).append(str(each.get("value") or ""))
    joined = {name: ";".join(found) for name, found in fields.items()}
    return {**row, "formId": form["id"], "formName": form.get("name"), "fields": joined}
