"""HubSpot: CRM objects with their history, associations and line items; forms; feedback.

Oddities: all values are text and get their types here; associations and what was archived have no
place in a search and are read beside it; a change of associations is no change of the object, so
those of open deals are read anew from time to time; the search index is late. See
`hubspot_objects` for how objects are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, model_validator
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys.side_by_side import together
from tap_journeys.sources.base import Source, wrong_configuration
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import ClosedError, MissingScopeError, NotThereError
from tap_journeys.sources.hubspot_client import HubSpotStream, RefusedError, client_of
from tap_journeys.sources.hubspot_kinds import KINDS, Kind, caster, defined_types, known_types
from tap_journeys.sources.hubspot_lists import Forms, FormSubmissions, Owners, Pipelines
from tap_journeys.sources.hubspot_objects import Objects, ObjectSettings
from tap_journeys.sources.login import Login, OAuth, bearer
from tap_journeys.sources.windows import moment

if TYPE_CHECKING:
    from singer_sdk import Stream, Tap

Types = Mapping[str, str]
NEVER = (MissingScopeError, NotThereError, RefusedError)  # asking again would not help


class HubSpot(Source):
    """HubSpot: contacts, companies, deals with all that belongs to them, tickets, forms."""

    access_token: SecretStr | None = Field(
        None, description="Token of a private app; instead of the three settings of an OAuth app."
    )
    client_id: str | None = Field(None, description="Client id of an OAuth app.")
    client_secret: SecretStr | None = Field(None, description="Client secret of an OAuth app.")
    refresh_token: SecretStr | None = Field(
        None, description="Refresh token that the OAuth app was given for this account."
    )
    associations_every_h: float = Field(
        24,
        ge=0,
        description="Hours after which the associations of open deals are read anew; 0: each run.",
    )
    base_url: str = Field(
        "https://api.hubapi.com", description="Where the API is; another one for tests and proxies."
    )

    @model_validator(mode="after")
    def _one_login(self) -> HubSpot:
        oauth = (self.client_id, self.client_secret, self.refresh_token)
        if self.access_token is not None and not any(oauth):
            return self
        if self.access_token is None and all(oauth):
            return self
        raise ValueError(
            "give `access_token` of a private app, or `client_id`, `client_secret` and "
            "`refresh_token` of an OAuth app"
        )

    def streams(self, tap: Tap) -> list[Stream]:
        try:
            start = moment(tap.config.get("start_date"))
        except ValueError:
            raise wrong_configuration("start_date: must be a date or time in ISO 8601") from None
        client = client_of(self.base_url, self._login(), oauth=self.access_token is None)
        found = dict(together(partial(_types, client), KINDS.values()))
        unread: dict[str, list[str]] = {}
        for kind, each in found.items():
            if isinstance(each, Exception):
                unread.setdefault(str(each), []).append(f"hubspot_{kind.name}")
        for why, names in unread.items():
            tap.logger.warning(
                "Minimal schemas for %s, because the properties cannot be read: %s",
                ", ".join(names),
                why,
            )
        known: dict[Kind, Types] = {
            kind: known_types(kind) if isinstance(each, Exception) else each
            for kind, each in found.items()
        }
        settings = ObjectSettings(
            start, timedelta(hours=self.associations_every_h), caster(known[KINDS["line_items"]])
        )
        objects = [
            Objects(tap, client, kind, types, settings=settings) for kind, types in known.items()
        ]
        for stream, kind in zip(objects, known, strict=True):
            stream.undescribed = _unknown(found, kind)
        lists = (Forms(tap, client), Pipelines(tap, client), Owners(tap, client))
        return [*objects, *lists, FormSubmissions(tap, client, start=start)]

    def check(self, tap: Tap) -> Iterator[tuple[str, str]]:
        """Ask each stream for one row."""
        ours = [each for each in tap.streams.values() if isinstance(each, HubSpotStream)]
        for stream, problem in together(lambda stream: stream.look(), ours):
            match problem:
                case None:
                    yield "ok", f"{stream.name} can be read ({stream.scope})"
                case ClosedError():
                    yield "error", f"hubspot: {problem}"
                    return
                case MissingScopeError():
                    yield "warning", f"{stream.name} will be left out: {problem}"
                case FatalAPIError() | RetriableAPIError():
                    yield "error", f"{stream.name} cannot be read: {problem}"
                case _:
                    raise problem

    def _login(self) -> Login:
        if self.access_token is not None:
            return bearer(self.access_token.get_secret_value())
        given = {"grant_type": "refresh_token", "client_id": str(self.client_id)}
        client_secret, refresh_token = self.client_secret, self.refresh_token
        assert client_secret is not None
        assert refresh_token is not None
        return OAuth(
            f"{self.base_url.rstrip('/')}/oauth/v1/token",
            lambda token: {
                **given,
                "client_secret": client_secret.get_secret_value(),
                "refresh_token": str(token),
            },
            refresh_token=refresh_token.get_secret_value(),
        )


def _unknown(found: Mapping[Kind, Types | Exception], kind: Kind) -> Exception | None:
    """Why the properties of these objects, or of the lines inside, are not known this time.

    Where the login may never see them, the known ones are read all the same.
    """
    kinds = [kind, KINDS["line_items"]] if kind.name == "deals" else [kind]
    problems = [found[each] for each in kinds]
    return next(
        (p for p in problems if isinstance(p, Exception) and not isinstance(p, NEVER)), None
    )


def _types(client: Client, kind: Kind) -> Types:
    """The properties of the account's objects, and their types."""
    answer = client.get(f"/crm/v3/properties/{kind.name}")
    return defined_types(answer.get("results") or ())
