"""Requests to one vendor: paced, logged in, repeated while that can help, and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError
from tenacity import Retrying, retry_if_exception, stop_never

from tap_journeys.sources.answers import Judge, judge_status
from tap_journeys.sources.errors import (
    BROKEN,
    ClosedError,
    LoginExpiredError,
    TryAgainError,
    UnreachableError,
    is_unsent,
)
from tap_journeys.sources.login import Fixed, Login, LoginError
from tap_journeys.sources.pace import LOOK_S, Bucket
from tap_journeys.sources.patience import FAULTS, Patience

TIMEOUT_S = (10, 300)  # to connect, between two pieces of an answer
CONNECTIONS = 64
USER_AGENT = "tap-journeys"

Answer = TypeVar("Answer")


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
        self.answers = 0  # of the vendor so far, of any kind
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
            sent_at = shared.wait(lambda: self.is_closed) if shared else 0.0
            try:
                if self._closed is not None:
                    raise self._closed
                login = self._logged_in()
                response = self._send(method, address, headers={**given, **login}, **request)
                if self._observe is not None:
                    self._observe(response, shared)
                problem = self._judge(response)
                if isinstance(problem, LoginExpiredError):
                    problem.rejected = login
                if problem is not None:
                    raise problem
                self._accepted.add(frozenset(login.items()))
                return read(response)
            except UnreachableError:
                if shared is not None:
                    shared.give_back(sent_at)
                raise
            except ClosedError as error:
                self._closed = error
                raise

        patience = Patience(self, shared)
        retrying = Retrying(
            retry=retry_if_exception(patience.can_help),
            wait=patience.wait_s,
            stop=stop_never,  # `can_help` ends it
            sleep=self._rest,
            reraise=True,
        )
        try:
            return retrying(once)
        except UnreachableError as error:
            if self._closed is None:
                raise FatalAPIError(f"{place}: {error}, {FAULTS} times") from None
            raise self._closed from None
        except BROKEN as error:  # their text holds the address with what was asked for
            raise FatalAPIError(f"{place}: {type(error).__name__}, {FAULTS} times") from None
        except ClosedError:  # one error for all requests, of which none is the place
            raise
        except (FatalAPIError, RetriableAPIError) as error:
            error.args = (f"{place}: {error}",)
            raise

    def _logged_in(self) -> Mapping[str, str]:
        try:
            return self.login.headers()
        except LoginError as error:
            raise ClosedError(f"login: {error}") from None
        except requests.ConnectionError as error:  # its text names no address
            raise UnreachableError(str(error)) from None

    def _send(self, method: str, address: str, **request: Any) -> requests.Response:
        """One request and its answer, whatever that is."""
        try:
            response = self._session.request(
                method, self.url(address), timeout=TIMEOUT_S, allow_redirects=False, **request
            )
        except requests.ConnectionError as error:
            if not is_unsent(error):
                raise
            raise UnreachableError(f"no connection ({type(error).__name__})") from None
        except BROKEN:
            raise
        except (requests.RequestException, UnicodeError) as error:  # it quotes address and login
            raise ClosedError(
                f"no request can be made ({type(error).__name__}); see to `base_url` and the login"
            ) from None
        self.answers += 1
        return response

    def _rest(self, seconds: float) -> None:
        """Wait, but no longer than there is something to wait for."""
        while seconds > 0 and not self.is_closed:
            self._sleep(min(seconds, LOOK_S))
            seconds -= LOOK_S

    @property
    def is_closed(self) -> bool:
        """Whether no further request is let through."""
        return self._closed is not None

    def has_accepted(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with this login was ever answered."""
        return frozenset(headers.items()) in self._accepted

    def close_with(self, error: ClosedError) -> None:
        """Let no further request through."""
        self._closed = error
