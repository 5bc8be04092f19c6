"""How a Salesforce organisation is asked by those who write: login, address, errors.

Oddities: an error is a list of objects, an edge page HTML or nothing; what is wrong with a whole
request is wrong with the organisation, as each row has its own outcome; the day's requests are a
rolling window, so nobody says when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import quote

import msgspec
from pydantic import Field, SecretStr, model_validator
from requests import Request, Response

from journeys.oauth import token_form
from target_journeys.destinations.answers import (
    ExpiredError,
    LockedOutError,
    PauseError,
    UnavailableError,
)
from target_journeys.destinations.base import Destination, Url, Verdict, checked_url, decoded

LOGIN_URL = "https://login.salesforce.com"
TOKEN_PATH = "/services/oauth2/token"
QUERY_LENGTH = 12_000  # characters, escaped; address and headers may have 16,384 together
DAY_ROLLS = timedelta(hours=1)  # the day's requests come free bit by bit
TOO_MANY_AT_ONCE = timedelta(seconds=5)
USED_UP = {"LIMIT_EXCEEDED"}  # no more jobs for today
UNSAID = "NO_OUTCOME"  # in place of a code, where the answer has none
LATER = {UNSAID, "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG"}
WORDS = 200  # characters of an error that are kept
EDGE = {406, 420}  # a page of the edge while an instance starts
ORGANISATION = {403, 404, 405}  # what is said of the organisation, never of a row


class Organisation(Destination):
    """What every request to a Salesforce organisation needs."""

    access_token: SecretStr | None = Field(
        None, description="A session of an API user; needs `instance_url`. For trying things out."
    )
    client_id: str | None = Field(None, description="Consumer key of the connected app.")
    client_secret: SecretStr | None = Field(
        None,
        description="Consumer secret of the connected app. Without a refresh token it logs in by "
        "itself (client credentials), at `login_url`.",
    )
    refresh_token: SecretStr | None = Field(
        None,
        description="OAuth refresh token that the connected app was given; one that is not renewed "
        "with every login.",
    )
    login_url: Url | None = Field(
        None,
        description="Where to log in: `https://test.salesforce.com` for a sandbox, the address of "
        "My Domain for client credentials.",
    )
    instance_url: Url | None = Field(
        None, description="The organisation's address, where no login tells it."
    )
    base_url: Url | None = Field(
        None, description="Another address for all requests: a proxy, a simulator."
    )
    api_version: str = Field("61.0", pattern=r"^\d+\.0$", description="Version of the API.")

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.access_token is not None:
            if not (self.instance_url or self.base_url):
                raise ValueError("access_token needs instance_url, the organisation's address")
        elif self.client_id is None:
            raise ValueError("needs access_token and instance_url, or client_id and its login")
        elif self.refresh_token is None:
            if self.client_secret is None:
                raise ValueError("client_id needs refresh_token or client_secret")
            if not (self.login_url or self.instance_url or self.base_url):
                raise ValueError("client credentials need login_url, the address of My Domain")
        return self

    def login(self) -> Request | None:
        if self.client_id is None:
            return None
        host = self.login_url or self.base_url or self.instance_url or LOGIN_URL
        form = token_form(
            self.client_id, revealed(self.client_secret), revealed(self.refresh_token)
        )
        return Request("POST", f"{host.rstrip('/')}{TOKEN_PATH}", data=form)

    def signed_in(self, answer: Response) -> Self:
        said = decoded(answer)
        session: dict[str, Any] = {"access_token": SecretStr(said["access_token"])}
        if where := said.get("instance_url"):
            session["instance_url"] = checked_url(where)
        if renewed := said.get("refresh_token"):
            session["refresh_token"] = SecretStr(renewed)
        return self.model_copy(update=session)

    def check(self, response: Response, now: datetime) -> None:
        status = response.status_code
        code, message = error_of(response)
        if status == 401 or code == "INVALID_SESSION_ID":
            raise ExpiredError(f"HTTP {status} {code}".strip())
        if code == "REQUEST_LIMIT_EXCEEDED":
            if "concurrent" in message.lower():  # requests that run now, not those of the day
                raise PauseError("too many requests at a time", TOO_MANY_AT_ONCE)
            raise PauseError("the organisation's API requests of the day are used up", DAY_ROLLS)
        if code in USED_UP:
            raise PauseError(f"HTTP {status} {code}", DAY_ROLLS)
        if status in EDGE:
            raise UnavailableError(f"HTTP {status}", in_doubt=False)
        if (status in ORGANISATION or (status == 400 and code)) and not is_gone_job(response):
            said = f"HTTP {status} {code}".strip()
            raise LockedOutError(f"{said}; `journeys check` says what the organisation lacks")
        super().check(response, now)

    def _ask(self, method: str, path: str, **more: Any) -> Request:
        root = self.base_url or self.instance_url or self.login_url or LOGIN_URL
        headers = {"User-Agent": "target-journeys", **more.pop("headers", {})}
        if self.access_token is not None:
            headers["Authorization"] = f"Bearer {self.access_token.get_secret_value()}"
        url = f"{root.rstrip('/')}/services/data/v{self.api_version}/{path}"
        return Request(method, url, headers=headers, **more)


def revealed(secret: SecretStr | None) -> str | None:
    """A secret, for the request that logs in."""
    return None if secret is None else secret.get_secret_value()


def quoted(text: str) -> str:
    """A text within a query."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def queries(keys: Iterable[str]) -> Iterable[list[str]]:
    """The keys in groups that are short enough for one query each."""
    group: list[str] = []
    room = QUERY_LENGTH
    for key in keys:
        length = len(quote(quoted(key))) + 3  # the comma, escaped
        if group and length > room:
            yield group
            group, room = [], QUERY_LENGTH
        group.append(key)
        room -= length
    if group:
        yield group


def is_gone_job(response: Response) -> bool:
    """Whether it says that a job is forgotten."""
    return response.status_code == 404 and "/jobs/ingest/" in str(response.url)


def error_of(response: Response) -> tuple[str, str]:
    """Code and message of an answer that is an error as a whole; empty where it says nothing."""
    if response.status_code < 400:
        return "", ""
    try:
        first = msgspec.json.decode(response.content)[0]
        code, message = str(first["errorCode"]), str(first.get("message") or "")
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        return "", ""
    return (code, message) if code.isidentifier() else ("", "")


class Error(NamedTuple):
    """What is wrong with a row; no code if nothing is."""

    code: str = ""
    words: str = ""
    fields: Sequence[str] = ()


def errors_in(answer: Sequence[Mapping[str, Any]], rows: int) -> list[Error]:
    """What is wrong with each row, by its place in the answer."""
    found = [error_in(row) for row in answer[:rows]]
    return found + [Error(UNSAID, "the answer ends before it")] * (rows - len(found))


def error_in(row: Mapping[str, Any]) -> Error:
    """What is wrong with one row."""
    if row.get("success") is True:
        return Error()
    first = (row.get("errors") or [{}])[0]
    code, words = str(first.get("statusCode") or UNSAID), str(first.get("message") or "")
    return Error(code, words, first.get("fields") or ())


def verdict_of(error: Error) -> Verdict:
    """What becomes of a row with this error."""
    if not error.code:
        return Verdict("sent")
    status: Literal["waiting", "refused"] = "waiting" if error.code in LATER else "refused"
    return Verdict(status, f"{error.code}: {error.words}"[:WORDS])
