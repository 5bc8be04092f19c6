"""What a vendor's answers mean by their status, headers and body."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import msgspec
import requests
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.errors import LoginExpiredError, NotThereError, TryAgainError

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
