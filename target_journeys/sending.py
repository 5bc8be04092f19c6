"""What a batch of rows comes to at its destination: one verdict per row, never assumed.

It is called from threads and touches no store. A request that is refused is halved until the bad
row stands alone, unless it is the destination that is set up badly: then row after row is refused
alone, none is taken, and the rest waits. What an answer does not account for is not taken for sent.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from typing import TypeVar

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from target_journeys.destinations.answers import (
    ExpiredError,
    LockedOutError,
    NotThereError,
    PauseError,
    RefusedError,
    UnavailableError,
    check,
    check_login,
)
from target_journeys.destinations.base import Delivery, Destination, Verdict
from target_journeys.pace import Pace, rates_of

T = TypeVar("T")
Exchange = Generator[requests.Request, requests.Response, T]
Judge = Callable[[requests.Response, datetime], None]
IN_VAIN = 10  # rows that are refused alone, in the same way, before the settings are suspected
TIMEOUT_S = 10  # to connect, and between two bytes of the answer
UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError, msgspec.MsgspecError)
# It writes addresses at DEBUG, and an address may hold a person's key or a token.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

Trouble = UnavailableError | PauseError | LockedOutError


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the rows of one batch, and what kept the rest of them back."""

    verdicts: list[Verdict]
    trouble: Trouble | None = None


class Sender:
    """Sends what one destination describes, as fast as it allows."""

    def __init__(self, destination: Destination, now: Callable[[], datetime]) -> None:
        self.destination = destination
        self._now = now
        self._takes = False  # whether it has taken any row in this run
        self._refused: Counter[int] = Counter()  # status → rows that were refused alone
        self._pace = Pace(rates_of(destination))
        self._login = Lock()
        self._session = destination  # with what the last login gave
        self._ready = False  # whether it holds
        self._http = requests.Session()
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._http.mount(scheme, HTTPAdapter(pool_maxsize=destination.width))

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def tell(self, deliveries: Sequence[Delivery]) -> Told:
        """Send these rows."""
        try:
            verdicts = self._all_of(self.follow(lambda each: each.steps(deliveries)), deliveries)
        except RefusedError as error:
            if len(deliveries) > 1:
                return self._halves(deliveries)
            return Told([Verdict("refused", str(error))], self._suspicion(error))
        except (UnavailableError, PauseError, LockedOutError) as error:
            return self._waiting(deliveries, error)
        if any(verdict.status in ("sent", "accepted") for verdict in verdicts):
            self._takes = True
        return Told([self._known(*each) for each in zip(verdicts, deliveries, strict=True)])

    def ask(self, job: str, deliveries: Sequence[Delivery]) -> Told:
        """Ask what became of rows that were accepted."""
        try:
            found = self.follow(lambda each: each.poll(job, deliveries))
            verdicts = self._all_of(found, deliveries)
        except (RefusedError, NotThereError) as error:  # forgotten, so its rows are told again
            verdicts = [Verdict("unknown", str(error))] * len(deliveries)
        except (UnavailableError, PauseError, LockedOutError) as error:
            return Told([Verdict("accepted", None, job)] * len(deliveries), error)
        return Told([self._known(*each) for each in zip(verdicts, deliveries, strict=True)])

    def _halves(self, deliveries: Sequence[Delivery]) -> Told:
        """Every other row, then the others: rows that are alike stand near each other."""
        first = self.tell(deliveries[::2])
        if first.trouble is None:
            second = self.tell(deliveries[1::2])
        else:
            second = Told([Verdict("waiting")] * (len(deliveries) // 2), first.trouble)
        verdicts = [Verdict("waiting")] * len(deliveries)
        verdicts[::2], verdicts[1::2] = first.verdicts, second.verdicts
        return Told(verdicts, second.trouble)

    def _suspicion(self, error: RefusedError) -> LockedOutError | None:
        """That no row would be taken as the destination is set up: too many were refused alone."""
        if self._takes or error.status is None:
            return None
        self._refused[error.status] += 1
        if self._refused[error.status] < IN_VAIN:
            return None
        return LockedOutError(
            f"HTTP {error.status} for each of {IN_VAIN} rows that were sent alone, and none was "
            "taken; `journeys refused` shows what it said. Correct the settings of this "
            "destination, then run `journeys refused retry` and `journeys deliver`"
        )

    def _waiting(self, deliveries: Sequence[Delivery], error: Trouble) -> Told:
        doubt = isinstance(error, UnavailableError) and error.in_doubt
        verdict = Verdict("unknown" if doubt else "waiting", str(error))
        return Told([self._known(verdict, each) for each in deliveries], error)

    def _known(self, verdict: Verdict, delivery: Delivery) -> Verdict:
        """Nothing is unknown where a repeat does no harm."""
        if verdict.status == "unknown" and self.destination.repeatable(delivery.kind):
            return Verdict("waiting", verdict.answer)
        return verdict

    @staticmethod
    def _all_of(verdicts: list[Verdict], deliveries: Sequence[Delivery]) -> list[Verdict]:
        if len(verdicts) != len(deliveries):
            message = "the answer does not account for every row"
            raise UnavailableError(message, in_doubt=True)
        return verdicts

    def follow(self, steps: Callable[[Destination], Exchange[T]]) -> T:
        """Send every request of these steps; what they come to in the end.

        When a session ends meanwhile, they begin again in another one. Raises one of the errors of
        ``answers``.
        """
        signed_in = self._signed_in()
        try:
            return self._follow(steps(signed_in))
        except ExpiredError:
            with self._login:
                if self._session is signed_in:  # no other thread was faster
                    self._ready = False
        try:
            return self._follow(steps(self._signed_in()))
        except ExpiredError as error:
            raise LockedOutError(f"{error}; renew the credentials of this destination") from None

    def _signed_in(self) -> Destination:
        """The destination in its session, which begins here unless there is one."""
        with self._login:
            if not self._ready:
                request = self._session.login()
                if request is not None:
                    answer = self._exchange(request, check_login)
                    try:
                        self._session = self._session.signed_in(answer)
                    except UNREADABLE:
                        message = "the answer to the login cannot be read"
                        raise UnavailableError(message, in_doubt=False) from None
                self._ready = True
            return self._session

    def _follow(self, steps: Exchange[T]) -> T:
        response = None
        while True:
            try:
                request = next(steps) if response is None else steps.send(response)
            except StopIteration as end:
                result: T = end.value
                return result
            except UNREADABLE:
                if response is None:
                    raise
                raise UnavailableError("the answer cannot be read", in_doubt=True) from None
            response = self._exchange(request, self.destination.check)

    def _exchange(self, request: requests.Request, judge: Judge) -> requests.Response:
        prepared = self._http.prepare_request(request)
        longest = self.destination.max_bytes
        if longest is not None and len(prepared.body or b"") > longest:
            raise RefusedError(f"longer than the {longest:,} bytes that one request may have")
        self._pace.wait()
        try:
            response = self._http.send(prepared, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            message = type(error).__name__
            raise UnavailableError(message, in_doubt=not _unsent(error)) from None
        try:
            judge(response, self._now())
        except UNREADABLE:  # not in the vendor's own words, but in those of something before it
            check(response, self._now(), names_row=self.destination.names_row)
        return response


def _unsent(error: requests.RequestException) -> bool:
    """Whether the request surely never left."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    inner = error.args[0] if error.args else None
    return isinstance(getattr(inner, "reason", inner), NewConnectionError)
