"""Requests to one vendor: paced, logged in, repeated while that can help, and checked.

FatalAPIError (SDK)            the stream stops, its bookmark stays
├── MissingScopeError          … with a warning that names the scope
├── NotThereError              … unless the stream can do without
└── ClosedError                every stream of the source stops: no login, daily limit
RetriableAPIError (SDK)
└── TryAgainError              asked again, as late as the vendor says
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_never,
    wait_random_exponential,
)

from tap_journeys.sources.login import Fixed, Login, LoginError
from tap_journeys.sources.pace import Bucket

TIMEOUT_S = (10, 300)  # to connect, between two pieces of an answer
FAULTS = 8  # times that one request may fail for other reasons than its rate
RENEWALS = 5  # tokens that may be refused to one request though nobody could use them yet
LIMITED_WAIT_S = 10.0  # after a 429 that does not say how long
LONGEST_WAIT_S = 900  # a vendor that asks for more ends the run; the next one goes on
MOST_WAITING_S = 7200  # for its turn, in all; a vendor that never lets us through ends the stream
CONNECTIONS = 64
USER_AGENT = "tap-journeys"

Answer = TypeVar("Answer")

logger = logging.getLogger("tap-journeys.client")


class MissingScopeError(FatalAPIError):
    """The login may not read this; ``scope`` is what to grant, in the vendor's words."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the login lacks the scope {scope}; grant it and run again")
        self.scope = scope


class NotThereError(FatalAPIError):
    """The vendor knows no such thing."""


class ClosedError(FatalAPIError):
    """The vendor answers nothing more in this run."""


class TryAgainError(RetriableAPIError):
    """The same request may succeed later: after ``wait_s``, if the vendor says."""

    def __init__(self, why: str, wait_s: float | None = None, *, limited: bool = False) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        self.limited = limited  # by the vendor's rate: everybody waits, and it is no fault


class LoginExpiredError(RetriableAPIError):
    """The token was not taken; another one may be."""

    rejected: Mapping[str, str] = {}  # the headers that it was sent with


BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
Judge = Callable[[requests.Response], Exception | None]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What ``Retry-After`` asks for: seconds or a date; None where it says nothing."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (
            (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
        ).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def body_of(response: requests.Response) -> Any:
    """The JSON of an answer; None if it is none (error pages often are HTML)."""
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def judge_status(response: requests.Response) -> Exception | None:
    """What an answer means by its status alone; vendors add what they say in the body."""
    status = response.status_code
    if status < 300:
        return None
    if status == HTTPStatus.UNAUTHORIZED:
        return LoginExpiredError("HTTP 401")
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        wait_s = retry_after_s(response.headers)
        limited = status == HTTPStatus.TOO_MANY_REQUESTS or wait_s is not None
        return TryAgainError(f"HTTP {status}", wait_s, limited=limited)
    if status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT):
        return TryAgainError(f"HTTP {status}", retry_after_s(response.headers))
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NotThereError(f"HTTP {status}")
    if status < 400:
        return FatalAPIError(
            f"HTTP {status}: it redirects elsewhere; set `base_url` to that address"
        )
    return FatalAPIError(f"HTTP {status}")


