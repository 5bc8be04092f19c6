"""Google Analytics 4: raw events from its BigQuery export, and reports of its Data API if wanted.

Oddities: the tables of the last days change, and the same event may be in several of them; whole
numbers are text; without consent an event has no `user_pseudo_id` and stays anonymous; `user_id` is
not filled in backwards. A 403 may mean a full bucket, an empty quota, a missing scope or a missing
role, and only its `reason` tells which. The Data API knows no persons.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, model_validator
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys.sources.answers import Judge
from tap_journeys.sources.base import Source, wrong_configuration
from tap_journeys.sources.client import Client
from tap_journeys.sources.ga4_columns import USUAL, Column
from tap_journeys.sources.ga4_export import Dataset, Events
from tap_journeys.sources.ga4_google import (
    MISSING,
    SCOPES,
    TOKEN_URL,
    ServiceAccount,
    can_sign,
    judge_bigquery,
    judge_reports,
)
from tap_journeys.sources.ga4_report import AT_ONCE, Report, ReportRows
from tap_journeys.sources.login import Login, OAuth, bearer
from tap_journeys.sources.pace import Bucket
from tap_journeys.sources.windows import moment

if TYPE_CHECKING:
    from singer_sdk import Stream, Tap

BIGQUERY, DATA = "https://bigquery.googleapis.com", "https://analyticsdata.googleapis.com"
READ_TABLES, READ_REPORTS = f"{SCOPES}bigquery.readonly", f"{SCOPES}analytics.readonly"
DATA_VIEWER = "BigQuery Data Viewer (a role on the dataset)"
VIEWER = "Viewer (a role on the GA4 property)"


class GA4(Source):
    """Google Analytics 4: events from its BigQuery export."""

    property_id: str = Field(pattern="^[0-9]+$", description="Number of the GA4 property.")
    project_id: str | None = Field(
        None, description="Google Cloud project of the export; left out: reports only."
    )
    dataset: str | None = Field(
        None, description="BigQuery dataset of the export, if it is not `analytics_PROPERTY`."
    )
    service_account_file: Path | None = Field(
        None, description="Key file of a service account; needs the extra `ga4`."
    )
    service_account_key: SecretStr | None = Field(
        None, description="The content of that file instead, for where there are no files."
    )
    refresh_token: SecretStr | None = Field(
        None, description="OAuth refresh token of a user, with `client_id` and `client_secret`."
    )
    client_id: str | None = Field(None, description="OAuth client.")
    client_secret: SecretStr | None = Field(None, description="The OAuth client's secret.")
    access_token: SecretStr | None = Field(
        None, description="Access token from elsewhere; it ends after an hour."
    )
    reports: list[Report] = Field(
        [],
        description="Reports of the Data API: counts by day, for dashboards. They know no persons "
        "and make no journeys.",
    )
    base_url: str | None = Field(
        None, description="Address in place of all of Google's: a proxy, a sandbox."
    )

    @model_validator(mode="after")
    def _is_coherent(self) -> GA4:
        ways = {
            "service_account_file": self.service_account_file,
            "service_account_key": self.service_account_key,
            "refresh_token": self.refresh_token,
            "access_token": self.access_token,
        }
        if sum(way is not None for way in ways.values()) != 1:
            raise ValueError(f"one way to log in is needed: {', or '.join(ways)}")
        if (self.refresh_token is None) != (self.client_id is None) or (
            (self.client_id is None) != (self.client_secret is None)
        ):
            raise ValueError("these go together: refresh_token, client_id, client_secret")
        if self.project_id is None and not self.reports:
            raise ValueError("`project_id` is missing: where the export is")
        if len({report.name for report in self.reports}) < len(self.reports):
            raise ValueError("two reports have the same name")
        return self

    def streams(self, tap: Tap) -> list[Stream]:
        try:
            since = moment(tap.config.get("start_date"))
        except ValueError:
            raise wrong_configuration("start_date: must be a date or time in ISO 8601") from None
        found: list[Stream] = []
        login = self._login()
        if self.project_id is not None:
            dataset = self._dataset(login)
            columns, problem = self._columns(tap, dataset)
            events = Events(tap, dataset, since, columns)
            events.undescribed = problem
            found.append(events)
        return found + self._reports(tap, login, since)

    def _reports(self, tap: Tap, login: Login, since: datetime | None) -> list[Stream]:
        judge = judge_reports(READ_REPORTS, VIEWER)
        # it counts tokens and reports in the making; the bucket lets all wait together
        client = self._client(DATA, login, judge, Bucket(100, 1))
        rows = [ReportRows(tap, client, self.property_id, each, since) for each in self.reports]
        for each in rows:
            each.width = max(1, AT_ONCE // len(rows))
        return list(rows)

    def _columns(self, tap: Tap, dataset: Dataset) -> tuple[list[Column], Exception | None]:
        """The columns of the newest table, which has all that there are; why not, if it fails."""
        try:
            tables = dataset.listed()
            return (list(dataset.described(tables[-1].name).columns) if tables else USUAL), None
        except (FatalAPIError, RetriableAPIError) as error:
            tap.logger.warning(
                "Stream '%s': its table cannot be described (%s), so its schema holds the usual "
                "columns only, and it is not read",
                Events.name,
                error,
            )
            return USUAL, error

    def check(self, tap: Tap) -> Iterator[tuple[str, str]]:
        if self.project_id is None:
            yield "warning", "no events are read: set `project_id` and link BigQuery in GA4"
            return
        try:
            tables = self._dataset(self._login()).listed()
        except (FatalAPIError, RetriableAPIError) as error:
            yield "error", f"the dataset of the export cannot be read: {error}"
            return
        if tables:
            yield "ok", f"the login works; the newest of {len(tables)} tables is {tables[-1].name}"
        else:
            yield "warning", "the dataset has no events yet; GA4 exports the first a day after"

    # -- how requests go out ---------------------------------------------------------------

    def _dataset(self, login: Login) -> Dataset:
        judge = judge_bigquery(READ_TABLES, DATA_VIEWER)
        client = self._client(BIGQUERY, login, judge, Bucket(100, 1))  # per user and method
        name = self.dataset or f"analytics_{self.property_id}"
        return Dataset(client, self.project_id or "", name)

    def _client(self, address: str, login: Login, judge: Judge, bucket: Bucket) -> Client:
        buckets = {"requests": bucket}
        return Client(self.base_url or address, login=login, buckets=buckets, judge=judge)

    def _login(self) -> Login:
        if self.access_token is not None:
            return bearer(self.access_token.get_secret_value())
        own = f"{self.base_url.rstrip('/')}/token" if self.base_url else None
        if self.refresh_token is not None and self.client_id and self.client_secret:
            body = {
                "grant_type": "refresh_token",
                "refresh_token": self.refresh_token.get_secret_value(),
                "client_id": self.client_id,
                "client_secret": self.client_secret.get_secret_value(),
            }
            return OAuth(own or TOKEN_URL, lambda _: body)
        account = self._service_account()
        url = own or account.token_url
        wanted = (READ_TABLES, self.project_id), (READ_REPORTS, self.reports)
        scopes = " ".join(scope for scope, needed in wanted if needed)
        return OAuth(url, account.token_request(url, scopes))

    def _service_account(self) -> ServiceAccount:
        name = "service_account_file" if self.service_account_file else "service_account_key"
        if not can_sign():
            raise wrong_configuration(f"sources.ga4.{name}: {MISSING}")
        try:
            if self.service_account_file is not None:
                key = self.service_account_file.read_text(encoding="utf-8")
            else:
                assert self.service_account_key is not None
                key = self.service_account_key.get_secret_value()
            return ServiceAccount(key)
        except OSError as error:
            raise wrong_configuration(f"sources.ga4.{name}: {error.strerror}") from None
        except ValueError as error:  # UnicodeDecodeError among them
            what = "is no text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise wrong_configuration(f"sources.ga4.{name}: {what}") from None
