"""How a source proves who it is: a fixed header, or OAuth tokens that are renewed in time."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import requests

from journeys.oauth import error_code

LEEWAY_S = 60  # a token is renewed so long before it ends
BUSY = {406, 408, 420, 429}  # what edges answer that shed or start something
TOKEN_TIMEOUT_S = (10, 60)  # to connect, to answer


class LoginError(Exception):
    """The vendor gave no token: why, and what to do; never what was sent."""


class Login(Protocol):
    """What a request needs so that the vendor knows who asks."""

    def headers(self) -> Mapping[str, str]:
        """The headers of the next request."""

    def renew(self, rejected: Mapping[str, str]) -> bool:
        """Whether trying again can help after a 401 to a request with these headers."""


class Fixed:
    """Headers that never change."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def headers(self) -> Mapping[str, str]:
        return self._headers

    def renew(self, rejected: Mapping[str, str]) -> bool:
        return False


def bearer(token: str) -> Fixed:
    """A token that the user has pasted into the settings."""
    return Fixed({"Authorization": f"Bearer {token}"})


def basic(user: str, password: str) -> Fixed:
    """HTTP Basic."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Fixed({"Authorization": f"Basic {pair}"})


class OAuth:
    """Access tokens from a token endpoint, renewed before they end and once after a 401.

    ``ask`` returns the body of the token request for a refresh token (or for none, where the grant
    needs none). Vendors that hand out a new refresh token with every answer void the old one, so
    the new one is written to ``token_file`` before the access token is used.
    """

    def __init__(
        self,
        url: str,
        ask: Callable[[str | None], Mapping[str, str]],
        *,
        refresh_token: str | None = None,
        token_file: Path | None = None,
        as_json: bool = False,
        lifetime_s: float | None = None,
    ) -> None:
        self.url = url
        self.answer: Mapping[str, Any] = {}  # the last one, for what vendors say beside the token
        self._ask = ask
        self._as_json = as_json
        self._lifetime_s = lifetime_s  # where the answer does not say
        self._file = token_file
        self._lock = Lock()
        self._ends_at = 0.0
        self._token: str | None = None
        self._given = refresh_token
        self._refresh = self._kept() or refresh_token

    def headers(self) -> Mapping[str, str]:
        with self._lock:
            if self._token is None or time.monotonic() >= self._ends_at:
                self._fetch()
            return {"Authorization": f"Bearer {self._token}"}

    def renew(self, rejected: Mapping[str, str]) -> bool:
        with self._lock:
            # another thread may have renewed it meanwhile
            if rejected.get("Authorization") == f"Bearer {self._token}":
                self._token = None  # fetched by the next request, which knows what a failure means
        return True

    def _fetch(self) -> None:
        body = dict(self._ask(self._refresh))
        try:
            response = requests.post(
                self.url,
                data=None if self._as_json else body,
                json=body if self._as_json else None,
                timeout=TOKEN_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            kind = type(error).__name__
            raise requests.ConnectionError(f"token endpoint: {kind}") from None
        if response.status_code in BUSY or response.status_code >= 500:
            raise requests.ConnectionError(f"token endpoint: HTTP {response.status_code}")
        try:
            answer = response.json()
        except ValueError:
            if response.ok:
                raise requests.ConnectionError("token endpoint: the answer is no JSON") from None
            answer = None
        if not response.ok or not isinstance(answer, dict) or "access_token" not in answer:
            said = f"HTTP {response.status_code} {error_code(answer)}".strip()
            raise LoginError(
                f"the token endpoint answered {said}; renew the client's credentials or the "
                "refresh token in the settings"
            )
        self.answer = answer
        if isinstance(renewed := answer.get("refresh_token"), str) and renewed != self._refresh:
            self._refresh = renewed
            self._keep(renewed)
        self._token = str(answer["access_token"])
        lifetime = answer.get("expires_in") or self._lifetime_s
        self._ends_at = time.monotonic() + (
            max(float(lifetime) - LEEWAY_S, float(lifetime) / 2) if lifetime else float("inf")
        )

    def _kept(self) -> str | None:
        """The refresh token of an earlier run, unless the settings name another since."""
        try:
            kept = json.loads(self._file.read_text()) if self._file else {}
        except (OSError, ValueError):
            return None
        same = isinstance(kept, dict) and kept.get("given") == _mark(self._given)
        return kept.get("refresh_token") if same else None

    def _keep(self, token: str) -> None:
        if self._file is None:
            return
        partial = self._file.with_name(self._file.name + ".new")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"refresh_token": token, "given": _mark(self._given)}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._file)


def _mark(token: str | None) -> str | None:
    """What tells whether the settings still name the same token, without being it."""
    return None if token is None else hashlib.sha256(token.encode()).hexdigest()[:16]
