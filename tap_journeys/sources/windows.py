"""Moments and windows of time: what incremental reading is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from singer_sdk.exceptions import FatalAPIError

Token = TypeVar("Token")
MS_FROM = 10**11  # as seconds it would be the year 5138, as milliseconds it is 1973
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """From ``since`` on, before ``until``; both UTC."""

    since: datetime
    until: datetime

    def halves(self) -> tuple[Window, Window]:
        """The same time in two, for a vendor that cannot answer it at once."""
        middle = self.since + (self.until - self.since) / 2
        return Window(self.since, middle), Window(middle, self.until)


def moment(value: str | int | float | None) -> datetime | None:
    """The moment that a vendor wrote: ISO 8601 (UTC where it names no zone), or epoch seconds or
    milliseconds; None for nothing.

    Raises ``ValueError`` for other text.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    number = int(value)
    return EPOCH + (
        timedelta(milliseconds=number) if abs(number) >= 10**11 else timedelta(0, number)
    )


def written(at: datetime) -> str:
    """A moment as bookmarks hold it: UTC, always with microseconds, so that text sorts as time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def windows(since: datetime, until: datetime, length: timedelta) -> Iterator[Window]:
    """The time between two moments in pieces; none if ``until`` is not later."""
    while since < until:
        end = min(since + length, until)
        yield Window(since, end)
        since = end


def follow(first: Token, ask: Callable[[Token], tuple[Any, Token | None]]) -> Iterator[Any]:
    """The answers from the first token to the last, whatever pages are empty on the way.

    Raises the SDK's ``FatalAPIError`` when the vendor sends the token that was just used: it would
    go on for ever.
    """
    token: Token | None = first
    while token is not None:
        answer, following = ask(token)
        yield answer
        if following is not None and following == token:
            raise FatalAPIError("the vendor's next page is the same page again")
        token = following
