"""Salesforce: its objects, read by SOQL over REST or, where there is much to read, by Bulk jobs.

Oddities: the data's host is told by the login; which fields there are is known by asking, and may
change while it is read; a deleted row stays in the recycle bin for about 15 days, then nobody sees
it; formulas and roll-ups change without a new stamp; stages are always kept in OpportunityHistory,
other fields only where the organisation tracks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field as Setting
from pydantic import SecretStr, model_validator
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from journeys.oauth import token_form
from tap_journeys.side_by_side import together
from tap_journeys.sources.base import Source
from tap_journeys.sources.login import OAuth, bearer
from tap_journeys.sources.salesforce_api import Organisation
from tap_journeys.sources.salesforce_login import GRANT, assertion
from tap_journeys.sources.salesforce_objects import OBJECTS, SObject, fields_of
from tap_journeys.sources.salesforce_stream import SalesforceStream

if TYPE_CHECKING:
    from singer_sdk import Stream, Tap

LOGIN_URL = "https://login.salesforce.com"
TOKEN_PATH = "services/oauth2/token"
ObjectName = Annotated[str, Setting(pattern=r"^[A-Za-z]\w*$")]


class Salesforce(Source):
    """Salesforce CRM: leads, contacts, deals with their stages and roles, activities, cases."""

    access_token: SecretStr | None = Setting(
        None, description="A session of an API user; needs `instance_url`. For trying things out."
    )
    client_id: str | None = Setting(None, description="Consumer key of the connected app.")
    client_secret: SecretStr | None = Setting(
        None,
        description="Consumer secret of the connected app. Without a refresh token it logs in by "
        "itself (client credentials), at `login_url`.",
    )
    refresh_token: SecretStr | None = Setting(
        None, description="OAuth refresh token that the connected app was given."
    )
    username: str | None = Setting(
        None, description="User that a login by `private_key` (JWT bearer) is for."
    )
    private_key: SecretStr | None = Setting(
        None, description="RSA key, PEM, whose certificate the connected app knows (JWT bearer)."
    )
    token_file: Path | None = Setting(
        None,
        description="Where to keep the refresh token if Salesforce renews it with every login.",
    )
    login_url: str | None = Setting(
        None,
        description="Where to log in: `https://test.salesforce.com` for a sandbox, the address of "
        "My Domain for client credentials.",
    )
    instance_url: str | None = Setting(
        None, description="The organisation's address, where no login tells it."
    )
    base_url: str | None = Setting(
        None, description="Another address for all requests: a proxy, a simulator."
    )
    api_version: str = Setting("61.0", pattern=r"^\d+\.0$", description="Version of the API.")
    objects: tuple[ObjectName, ...] = Setting(
        (), description="API names of further objects, such as `NPS__c`."
    )
    bulk: Literal["auto", "never", "always"] = Setting(
        "auto", description="Whether to read by Bulk jobs; `auto`: from `bulk_from` rows."
    )
    bulk_from: int = Setting(
        20_000, ge=1, description="Rows of an object from which a Bulk job is worth its overhead."
    )
    max_api_share: float = Setting(
        0.8,
        gt=0,
        le=1,
        description="Share of the organisation's API requests of the day, used by anybody, at "
        "which reading stops.",
    )

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.access_token is not None:
            if not (self.instance_url or self.base_url):
                raise ValueError("access_token needs instance_url, the organisation's address")
            return self
        if self.client_id is None:
            raise ValueError("needs access_token and instance_url, or client_id and its login")
        if self.private_key is not None:
            if self.username is None:
                raise ValueError("private_key needs username, the user that logs in")
            self._token_request(None)  # says what is wrong with the key
        elif self.refresh_token is None:
            if self.client_secret is None:
                raise ValueError("client_id needs refresh_token, client_secret or private_key")
            if not (self.login_url or self.instance_url or self.base_url):
                raise ValueError("client credentials need login_url, the address of My Domain")
        return self

    def streams(self, tap: Tap) -> list[Stream]:
        organisation, objects = self._organisation(), self._objects()
        bulk_from = {"auto": self.bulk_from, "always": 1, "never": None}[self.bulk]
        described = dict(together(organisation.fields, [each.name for each in objects]))
        streams: list[Stream] = []
        unread: list[Exception] = []
        for each in objects:
            fields, found = None, described[each.name]
            try:
                fields = fields_of(organisation, each) if isinstance(found, tuple) else None
            except (FatalAPIError, RetriableAPIError) as error:
                found = error
            if isinstance(found, Exception):
                unread.append(found)
            elif found is None and each.is_feature:
                continue
            stream = SalesforceStream(tap, organisation, each, fields, bulk_from=bulk_from)
            stream.undescribed = found if isinstance(found, Exception) else None
            streams.append(stream)
        if unread:
            tap.logger.warning(
                "Salesforce: %s of %s objects could not be described, their streams declare few "
                "fields and are not read: %s",
                len(unread),
                len(objects),
                _said(unread[0]),
            )
        return streams

    def check(self, tap: Tap) -> Iterator[tuple[str, str]]:
        organisation = self._organisation()
        try:
            day = organisation.get("limits")["DailyApiRequests"]
        except (FatalAPIError, RetriableAPIError) as error:
            yield "error", f"The login does not work: {error}"
            return
        used = (day["Max"] - day["Remaining"]) / day["Max"] if day["Max"] else 1.0
        yield "ok", f"The login works; {used:.0%} of the API requests of the day are used."
        for each in self._objects():
            try:
                fields = fields_of(organisation, each)
            except (FatalAPIError, RetriableAPIError) as error:
                yield "error", f"The object {each.name} cannot be described: {error}"
                continue
            seen = {field.path for field in fields or ()}
            for path in (*each.customers, *each.products) if fields else ():
                if path not in seen:
                    yield (
                        "warning",
                        f"The field {path} of {each.name} is not visible, so its events lack it: "
                        "grant it in a permission set.",
                    )

    def _objects(self) -> list[SObject]:
        known = {each.name: each for each in OBJECTS}
        return [
            *OBJECTS,
            *(SObject(name) for name in dict.fromkeys(self.objects) if name not in known),
        ]

    def _organisation(self) -> Organisation:
        where, at = self.base_url or self.instance_url, self._login_host()
        oauth = OAuth(
            f"{at}/{TOKEN_PATH}",
            self._token_request,
            refresh_token=_secret(self.refresh_token),
            token_file=self.token_file,
        )
        token = _secret(self.access_token)

        def base_url() -> str:
            return self.base_url or str(oauth.answer.get("instance_url") or where or at)

        return Organisation(
            base_url,
            bearer(token) if token else oauth,
            version=self.api_version,
            max_share=self.max_api_share,
        )

    def _login_host(self) -> str:
        return (self.login_url or self.base_url or self.instance_url or LOGIN_URL).rstrip("/")

    def _token_request(self, refresh_token: str | None) -> Mapping[str, str]:
        """The form of a login."""
        key, client = _secret(self.private_key), self.client_id or ""
        if key is not None:
            signed = assertion(client, self.username or "", self._login_host(), key)
            return {"grant_type": GRANT, "assertion": signed}
        return token_form(client, _secret(self.client_secret), refresh_token)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def _said(error: Exception) -> str:
    """An error in words; the text of one that is not ours may hold anything."""
    ours = isinstance(error, FatalAPIError | RetriableAPIError)
    return str(error) if ours else type(error).__name__
