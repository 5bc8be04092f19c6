"""How long one request is worth another attempt, and a vendor any."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from tenacity import RetryCallState, wait_random_exponential

from tap_journeys.sources.errors import (
    BROKEN,
    ClosedError,
    LoginExpiredError,
    TryAgainError,
    UnreachableError,
)
from tap_journeys.sources.login import Login
from tap_journeys.sources.pace import Bucket

FAULTS = 8  # times that one request may fail for other reasons than its rate
RENEWALS = 5  # tokens that may be refused to one request though nobody could use them yet
LIMITED_WAIT_S = 10.0  # after a 429 that does not say how long
LONGEST_WAIT_S = 900  # a vendor that asks for more ends the run; the next one goes on
MOST_WAITING_S = 7200  # for its turn, in all; a vendor that never lets us through ends the stream

logger = logging.getLogger("tap-journeys.client")


class Way(Protocol):
    """What is shared by all requests to one vendor."""

    login: Login
    answers: int  # of the vendor so far, of any kind

    def has_accepted(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with this login was ever answered."""

    def close_with(self, error: ClosedError) -> None:
        """Let no further request through."""


class Patience:
    """Whether and when one request is worth another attempt."""

    def __init__(self, client: Way, bucket: Bucket | None) -> None:
        self._client, self._bucket = client, bucket
        self._faults = 0
        self._unreached = 0  # how many of them never got as far as the vendor,
        self._answers = client.answers  # … since it last answered to anybody
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
        if isinstance(error, UnreachableError):
            self._note_unreachable(error)
        self._faults += 1
        logger.debug("%s, fault %s of %s", type(error).__name__, self._faults, FAULTS)
        return self._faults < FAULTS

    def _note_unreachable(self, error: UnreachableError) -> None:
        """Give up on the vendor for everybody, once it was silent for as long as for one."""
        answers = self._client.answers
        self._unreached = self._unreached + 1 if answers == self._answers else 1
        self._answers = answers
        if self._unreached >= FAULTS:
            self._client.close_with(
                ClosedError(f"{error}, {FAULTS} times; see to `base_url` and the network")
            )

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
