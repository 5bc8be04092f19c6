"""What an answer means for every row of its request: try later, wait, log in, or refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec
from requests import Response

from journeys.oauth import error_code

ANSWER_LENGTH = 200  # characters of a refusal that are kept
NO_ENTRY = (401, 402, 403, 407)  # what every row would be answered, whatever it says
NO_ADDRESS = (405, 406, 415, 421, 426)  # … as the address does something else, or elsewhere
NOT_THERE = (404, 410)  # … as nothing is there; where the address names a row, only that row
LATER = (408, 425, 429)  # what asks for patience, beside every 5xx
UNTOUCHED = (425, 429, 503)  # what says that nothing was taken in
LONGEST_PAUSE = timedelta(days=1)
RESETS = ("X-RateLimit-Reset", "RateLimit-Reset", "X-Rate-Limit-Reset")
EPOCH_S, EPOCH_MS = 10**9, 10**12  # a reset above these is a moment, not a number of seconds


class UnavailableError(Exception):
    """The destination could not take the request now; it stays in the outbox."""

    def __init__(self, message: str, *, in_doubt: bool) -> None:
        super().__init__(message)
        self.in_doubt = in_doubt  # it may have taken the request and could not say so


class PauseError(Exception):
    """The destination asks for patience; that is no attempt of any row."""

    def __init__(self, message: str, wait: timedelta | None) -> None:
        super().__init__(message)
        self.wait = wait  # as long as the vendor says, if it does


class LockedOutError(Exception):
    """The destination does not know us; no other row would fare better until that is mended."""


class ExpiredError(Exception):
    """The session has ended; a login gives another."""


class NotThereError(LockedOutError):
    """There is nothing at the address: it is wrong, or a job that was asked for is forgotten."""


class RefusedError(Exception):
    """The destination said no; the same request would be refused again."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status  # of the answer; none if it was never sent


def check(response: Response, now: datetime, *, names_row: bool = False) -> None:
    """Raise what the answer means for all rows that are being sent; a 2xx means nothing yet.

    Where the address names the row, one that is not there is refused alone.
    """
    status = response.status_code
    wait = retry_after(response, now)
    if status == 429 or (status == 503 and wait is not None):
        raise PauseError(f"HTTP {status}", wait)
    if status in LATER or status >= 500:
        raise UnavailableError(f"HTTP {status}", in_doubt=status not in UNTOUCHED)
    if status in NO_ENTRY:
        raise LockedOutError(f"HTTP {status}; check the URL and credentials of this destination")
    if status in NOT_THERE and not names_row:
        raise NotThereError(f"HTTP {status}; nothing is there: check the URL of this destination")
    if status in NO_ADDRESS or status < 200 or 300 <= status < 400:
        raise LockedOutError(
            f"HTTP {status}; what is there takes no such request: check the URL of this destination"
        )
    if status >= 400:
        raise RefusedError(f"HTTP {status}: {start_of(response)}", status)


def check_login(response: Response, now: datetime) -> None:
    """Raise what the answer to a login means, in no other words of the vendor than its code."""
    try:
        check(response, now)
    except RefusedError:
        answer = {}
        with suppress(msgspec.DecodeError):
            answer = msgspec.json.decode(response.content)
        message = f"the login was answered HTTP {response.status_code} {error_code(answer)}"
        raise LockedOutError(
            f"{message.strip()}; renew the credentials of this destination"
        ) from None


def start_of(response: Response) -> str:
    """The beginning of an answer; it is kept in the store and never logged."""
    return response.content[: 4 * ANSWER_LENGTH].decode(errors="replace")[:ANSWER_LENGTH]


def retry_after(response: Response, now: datetime) -> timedelta | None:
    """How long the vendor asks to wait: seconds, a fraction, a date, or when its window ends."""
    headers = response.headers
    found = _delay(headers.get("Retry-After", ""), now)
    if found is None and response.status_code == 429:
        resets = (_delay(headers.get(name, ""), now) for name in RESETS)
        found = next((each for each in resets if each is not None), None)
    return None if found is None else min(max(found, timedelta(0)), LONGEST_PAUSE)


def _delay(value: str, now: datetime) -> timedelta | None:
    with suppress(ValueError, OverflowError):
        number = float(value)
        if number >= EPOCH_S:
            return datetime.fromtimestamp(number / (1000 if number >= EPOCH_MS else 1), UTC) - now
        return timedelta(seconds=number)
    with suppress(ValueError):
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return None
