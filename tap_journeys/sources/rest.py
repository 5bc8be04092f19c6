"""Rest: any JSON API, described in the settings with the words of dlt's REST source.

Oddities are the API's and are said per stream: how it pages, where the rows are, what it calls the
moment of change. ``{incremental.start_value}`` and ``{resources.PARENT.FIELD}`` stand for values in
`path` and `params`, as in dlt. A child stream reads its parent's rows itself, so that its bookmark
is its own and a restart loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from tap_journeys.sources.base import Source
from tap_journeys.sources.client import Client
from tap_journeys.sources.login import Fixed, Login, OAuth, basic
from tap_journeys.sources.pace import Bucket
from tap_journeys.sources.rest_stream import PLACE, Rows

if TYPE_CHECKING:
    from singer_sdk import Stream, Tap


class Paginator(BaseModel):
    """How the API says what comes next."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal[
        "auto", "single_page", "json_link", "header_link", "cursor", "offset", "page_number"
    ] = Field("auto", description="As in dlt; `auto` takes a `next` link in the answer or header.")
    next_url_path: str = Field("next", description="json_link: where the next address is.")
    cursor_path: str = Field("next_cursor", description="cursor: where the next cursor is.")
    cursor_param: str = Field("cursor", description="cursor: the parameter that takes it.")
    limit: int = Field(100, ge=1, description="offset, page_number: rows asked for at once.")
    limit_param: str | None = Field(None, description="The parameter that takes `limit`.")
    offset_param: str = Field("offset", description="offset: the parameter for the offset.")
    page_param: str = Field("page", description="page_number: the parameter for the page.")
    base_page: int = Field(1, description="page_number: number of the first page.")
    total_path: str | None = Field(
        None, description="Where the number of rows (offset) or pages (page_number) is, if told."
    )


class Incremental(BaseModel):
    """What tells that a row is new or changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor_path: str = Field(description="Where a row holds its moment of change or its number.")
    start_param: str | None = Field(
        None, description="The parameter that asks for rows from a value on."
    )
    initial_value: str | None = Field(
        None, description="Where to begin the first time; `start_date` if left out."
    )
    format: str = Field(
        "iso",
        description="How the API takes the value: `iso`, `date`, `epoch_s`, `epoch_ms`, `raw` (as "
        "the row holds it) or a strftime pattern.",
    )
    lag_s: int = Field(300, ge=0, description="Seconds that are read again, for late rows.")
    row_order: Literal["asc"] | None = Field(
        None, description="`asc`: rows come in that order, so an interrupted run goes on there."
    )


class RestStream(BaseModel):
    """One stream of the API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="Name of the stream.")
    path: str = Field(description="Path below `base_url`.")
    params: dict[str, str | int | bool] = Field({}, description="Query parameters.")
    data_selector: str = Field(
        "", description="Where the list of rows is in the answer; empty: the answer itself."
    )
    primary_keys: list[str] = Field(min_length=1, description="Fields that name a row.")
    paginator: Paginator | None = Field(None, description="Instead of the common one.")
    incremental: Incremental | None = Field(
        None, description="Left out: everything is read each time."
    )
    parent: str | None = Field(None, description="The stream whose rows this one is read for.")
    include_from_parent: list[str] = Field(
        [], description="Parent fields to add to each row, as `_PARENT_FIELD`."
    )
    row_path: str | None = Field(
        None, description="Path of the full row (`/tickets/{id}`), where the list holds only ids."
    )


class Rest(Source):
    """Any JSON API."""

    base_url: str = Field(description="Address that the paths are added to.")
    access_token: SecretStr | None = Field(None, description="Sent in `Authorization`.")
    auth_scheme: str = Field("Bearer", description="Word before the token in `Authorization`.")
    username: str | None = Field(None, description="For HTTP Basic.")
    password: SecretStr | None = Field(None, description="For HTTP Basic.")
    api_key: SecretStr | None = Field(None, description="Sent as `api_key_name`.")
    api_key_name: str = Field("X-API-Key", description="Header or parameter of `api_key`.")
    api_key_in: Literal["header", "query"] = Field("header", description="Where `api_key` goes.")
    token_url: str | None = Field(None, description="OAuth 2 client credentials: token endpoint.")
    client_id: str | None = Field(None, description="OAuth 2 client.")
    client_secret: SecretStr | None = Field(None, description="OAuth 2 client's secret.")
    scope: str | None = Field(None, description="OAuth 2 scopes, separated by spaces.")
    headers: dict[str, SecretStr] = Field({}, description="Further headers.")
    requests_per_minute: int | None = Field(None, ge=1, description="The API's limit, if any.")
    paginator: Paginator = Field(
        default_factory=lambda: Paginator.model_validate({}), description="How the API pages."
    )
    resources: list[RestStream] = Field(
        alias="streams", min_length=1, description="The streams to read."
    )

    @model_validator(mode="after")
    def _is_coherent(self) -> Rest:
        known: dict[str, RestStream] = {}
        for each in self.resources:
            if each.name in known:
                raise ValueError(f"two streams have the same name '{each.name}'")
            parent = known.get(each.parent or "")
            if each.parent is not None and (parent is None or parent.parent is not None):
                raise ValueError(
                    f"stream '{each.name}': `parent` must name a stream above it that has none"
                )
            if each.parent is not None and each.incremental is not None:
                raise ValueError(
                    f"stream '{each.name}': its `parent` says what is new, leave out `incremental`"
                )
            texts = [each.path, *map(str, each.params.values())]
            for name in (m[2] for text in texts for m in PLACE.finditer(text) if m[2]):
                if name != each.parent:
                    raise ValueError(
                        f"stream '{each.name}': `{{resources.{name}.…}}` is not its `parent`"
                    )
            known[each.name] = each
        for one, other in (("username", "password"), ("token_url", "client_id")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"`{one}` and `{other}` go together")
        return self

    def streams(self, tap: Tap) -> list[Stream]:
        client = self.client()
        made: dict[str, Rows] = {}
        for each in self.resources:
            made[each.name] = Rows(tap, self, client, each, made.get(each.parent or ""))
        return list(made.values())

    def client(self) -> Client:
        limit = self.requests_per_minute
        return Client(
            self.base_url,
            login=self._login(),
            headers={name: value.get_secret_value() for name, value in self.headers.items()},
            buckets={"requests": Bucket(limit, 60)} if limit else {},
        )

    def _login(self) -> Login:
        headers: dict[str, str] = {}
        if self.token_url is not None and self.client_id is not None:
            body = {"grant_type": "client_credentials", "client_id": self.client_id}
            if self.client_secret is not None:
                body["client_secret"] = self.client_secret.get_secret_value()
            if self.scope is not None:
                body["scope"] = self.scope
            return OAuth(self.token_url, lambda _: body)
        if self.username is not None and self.password is not None:
            headers |= basic(self.username, self.password.get_secret_value()).headers()
        if self.access_token is not None:
            headers["Authorization"] = f"{self.auth_scheme} {self.access_token.get_secret_value()}"
        if self.api_key is not None and self.api_key_in == "header":
            headers[self.api_key_name] = self.api_key.get_secret_value()
        return Fixed(headers)

    def key_params(self) -> dict[str, str]:
        """The parameters that prove who asks, where the API wants it so."""
        if self.api_key is not None and self.api_key_in == "query":
            return {self.api_key_name: self.api_key.get_secret_value()}
        return {}
