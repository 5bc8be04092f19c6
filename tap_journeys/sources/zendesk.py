"""Zendesk Support: tickets and their history, people, organizations, answers to surveys.

Oddities: exports have a limit of their own, a tenth of what everything else may do, and only an
admin may read them; the last minute is withheld and may not be asked for. Answers carry links to
another name of the account, so only their path is followed. An account has the older satisfaction
ratings or survey responses, not both. `/users/me` answers 200 to nobody as well, with an empty id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr, model_validator

from tap_journeys.sources.base import Source, wrong_configuration
from tap_journeys.sources.client import Client
from tap_journeys.sources.login import Login, OAuth, basic, bearer
from tap_journeys.sources.pace import Bucket
from tap_journeys.sources.windows import moment
from tap_journeys.sources.zendesk_answers import EXPORTS, MINUTE_S, follow_headers, judge
from tap_journeys.sources.zendesk_check import check
from tap_journeys.sources.zendesk_exports import (
    Organizations,
    Reading,
    TicketEvents,
    TicketMetricEvents,
    TicketMetrics,
    Tickets,
    Users,
    ZendeskStream,
)
from tap_journeys.sources.zendesk_lists import (
    Brands,
    SatisfactionRatings,
    SurveyResponses,
    TicketFields,
    TicketForms,
)
from tap_journeys.sources.zendesk_schemas import custom_fields

if TYPE_CHECKING:
    from singer_sdk import Stream, Tap

PLANS = {"team": 200, "growth": 400, "professional": 400, "enterprise": 700}
PLANS["enterprise_plus"] = HIGH_VOLUME = 2500  # requests a minute
EXPORTS_OF = {False: 10, True: 30}  # exports a minute, without the add-on and with it

STREAMS: tuple[type[ZendeskStream], ...] = (
    Tickets,
    TicketEvents,
    TicketMetricEvents,
    TicketMetrics,
    Users,
    Organizations,
    SatisfactionRatings,
    SurveyResponses,
    TicketFields,
    TicketForms,
    Brands,
)


class Zendesk(Source):
    """Zendesk Support: tickets with their history, people, organizations, answers to surveys."""

    subdomain: str | None = Field(
        None,
        pattern="^[A-Za-z0-9][A-Za-z0-9-]*$",
        description="`acme` of acme.zendesk.com; may be left out where `base_url` is set.",
    )
    email: str | None = Field(None, description="Login e-mail of the API token's owner, an admin.")
    api_token: SecretStr | None = Field(None, description="API token, not the password.")
    access_token: SecretStr | None = Field(
        None, description="OAuth access token that does not expire, in place of e-mail and token."
    )
    client_id: str | None = Field(
        None, description="OAuth client; alone with its secret it logs in by client credentials."
    )
    client_secret: SecretStr | None = Field(None, description="The OAuth client's secret.")
    refresh_token: SecretStr | None = Field(
        None, description="OAuth refresh token; Zendesk takes each only once, see `token_file`."
    )
    token_file: Path | None = Field(
        None, description="File that keeps the newest refresh token from run to run."
    )
    plan: Literal["team", "growth", "professional", "enterprise", "enterprise_plus"] = Field(
        "team", description="The plan, for the first requests; then the answers tell the rate."
    )
    high_volume: bool = Field(
        False, description="Whether the account has the High Volume API add-on."
    )
    product_field: int | None = Field(
        None,
        description="Id of the ticket field that names the product: tickets get its value as "
        "`product`. The stream `zendesk_ticket_fields` lists the ids.",
    )
    base_url: str | None = Field(
        None, description="Address in place of https://SUBDOMAIN.zendesk.com: a proxy, a sandbox."
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Zendesk:
        if self.subdomain is None and self.base_url is None:
            raise ValueError("`subdomain` is missing")
        ways = {
            "`email` and `api_token`": (self.email, self.api_token),
            "`access_token`": (self.access_token,),
            "`client_id` and `client_secret`": (self.client_id, self.client_secret),
        }
        if any(None in parts and set(parts) != {None} for parts in ways.values()):
            raise ValueError(f"these go together: {', '.join(list(ways)[::2])}")
        if sum(None not in parts for parts in ways.values()) != 1:
            raise ValueError(f"one way to log in is needed: {', or '.join(ways)}")
        if (self.refresh_token is None) != (self.token_file is None):
            raise ValueError("`refresh_token` and `token_file` go together: each token works once")
        if self.refresh_token is not None and self.client_id is None:
            raise ValueError("`refresh_token` needs `client_id` and `client_secret`")
        return self

    def streams(self, tap: Tap) -> list[Stream]:
        try:
            since = moment(tap.config.get("start_date"))
        except ValueError:
            raise wrong_configuration("start_date: must be a date or time in ISO 8601") from None
        client = self.client()
        start_s = int(since.timestamp()) if since else 0
        reading = Reading(client, start_s, self.product_field, custom_fields(client))
        return [stream(tap, reading) for stream in STREAMS]

    def check(self, tap: Tap) -> Iterator[tuple[str, str]]:
        return check(self.client(), self.product_field)

    # -- how requests go out ---------------------------------------------------------------

    def client(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Client:
        """The way to the account, within its limits."""
        exports = Bucket(EXPORTS_OF[self.high_volume], MINUTE_S, clock=clock, sleep=sleep)
        most = HIGH_VOLUME if self.high_volume else PLANS[self.plan]
        # exports count for the account's limit, too, so they are left out of what others may take
        others = Bucket(most - exports.requests, MINUTE_S, clock=clock, sleep=sleep)
        return Client(
            self._address(),
            login=self._login(),
            buckets={EXPORTS: exports, "requests": others},
            judge=judge,
            observe=lambda response, _: follow_headers(response, exports, others),
            sleep=sleep,
        )

    def _address(self) -> str:
        base = self.base_url or f"https://{self.subdomain}.zendesk.com"
        return base.rstrip("/").removesuffix("/api/v2")

    def _login(self) -> Login:
        if self.email is not None and self.api_token is not None:
            return basic(f"{self.email}/token", self.api_token.get_secret_value())
        if self.access_token is not None:
            return bearer(self.access_token.get_secret_value())
        return OAuth(
            f"{self._address()}/oauth/tokens",
            self._token_request,
            refresh_token=self.refresh_token.get_secret_value() if self.refresh_token else None,
            token_file=self.token_file,
            as_json=True,
        )

    def _token_request(self, refresh_token: str | None) -> dict[str, str]:
        assert self.client_id is not None and self.client_secret is not None
        body = {"client_id": self.client_id, "client_secret": self.client_secret.get_secret_value()}
        if refresh_token is None:
            return {"grant_type": "client_credentials", "scope": "read", **body}
        return {"grant_type": "refresh_token", "refresh_token": refresh_token, **body}
