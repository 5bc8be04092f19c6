"""How HubSpot is asked: its two limits, what its refusals mean, and which scope is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import requests
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.answers import body_of, judge_status, retry_after_s
from tap_journeys.sources.base import ApiStream
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import ClosedError, MissingScopeError, TryAgainError
from tap_journeys.sources.login import Login
from tap_journeys.sources.pace import Bucket

if TYPE_CHECKING:
    from singer_sdk import Tap

Row = dict[str, Any]

WINDOW_S = 10.0
REQUESTS = 190  # in a window, of a private app; answers tell the account's own number
REQUESTS_OAUTH = 110
SEARCHES = 5  # in a second, for all apps of the account; no answer tells it
SECOND_S = 1.0
ROLLING = 0.2  # share of a window after which that share of its requests may be sent again
SCOPES = {  # from the published descriptions of the API
    "contacts": "crm.objects.contacts.read",
    "companies": "crm.objects.companies.read",
    "deals": "crm.objects.deals.read",
    "line_items": "crm.objects.line_items.read",
    "products": "crm.objects.products.read",
    "tickets": "tickets",
    "calls": "crm.objects.contacts.read",
    "meetings": "crm.objects.contacts.read",
    "notes": "crm.objects.contacts.read",
    "tasks": "crm.objects.contacts.read",
    "emails": "sales-email-read",
    "feedback_submissions": "crm.objects.feedback_submissions.read",
    "forms": "forms",
    "owners": "crm.objects.owners.read",
}
HARMLESS = {"OBJECT_NOT_FOUND"}  # of a row in a 207: it is gone, or has no associations


class RefusedError(FatalAPIError):
    """HubSpot does not take this request; a smaller one may be taken."""


def buckets(*, oauth: bool) -> dict[str, Bucket]:
    """The documented limits."""
    return {
        "requests": Bucket(REQUESTS_OAUTH if oauth else REQUESTS, WINDOW_S),
        "search": Bucket(SEARCHES, 1.0),
    }


def client_of(base_url: str, login: Login, *, oauth: bool) -> Client:
    """The way to one account."""
    limits = buckets(oauth=oauth)

    def observe(response: requests.Response, bucket: Bucket | None) -> None:
        """Keep the limit that the account's plan gives; searches have their own."""
        headers = response.headers
        most = headers.get("X-HubSpot-RateLimit-Max", "")
        window_ms = headers.get("X-HubSpot-RateLimit-Interval-Milliseconds", "")
        if bucket is limits["requests"] and most.isdigit() and window_ms.isdigit():
            bucket.resize(int(most), int(window_ms) / 1000)

    return Client(base_url, login=login, buckets=limits, judge=judge, observe=observe)


def judge(response: requests.Response) -> Exception | None:
    """What an answer means."""
    status = response.status_code
    if status == 200:
        return None
    said = body_of(response)
    said = said if isinstance(said, dict) else {}
    if status == 207:
        return _judge_rows(said.get("errors"))
    if status == 429:
        return _judge_limit(response, said)
    if status == 403 and said.get("category") == "MISSING_SCOPES":
        return MissingScopeError(_scope(said, response.url))
    if status in (400, 413, 414):
        return RefusedError(f"HTTP {status}{_word(said.get('category'))}")
    if status == 530:  # by the edge, for a token that is none
        return TryAgainError("HTTP 530; if it stays, `access_token` is no token of HubSpot")
    if status in (423, 477) or 520 <= status < 530:  # locked, moving to another data centre
        return TryAgainError(f"HTTP {status}", retry_after_s(response.headers))
    return judge_status(response)


def _judge_limit(response: requests.Response, said: Mapping[str, Any]) -> Exception:
    policy = said.get("policyName")
    if policy == "DAILY" or (policy is None and "daily" in str(said.get("message")).lower()):
        return ClosedError(
            "HubSpot's daily limit is reached; run again after midnight of the account's time zone"
        )
    wait_s = retry_after_s(response.headers)
    if wait_s is None:
        wait_s = SECOND_S if policy == "SECONDLY" else ROLLING * WINDOW_S
    return TryAgainError(f"HTTP 429{_word(policy)}", wait_s, limited=True)


def _judge_rows(errors: object) -> Exception | None:
    """A batch whose rows were not all found is an answer; other errors of rows are not."""
    for error in errors if isinstance(errors, list) else ():
        category = error.get("category") if isinstance(error, dict) else None
        if category not in HARMLESS:
            return TryAgainError(f"HTTP 207{_word(category)}")
    return None


def _word(value: object) -> str:
    """One of HubSpot's own constants; never free text, which may hold what was asked for."""
    known = isinstance(value, str) and re.fullmatch("[A-Z_]{1,40}", value)
    return f" {value}" if known else ""


def _scope(said: Mapping[str, Any], url: str) -> str:
    """What to grant: as the answer says, else what is documented for the address."""
    named: list[str] = []
    errors = said.get("errors")
    for part in (said, *(errors if isinstance(errors, list) else ())):
        context = part.get("context") if isinstance(part, dict) else None
        for key, values in (context or {}).items():
            if "scope" in key.lower() and isinstance(values, list):
                named += [each for each in values if re.fullmatch(r"[\w.-]+", str(each))]
    if named:
        return " or ".join(dict.fromkeys(named))
    parts = [part for part in re.split(r"[/?]", url) if part in SCOPES]
    return SCOPES[parts[-1]] if parts else "that HubSpot's documentation names for it"


def next_of(answer: Mapping[str, Any]) -> str | None:
    """The token of the next page; None: it was the last one."""
    following = (answer.get("paging") or {}).get("next") or {}
    return following.get("after")


class HubSpotStream(ApiStream):
    """A stream of an account."""

    scope = ""  # what reading it needs

    def __init__(
        self, tap: Tap, client: Client, *, schema: Row | None = None, name: str | None = None
    ) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.client = client

    def look(self) -> None:
        """Ask for one row; raises what reading would raise."""
        raise NotImplementedError  # pragma: no cover

    def listed(self, address: str, **params: Any) -> Iterator[list[Row]]:
        """The pages of a list."""
        after: str | None = ""
        while after is not None:
            answer = self.client.get(address, {**params, "after": after} if after else params)
            yield answer.get("results") or []
            following = next_of(answer)
            if following is not None and following == after:
                raise FatalAPIError("the next page is the same page again")
            after = following
