"""How Google lets in, and what its answers mean: service accounts, refusals, quotas."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.answers import Judge, body_of, judge_status, retry_after_s
from tap_journeys.sources.errors import ClosedError, MissingScopeError, TryAgainError

if TYPE_CHECKING:
    import requests

TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPES = "https://www.googleapis.com/auth/"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 3600  # how long it holds at most
MISSING = "a service account needs the extra `ga4`: pip install 'product-journeys[ga4]'"

LIMITED = {"rateLimitExceeded", "userRateLimitExceeded", "jobRateLimitExceeded"}
USED_UP = {"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"}
SWITCHED_OFF = {"accessNotConfigured", "SERVICE_DISABLED"}
NO_SCOPE = {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
LIMITED_S = 2.0  # BigQuery's limits count single seconds
CONCURRENT_S = 5.0  # until some of the reports that are being made are done
SERVER_ERRORS = 8  # of the Data API in a run; ten in an hour shut the project out


def can_sign() -> bool:
    """Whether the libraries are there that a service account needs."""
    return find_spec("jwt") is not None and find_spec("cryptography") is not None


class ServiceAccount:
    """The key of a service account, as Google's console writes it into a file.

    Raises ``ValueError``, which says what is wrong with it and holds nothing of it.
    """

    def __init__(self, key: str) -> None:
        try:
            found = json.loads(key)
        except ValueError:
            found = None
        names = ("client_email", "private_key")
        if not isinstance(found, dict) or not all(isinstance(found.get(n), str) for n in names):
            raise ValueError("is no key of a service account (JSON with client_email, private_key)")
        self._email, self._key = found["client_email"], found["private_key"]
        self.token_url = str(found.get("token_uri") or TOKEN_URL)
        self.assertion(self.token_url, "")

    def assertion(self, audience: str, scopes: str) -> str:
        """A signed request for a token."""
        import jwt

        start = int(time.time())
        claims = {"iss": self._email, "scope": scopes, "aud": audience}
        claims |= {"iat": start, "exp": start + ASSERTION_S}
        try:
            return jwt.encode(claims, self._key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):  # their text may hold the key
            raise ValueError("has a private_key that is no RSA key in PEM form") from None

    def token_request(self, audience: str, scopes: str) -> Callable[[str | None], dict[str, str]]:
        """What the login asks for tokens with."""
        return lambda _: {"grant_type": JWT_GRANT, "assertion": self.assertion(audience, scopes)}


def error_of(response: requests.Response) -> tuple[str, set[str]]:
    """The text of Google's error in lower case, and all reasons that it gives."""
    body = body_of(response)
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", set()
    told = [*(error.get("errors") or ()), *(error.get("details") or ())]
    reasons = {str(each.get("reason")) for each in told if isinstance(each, dict)}
    return str(error.get("message", "")).lower(), reasons


def judge_bigquery(scope: str, role: str) -> Judge:
    """What answers mean: the reason in the body tells a full bucket from a missing role.

    ``scope`` and ``role`` are what a login lacks that may not read.
    """

    def judge(response: requests.Response) -> Exception | None:
        status = response.status_code
        if status not in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
            return judge_status(response)
        words, reasons = error_of(response)
        short = " per second" in words or " per minute" in words
        if reasons & USED_UP and not short:
            return ClosedError("the project's quota at Google is used up; run again tomorrow")
        if reasons & (LIMITED | USED_UP) or status == HTTPStatus.TOO_MANY_REQUESTS:
            wait_s = retry_after_s(response.headers)
            return TryAgainError(
                f"HTTP {status}", LIMITED_S if wait_s is None else wait_s, limited=True
            )
        if reasons & SWITCHED_OFF:
            return FatalAPIError(f"HTTP {status}: enable this API in the project's console")
        return MissingScopeError(scope if reasons & NO_SCOPE else role)

    return judge


def judge_reports(scope: str, role: str) -> Judge:
    """The same for the Data API, whose 429 says in words which quota is empty."""
    others = judge_bigquery(scope, role)
    errors = 0

    def judge(response: requests.Response) -> Exception | None:
        nonlocal errors
        status = response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            errors += 1
            if errors >= SERVER_ERRORS:
                return ClosedError(f"HTTP {status} too often; more of it would shut us out")
        if status == HTTPStatus.BAD_REQUEST:
            return FatalAPIError(
                "HTTP 400: it does not know a dimension or metric of the report, or they do not "
                "go together; see Google's Dimensions & Metrics Explorer"
            )
        if status != HTTPStatus.TOO_MANY_REQUESTS:
            return others(response)
        words, _ = error_of(response)
        if " per day" in words:
            return ClosedError("the property's tokens of this day are used up; run again tomorrow")
        wait_s = retry_after_s(response.headers)
        if wait_s is None:
            in_a_moment = "concurrent" in words
            wait_s = CONCURRENT_S if in_a_moment else until_next_hour_s(response.headers)
        return TryAgainError("HTTP 429: a quota of the property", wait_s, limited=True)

    return judge


def until_next_hour_s(headers: Mapping[str, Any]) -> float:
    """Seconds until hourly quotas are full again, by the clock of whoever answered."""
    try:
        at = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        at = datetime.now(UTC)
    return 3600.0 - (at.minute * 60 + at.second) + 1
