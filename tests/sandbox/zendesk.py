"""Zendesk Support on loopback: logins, limits, and the words of its refusals.

Links in answers lead to the address that the client used, or to `link_host` if a test sets one: a
real account may write another name of its own into them. An empty export, the words for an offset
that is too deep and the wait of a refused token are from general knowledge; what `fixtures/` or
the contract shows is as shown there.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from tests.sandbox.base import Answer, Clock, RefusedError, Request, Vendor, iso, moment
from tests.sandbox.limits import Bucket
from tests.sandbox.zendesk_routes import base, not_found, path, routes
from tests.sandbox.zendesk_world import Row, ZendeskWorld

PLANS = {"essential": 10, "team": 200, "growth": 400, "professional": 400, "enterprise": 700}
PLANS["enterprise_plus"] = 2500  # requests a minute
SURVEYS = {"satisfaction_ratings", "survey_responses"}


class Zendesk(Vendor):
    """Zendesk Support."""

    name = "zendesk"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.world = ZendeskWorld(self.clock, self.lock)
        self.email = "admin@sandbox.test"
        self.api_token = "sandbox-zendesk-token"
        self.role = "admin"  # an agent may not read exports
        self.clients = {"sandbox-client": "sandbox-client-secret"}
        self.refresh_tokens = {"sandbox-zendesk-refresh"}
        self.access_tokens: dict[str, str | None] = {}  # token: when it expires, None: never
        self.link_host: str | None = None  # "https://other.zendesk.com"
        self.page_cap: int | None = None  # rows of a page, whatever is asked for
        self.surveys: str | None = None  # the only kind of SURVEYS that the account has

    def plan(self, name: str, *, high_volume: bool = False) -> None:
        """Another plan's limits."""
        self.limits["account"].limit = 2500 if high_volume else PLANS[name]
        self.limits["incremental"].limit = 30 if high_volume else 10

    def tap_settings(self) -> dict[str, Any]:
        return super().tap_settings() | {"email": self.email, "api_token": self.api_token}

    # -- what the core asks ----------------------------------------------------------------------

    def documented_limits(self) -> list[Bucket]:
        return [
            Bucket("account", PLANS["enterprise"], 60, "fixed"),
            Bucket("incremental", 10, 60, "fixed"),
            Bucket("ticket_audits", 500, 60, "fixed"),
            Bucket("deleted_tickets", 10, 60, "fixed"),
        ]

    def buckets(self, request: Request) -> Sequence[str]:
        if self.is_login(request):
            return ()
        for part, bucket in _OWN_BUCKETS.items():
            if part in path(request):
                return (bucket, "account")
        return ("account",)

    def is_login(self, request: Request) -> bool:
        return request.path == "/oauth/tokens"

    def can_expire(self, request: Request) -> bool:
        return request.bearer in self.access_tokens

    def answer(self, request: Request) -> Answer:
        try:
            if self.is_login(request):
                return self._token(request)
            self.user(request)
            found = routes.find(request.method, path(request))
            if isinstance(found, tuple):
                function, arguments = found
                arguments = {name: unquote(value) for name, value in arguments.items()}
                self._may(request, path(request).split("/"))
                if self.surveys and (SURVEYS - {self.surveys}) & set(path(request).split("/")):
                    return not_found()
                return function(self, request, **arguments)
            return not_found()
        except RefusedError as refused:
            return refused.answer

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        kind = "incremental export API" if bucket.name == "incremental" else "API"
        body = {
            "error": "APIRateLimitExceeded",
            "description": f"Number of allowed {kind} requests per minute exceeded",
        }
        return Answer(429, body, {"Retry-After": str(max(1, math.ceil(wait_s)))})

    def expired(self, request: Request) -> Answer:
        self.access_tokens.pop(request.bearer or "", None)
        return _invalid_token()

    def daily_limit(self, request: Request) -> Answer:
        """The vendor knows no daily limit; the edge refuses with a long wait."""
        return Answer(
            429, {"status": "429", "title": "Automated response"}, {"Retry-After": "86400"}
        )

    def decorate(self, request: Request, answer: Answer) -> None:
        if self.is_login(request) or answer.status >= 500:
            return
        limit, left = str(self.limits["account"].limit), str(self.limits.remaining("account"))
        answer.headers |= {
            "x-zendesk-api-version": "v2",
            "x-rate-limit": limit,
            "x-rate-limit-remaining": left,
            "ratelimit-limit": limit,
            "ratelimit-remaining": left,
            "ratelimit-reset": str(self.limits.resets_in("account")),
        }
        if "incremental" in self.buckets(request):
            bucket = self.limits["incremental"]
            name = "zendesk-ratelimit-incremental-exports"
            name += "-cursor" if path(request).endswith("/cursor") else ""
            answer.headers[name] = (
                f"total={bucket.limit}; remaining={self.limits.remaining('incremental')}; "
                f"resets={self.limits.resets_in('incremental')}"
            )

    # -- login -----------------------------------------------------------------------------------

    def user(self, request: Request) -> Row:
        """Who asks; raises the 401."""
        if request.bearer is not None:
            until = self.access_tokens.get(request.bearer, "")
            if until == "" or (until and moment(until) <= self.clock.now()):
                raise RefusedError(401, _invalid_token().body, _invalid_token().headers)
        elif request.basic != (f"{self.email}/token", self.api_token):
            raise RefusedError(
                401,
                {"error": "Couldn't authenticate you"},
                {"WWW-Authenticate": 'Basic realm="Web Password"'},
            )
        user = {"id": 1, "name": "Admin", "email": self.email, "role": self.role, "active": True}
        return {"url": f"{base(self, request)}/users/1.json"} | user

    def _token(self, request: Request) -> Answer:
        """A refresh gives two new tokens and ends both old ones."""
        asked = _body(request)
        if self.clients.get(asked.get("client_id", "")) != asked.get("client_secret"):
            words = "Client authentication failed due to unknown client or wrong secret."
            return Answer(401, {"error": "invalid_client", "error_description": words})
        kind = asked.get("grant_type")
        if kind == "refresh_token":
            if asked.get("refresh_token") not in self.refresh_tokens:
                words = "The refresh token is invalid, expired or revoked."
                return Answer(400, {"error": "invalid_grant", "error_description": words})
            self.refresh_tokens.discard(asked["refresh_token"])
            self.access_tokens.clear()
        elif kind != "client_credentials":
            words = "The grant type is not supported."
            return Answer(400, {"error": "unsupported_grant_type", "error_description": words})
        seconds = asked.get("expires_in")
        token = self.new_access_token(expires_in_s=seconds)
        body: Row = {"access_token": token, "token_type": "bearer", "scope": "read"}
        body["expires_in"] = seconds
        if kind == "refresh_token":
            refresh = f"sandbox-zendesk-refresh-{secrets.token_hex(8)}"
            self.refresh_tokens.add(refresh)
            lasts = asked.get("refresh_token_expires_in", 2_592_000)
            body |= {"refresh_token": refresh, "refresh_token_expires_in": lasts}
        return Answer(200 if kind == "refresh_token" else 201, body)

    def new_access_token(self, *, expires_in_s: int | None = None) -> str:
        """An OAuth token that works at once."""
        token = f"sandbox-zendesk-access-{secrets.token_hex(8)}"
        until = self.clock.now() + timedelta(seconds=expires_in_s or 0)
        self.access_tokens[token] = iso(until) if expires_in_s else None
        return token

    def _may(self, request: Request, parts: list[str]) -> None:
        """Raises the 403 where an admin is needed or a scope was not granted."""
        admin_only = {"incremental", "satisfaction_ratings", "ticket_audits", "audits"}
        if self.role != "admin" and admin_only & set(parts):
            words = "You do not have access to this page. Please contact the account owner."
            raise RefusedError(403, {"error": {"title": "Forbidden", "message": words}})
        if missing := self.faults.missing_scopes & set(parts):
            words = f"You are missing the following required scopes: {min(missing)}:read"
            raise RefusedError(403, {"error": "Forbidden", "description": words})


_OWN_BUCKETS = {
    "/incremental/": "incremental",
    "/deleted_tickets": "deleted_tickets",
    "/ticket_audits": "ticket_audits",
    "/audits": "ticket_audits",
}


def _body(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "")
    try:
        return dict(request.json) if "json" in kind else dict(request.form)
    except (ValueError, TypeError) as error:
        words = {"title": "Unprocessable Entity", "message": "Server could not parse JSON"}
        raise RefusedError(422, {"error": words}) from error


def _invalid_token() -> Answer:
    words = "The access token provided is expired, revoked, malformed or invalid for other reasons."
    return Answer(
        401,
        {"error": "invalid_token", "error_description": words},
        {"WWW-Authenticate": 'Bearer realm="Zendesk", error="invalid_token"'},
    )