class Client:
    """The way to one vendor, shared by the threads that read its streams.

    ``judge`` says what an answer means (None: take it), ``observe`` sees every answer, so that the
    pace can follow its headers. Addresses in answers are followed on the configured host only;
    where the login tells the host, ``base_url`` is asked for it after each login.
    """

    def __init__(
        self,
        base_url: str | Callable[[], str],
        *,
        login: Login | None = None,
        headers: Mapping[str, str] | None = None,
        buckets: Mapping[str, Bucket] | None = None,
        judge: Judge = judge_status,
        observe: Callable[[requests.Response, Bucket | None], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url if callable(base_url) else lambda: base_url
        self.login: Login = login or Fixed({})
        self.buckets = dict(buckets or {})
        self._headers = {"User-Agent": USER_AGENT, **(headers or {})}
        self._judge, self._observe = judge, observe
        self._sleep = sleep
        self._closed: ClosedError | None = None
        self._accepted: set[frozenset[tuple[str, str]]] = set()
        self._session = requests.Session()
        self._session.trust_env = False  # no ~/.netrc in place of the login
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=CONNECTIONS, pool_block=False)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    @property
    def base_url(self) -> str:
        """Where the vendor is."""
        return self._base_url().rstrip("/")

    def url(self, address: str) -> str:
        """Where to ask: a path below ``base_url``, or a link from an answer on the same host."""
        if not address.startswith(("http://", "https://")):
            return f"{self.base_url}/{address.lstrip('/')}"
        base, link = urlsplit(self.base_url), urlsplit(address)
        prefix = base.path.rstrip("/")
        path = link.path if link.path.startswith(prefix) else prefix + link.path
        return urlunsplit((base.scheme, base.netloc, path, link.query, ""))

    def get(
        self, address: str, params: Mapping[str, Any] | None = None, *, bucket: str = "requests"
    ) -> Any:
        """The decoded JSON of a GET."""
        return self.json("GET", address, params=params, bucket=bucket)

    def post(self, address: str, body: Any, *, bucket: str = "requests") -> Any:
        """The decoded JSON of a POST with a JSON body; only for requests that change nothing."""
        return self.json("POST", address, json=body, bucket=bucket)

    def json(self, method: str, address: str, *, bucket: str = "requests", **request: Any) -> Any:
        """The decoded JSON of any request; an answer that is cut short is asked for again."""
        return self.answer(method, address, bucket=bucket, **request)[0]

    def answer(
        self, method: str, address: str, *, bucket: str = "requests", **request: Any
    ) -> tuple[Any, requests.Response]:
        """As `json`, with the answer itself, for its headers."""

        def decode(response: requests.Response) -> tuple[Any, requests.Response]:
            try:
                return msgspec.json.decode(response.content), response
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise TryAgainError("the answer is no JSON") from None

        return self.ask(method, address, decode, bucket=bucket, **request)

    def fetch(
        self, method: str, address: str, *, bucket: str = "requests", **request: Any
    ) -> requests.Response:
        """The whole answer to any request, checked."""
        return self.ask(method, address, lambda response: response, bucket=bucket, **request)

    def ask(
        self,
        method: str,
        address: str,
        read: Callable[[requests.Response], Answer],
        *,
        bucket: str = "requests",
        **request: Any,
    ) -> Answer:
        """What ``read`` makes of the answer, asked for as often as that can help.

        ``read`` raises TryAgainError for an answer that is not whole.
        """
        shared = self.buckets.get(bucket)
        place = f"{method} /{urlsplit(address).path.lstrip('/')}"
        given = {**self._headers, **request.pop("headers", {})}

        def once() -> Answer:
            if shared is not None:
                shared.wait()
            if self._closed is not None:
                raise self._closed
            login: Mapping[str, str] = {}
            try:
                login = self.login.headers()
                response = self._session.request(
                    method,
                    self.url(address),
                    headers={**given, **login},
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                    **request,
                )
                if self._observe is not None:
                    self._observe(response, shared)
                problem = self._judge(response)
                if isinstance(problem, LoginExpiredError):
                    problem.rejected = login
                if problem is not None:
                    raise problem
                self._accepted.add(frozenset(login.items()))
                return read(response)
            except LoginError as error:
                self._closed = ClosedError(f"login: {error}")
                raise self._closed from None
            except ClosedError as error:
                self._closed = error
                raise

        patience = Patience(self, shared)
        retrying = Retrying(
            retry=retry_if_exception(patience.can_help),
            wait=patience.wait_s,
            stop=stop_never,  # `can_help` ends it
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(once)
        except BROKEN as error:  # their text holds the address with what was asked for
            raise FatalAPIError(f"{place}: {type(error).__name__}, {FAULTS} times") from None
        except ClosedError:  # one error for all requests, of which none is the place
            raise
        except (FatalAPIError, RetriableAPIError) as error:
            error.args = (f"{place}: {error}",)
            raise

    def has_accepted(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with this login was ever answered."""
        return frozenset(headers.items()) in self._accepted

    def close_with(self, error: ClosedError) -> None:
        """Let no further request through."""
        self._closed = error


class Patience:
    """Whether and when one request is worth another attempt."""

    def __init__(self, client: Client, bucket: Bucket | None) -> None:
        self._client, self._bucket = client, bucket
        self._faults = 0
        self._waited_s = 0.0
        self._renewals = 0
        self._met: list[Mapping[str, str]] = []  # logins that this request was refused with
        self._backoff = wait_random_exponential(multiplier=0.5, max=60)

    def can_help(self, error: BaseException) -> bool:
        """Whether the same request may succeed; logs in again where that is what is missing."""
        if isinstance(error, LoginExpiredError):
            if self._renewals >= RENEWALS or not self._client.login.renew(error.rejected):
                self._client.close_with(
                    ClosedError("the login is not accepted (HTTP 401); renew it in the settings")
                )
            ended = self._client.has_accepted(error.rejected) and error.rejected not in self._met
            self._renewals += not ended  # a token that worked may end, as often as it likes
            self._met.append(error.rejected)
            return True  # a closed client says why at the next attempt
        if isinstance(error, TryAgainError):
            if error.wait_s is not None and error.wait_s > LONGEST_WAIT_S:
                return False
            if error.limited:
                pause_s = LIMITED_WAIT_S if error.wait_s is None else error.wait_s
                self._waited_s += pause_s
                if self._waited_s > MOST_WAITING_S:
                    return False
                if self._bucket is not None:
                    self._bucket.pause(pause_s)
                return True
        elif not isinstance(error, BROKEN):
            return False
        self._faults += 1
        logger.debug("%s, fault %s of %s", type(error).__name__, self._faults, FAULTS)
        return self._faults < FAULTS

    def wait_s(self, state: RetryCallState) -> float:
        """Seconds to wait, where the bucket does not already make everybody wait."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, LoginExpiredError):
            return 0.0
        if isinstance(error, TryAgainError):
            if error.limited:
                return 0.0 if self._bucket else error.wait_s or LIMITED_WAIT_S
            if error.wait_s is not None:
                return error.wait_s
        return self._backoff(state)
