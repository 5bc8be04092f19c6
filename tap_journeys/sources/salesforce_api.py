"""Salesforce's data API: its errors, and the requests that read an organisation.

Oddities: an error is a list of objects, an edge page HTML or nothing; the day's requests are
counted in a header; there is no rate, but ten cursors and 25 long requests are open at most.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import requests
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.answers import body_of, judge_status, retry_after_s
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import ClosedError, LoginExpiredError, NotThereError, TryAgainError
from tap_journeys.sources.login import Login
from tap_journeys.sources.pace import Bucket
from tap_journeys.sources.salesforce_fields import Field, described

AT_ONCE = 10  # requests; 25 that take long may run
CURSORS = 8  # of the ten that may be open; wide objects need a second one at times
PAGE_SIZE = {"Sforce-Query-Options": "batchSize=2000"}  # rows; the most that one answer holds
LOST_CURSOR = "INVALID_QUERY_LOCATOR"
TOO_MUCH = {"QUERY_TIMEOUT", "OPERATION_TOO_LARGE"}  # what a narrower query may not meet
CONCURRENT_WAIT_S = 5.0
EDGE = {406, 420}  # a page of the edge while an instance starts
USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")
ADVICE = {
    "MALFORMED_QUERY": "the object cannot be queried like others; leave its stream out",
    "OPERATION_TOO_LARGE": "give the user `View All Data`",
    "QUERY_TIMEOUT": "set `bulk` to `auto`",
    "TXN_SECURITY_METERING_ERROR": "exempt the user from the transaction security policy",
    "INSUFFICIENT_ACCESS": "give the user read access",
    "INVALID_FIELD": "a field was taken away while it was read; run again",
}
NO_API = {"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED"}


class SalesforceError(FatalAPIError):
    """An answer with an error code."""

    def __init__(self, status: int, code: str) -> None:
        advice = f"; {ADVICE[code]}" if code in ADVICE else ""
        super().__init__(f"HTTP {status} {code}{advice}")
        self.code = code


def error_of(response: requests.Response) -> tuple[str, str]:
    """Code and message of an answer that is an error; empty where it says nothing."""
    if response.ok and b'"errorCode"' not in response.content[:500]:
        return "", ""
    body = body_of(response)
    first = body[0] if isinstance(body, list) and body else {}
    found = first if isinstance(first, dict) else {}
    return str(found.get("errorCode") or ""), str(found.get("message") or "")


def _is_cut_short(response: requests.Response) -> bool:
    is_json = "json" in response.headers.get("Content-Type", "")
    return is_json and bool(response.content) and body_of(response) is None


def judge(response: requests.Response) -> Exception | None:
    """What an answer means: by its error code, else by its status."""
    code, message = error_of(response)
    status = response.status_code
    if code == "INVALID_SESSION_ID":
        return LoginExpiredError(f"HTTP {status} {code}")
    if code == "REQUEST_LIMIT_EXCEEDED":
        if "concurrent" in message.lower():  # requests that run now, not those of the day
            return TryAgainError(f"HTTP {status} {code}", CONCURRENT_WAIT_S, limited=True)
        return ClosedError(
            "the organisation's API requests of the day are used up; run again later"
        )
    if code in NO_API:
        return ClosedError(f"HTTP {status} {code}: enable the API for the user and its edition")
    if status in EDGE:
        return TryAgainError(f"HTTP {status}", retry_after_s(response.headers))
    if 400 <= status < 500 and _is_cut_short(response):
        return TryAgainError(f"HTTP {status}, cut short")
    if code.isidentifier() and status < 500 and status not in {401, 404, 409, 429}:
        return SalesforceError(status, code)
    return judge_status(response)


class Organisation:
    """One organisation as its streams read it, shared by their threads."""

    def __init__(
        self, base_url: Callable[[], str], login: Login, *, version: str, max_share: float
    ) -> None:
        self.root = f"services/data/v{version}"
        self.client = Client(base_url, login=login, judge=judge, observe=self._observe)
        self.has_bulk_jobs = True  # the day's jobs are not used up
        self._max_share = max_share
        self._room = threading.Semaphore(AT_ONCE)
        self._cursors = threading.Semaphore(CURSORS)
        self._fields: dict[str, tuple[Field, ...]] = {}

    def get(self, path: str, **request: Any) -> Any:
        """The JSON of a path below the version."""
        with self._room:
            return self.client.json("GET", f"{self.root}/{path}", **request)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a POST."""
        with self._room:
            return self.client.post(f"{self.root}/{path}", body)

    def delete(self, path: str) -> None:
        """Take away what was made."""
        with self._room:
            self.client.fetch("DELETE", f"{self.root}/{path}")

    def text(self, path: str, check: Callable[[requests.Response], None], **request: Any) -> Any:
        """A whole answer that is no JSON; ``check`` raises where it was cut short."""

        def checked(response: requests.Response) -> requests.Response:
            check(response)
            return response

        with self._room:
            return self.client.ask("GET", f"{self.root}/{path}", checked, **request)

    def fields(self, name: str) -> tuple[Field, ...] | None:
        """The fields of an object that this user sees; None if it is not there for him."""
        known = self._fields.get(name)  # others may forget it meanwhile
        if known is None:
            try:
                known = described(self.get(f"sobjects/{name}/describe"))
            except NotThereError:
                return None
            self._fields[name] = known
        return known

    def forget_fields(self) -> None:
        """Describe anew: a field has vanished."""
        self._fields.clear()

    def count(self, soql: str) -> float:
        """How many rows a query finds; infinite where they are too many to be counted in time."""
        try:
            return float(self.get("queryAll", params={"q": soql})["totalSize"])
        except SalesforceError as error:
            if error.code in TOO_MUCH:
                return math.inf
            raise

    def pages(self, soql: str, *, beside: bool = False) -> Iterator[list[dict[str, Any]]]:
        """The rows that a query finds, as many as one answer holds.

        ``beside``: while a page of another query is held, whose cursor this one may not wait for.
        Raises SalesforceError `INVALID_QUERY_LOCATOR` where the rest has to be asked for anew.
        """
        # to the end: it is open until the last page is read
        with nullcontext() if beside else self._cursors:
            answer = self.get("queryAll", params={"q": soql}, headers=PAGE_SIZE)
            seen: set[str] = set()
            yield answer["records"]
            while not answer["done"]:
                following = answer["nextRecordsUrl"]
                if following in seen:
                    raise FatalAPIError("the vendor's next page is the same page again")
                seen.add(following)
                with self._room:
                    answer = self.client.get(following)
                yield answer["records"]

    def now(self) -> datetime:
        """The moment up to which is read."""
        return datetime.now(UTC)

    def _observe(self, response: requests.Response, bucket: Bucket | None) -> None:
        """Stop in time: others need the organisation's requests of the day as well."""
        found = USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        if found and int(found[1]) >= int(found[2]) * self._max_share:
            self.client.close_with(
                ClosedError(
                    f"{self._max_share:.0%} of the organisation's API requests of the day are "
                    "used; raise `max_api_share` or run again later"
                )
            )
