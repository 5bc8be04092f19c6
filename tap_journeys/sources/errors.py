"""Why a vendor gave no answer, and who it concerns.

FatalAPIError (SDK)            the stream stops, its bookmark stays
├── MissingScopeError          … with a warning that names the scope
├── NotThereError              … unless the stream can do without
└── ClosedError                every stream of the source stops: no login, no way, daily limit
RetriableAPIError (SDK)
└── TryAgainError              asked again, as late as the vendor says
"""

from __future__ import annotations

from collections.abc import Mapping

import requests
import urllib3
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
# What requests wraps where a request could not be handed over: refused, no such name, no TLS.
UNSENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.SSLError,
)


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


class UnreachableError(requests.ConnectionError):
    """The request did not get as far as the vendor, who knows nothing of it."""


def is_unsent(error: requests.RequestException) -> bool:
    """Whether no connection came about."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), UNSENT)
