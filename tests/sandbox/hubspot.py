"""HubSpot on loopback: logins, scopes, limits, and the words of its refusals.

Oddities that are kept: a search has its own bucket and says nothing of the short limit; a 429 has
no `Retry-After` unless `retry_after` is set; a malformed token is answered by the edge with 530; an
address of more than 16,000 characters is a 414; an unknown property is left out in silence.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from tests.sandbox import hubspot_reads, hubspot_search, hubspot_writes
from tests.sandbox.base import Answer, Clock, RefusedError, Request, Vendor, iso
from tests.sandbox.hubspot_defaults import SCOPES, TYPE_IDS
from tests.sandbox.hubspot_words import error, refused
from tests.sandbox.hubspot_world import HubSpotWorld, Row
from tests.sandbox.limits import Bucket

LONGEST_TARGET = 16_000  # characters of path and query
TOKEN_LIVES_S = 1800
PLANS = {  # requests in ten seconds, requests a day
    "free": (100, 250_000),
    "professional": (190, 650_000),
    "enterprise": (190, 1_000_000),
    "oauth_app": (110, 650_000),
}
ROUTES = (hubspot_reads.routes, hubspot_search.routes, hubspot_writes.routes)
_DATED = re.compile(r"^/(crm|oauth)/([a-z-]+)/20\d\d-\d\d/")  # /crm/objects/2026-09/…


class HubSpot(Vendor):
    """HubSpot."""

    name = "hubspot"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.world = HubSpotWorld(self.clock, self.lock)
        self.token = "pat-na1-sandbox-hubspot-token"
        self.clients = {"sandbox-client": "sandbox-client-secret"}
        self.refresh_token = "sandbox-hubspot-refresh"
        self.access_tokens: dict[str, datetime] = {}  # token: when it expires
        self.retry_after = False  # does a 429 say how long to wait?
        self.association_page = 100  # associations of one object in one answer
        self.integer_ids = False  # `toObjectId` as the older API writes it
        self.portal_id = 4711
        self.searches: dict[tuple[Any, ...], list[Any]] = {}  # results that are paged through

    def plan(self, name: str) -> None:
        """Another plan's limits."""
        self.limits["burst"].limit, self.limits["daily"].limit = PLANS[name]

    def tap_settings(self) -> dict[str, Any]:
        return super().tap_settings() | {"access_token": self.token}

    def target_settings(self) -> dict[str, Any]:
        return self.tap_settings()

    # -- what the core asks ----------------------------------------------------------------------

    def documented_limits(self) -> list[Bucket]:
        burst, daily = PLANS["professional"]
        return [
            Bucket("burst", burst, 10),
            Bucket("search", 5, 1),
            Bucket("daily", daily, 86_400, "fixed"),
        ]

    def buckets(self, request: Request) -> Sequence[str]:
        if self.is_login(request):
            return ()
        return ("search" if _is_search(request) else "burst", "daily")

    def is_login(self, request: Request) -> bool:
        return request.path in {"/oauth/v1/token", "/oauth/v3/token"}

    def can_expire(self, request: Request) -> bool:
        return request.bearer in self.access_tokens

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer_of(request)
        except RefusedError as refusal:
            return refusal.answer

    def _answer_of(self, request: Request) -> Answer:
        if len(request.target) > LONGEST_TARGET:
            page = "<html><head><title>414 Request-URI Too Large</title></head></html>"
            return Answer(414, page, {"Content-Type": "text/html"})
        if self.is_login(request):
            return self._new_token(request)
        if not request.path.startswith("/oauth/"):  # these name the token that they ask about
            self._check_token(request)
        path = _DATED.sub(lambda found: _version(found[1], found[2]), request.path.rstrip("/"))
        methods: list[str] = []
        for routes in ROUTES:
            found = routes.find(request.method, path)
            if isinstance(found, tuple):
                function, arguments = found
                plain = {name: unquote(value) for name, value in arguments.items()}
                self._check_scope(path, plain, write=request.method != "GET")
                return function(self, request, **plain)
            methods += found
        if methods:
            raise refused(405, "HTTP 405 Method Not Allowed", "METHOD_NOT_ALLOWED")
        raise refused(404, "Resource not found", "OBJECT_NOT_FOUND")

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        policy = {"burst": "TEN_SECONDLY_ROLLING", "search": "SECONDLY", "daily": "DAILY"}
        answer = self._limit_reached(policy[bucket.name])
        if self.retry_after:
            answer.headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
        return answer

    def daily_limit(self, request: Request) -> Answer:
        return self._limit_reached("DAILY")

    def _limit_reached(self, policy: str) -> Answer:
        name = policy.lower()
        told = {"errorType": "RATE_LIMIT", "policyName": policy, "requestId": secrets.token_hex(8)}
        words = error(f"You have reached your {name} limit.", "", **told)
        del words["category"]  # the one error without a category
        return Answer(429, words)

    def expired(self, request: Request) -> Answer:
        now = self.clock.now()
        if request.bearer:
            self.access_tokens[request.bearer] = now
        return _expired(now, now).answer

    def decorate(self, request: Request, answer: Answer) -> None:
        if self.is_login(request) or answer.status >= 500:
            return
        daily, burst = self.limits["daily"], self.limits["burst"]
        left = self.limits.remaining("burst")
        window_ms = round(1000 * burst.window_s / self.limits.rate_factor)
        answer.headers |= {
            "X-HubSpot-RateLimit-Daily": str(daily.limit),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self.limits.remaining("daily")),
        }
        if not _is_search(request):  # as recorded: a search tells the daily limit alone
            answer.headers |= {
                "X-HubSpot-RateLimit-Interval-Milliseconds": str(window_ms),
                "X-HubSpot-RateLimit-Max": str(burst.limit),
                "X-HubSpot-RateLimit-Remaining": str(left),
                "X-HubSpot-RateLimit-Secondly": str(burst.limit // 10),
                "X-HubSpot-RateLimit-Secondly-Remaining": str(min(left, burst.limit // 10)),
            }

    # -- login and scopes ------------------------------------------------------------------------

    def new_access_token(self) -> str:
        """An OAuth token that works for half an hour."""
        token = f"sandbox-hubspot-access-{secrets.token_hex(8)}"
        self.access_tokens[token] = self.clock.now() + timedelta(seconds=TOKEN_LIVES_S)
        return token

    def scopes(self) -> list[str]:
        """What the account has granted."""
        kinds = {*TYPE_IDS, "forms", "owners"}
        every = {scope_of(kind, write=write) for kind in kinds for write in (False, True)}
        missing = self.faults.missing_scopes
        gone = missing | {scope_of(kind, write=False) for kind in kinds & missing}
        return sorted(every - gone | {"oauth"})

    def _new_token(self, request: Request) -> Answer:
        asked = request.form
        known = self.clients.get(asked.get("client_id", ""))
        if known is None or known != asked.get("client_secret"):
            raise refused(400, "missing or unknown client id", "BAD_CLIENT_ID")
        kind = asked.get("grant_type")
        if kind not in {"refresh_token", "client_credentials"}:
            raise refused(400, "missing or unknown grant type", "BAD_GRANT_TYPE")
        if kind == "refresh_token" and asked.get("refresh_token") != self.refresh_token:
            raise refused(400, "missing or invalid refresh token", "BAD_REFRESH_TOKEN")
        answer: Row = {"access_token": self.new_access_token(), "expires_in": TOKEN_LIVES_S}
        answer |= {"token_type": "bearer", "hub_id": self.portal_id, "user_id": 12}
        answer |= {"scopes": self.scopes(), "token_use": "access_token"}
        if kind == "refresh_token":
            answer["refresh_token"] = self.refresh_token
        return Answer(200, answer)

    def _check_token(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        token = request.bearer or ""
        if given and not re.fullmatch(r"[A-Za-z0-9_.\-]+", token):
            page = "<html><head><title>530</title></head><body>error code: 1016</body></html>"
            raise RefusedError(530, page, {"Content-Type": "text/html"})
        if token == self.token:
            return
        until = self.access_tokens.get(token)
        if until is None:
            message = (
                "Authentication credentials not found. This API supports OAuth 2.0 "
                "authentication and you can find more details at "
                "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
            )
            raise refused(401, message, "INVALID_AUTHENTICATION")
        if until <= self.clock.now():
            raise _expired(until, self.clock.now())

    def _check_scope(self, path: str, arguments: dict[str, str], *, write: bool) -> None:
        parts = path.split("/")
        writes = write and parts[-1] not in {"read", "search"}
        kinds: Iterable[str] = {"owners", "forms"} & {*parts}
        for name in ("kind", "to_kind"):
            if name in arguments:
                try:
                    kinds = [*kinds, self.world.kind(arguments[name])]
                except KeyError:  # the route says that it knows no such type
                    continue
        for kind in kinds:
            needed = scope_of(kind, write=writes)
            if {kind, needed} & self.faults.missing_scopes:
                link = "https://developers.hubspot.com/scopes"
                raise refused(
                    403,
                    "This app hasn't been granted all required scopes to make this call. "
                    f"Read more about required scopes here: {link}.",
                    "MISSING_SCOPES",
                    errors=[
                        {
                            "message": "One or more of the following scopes are required.",
                            "context": {"requiredGranularScopes": [needed]},
                        }
                    ],
                    links={"scopes": link},
                )


def scope_of(kind: str, *, write: bool) -> str:
    """The scope that a call needs."""
    if kind.startswith("2-"):
        kind = "custom"
    scope = SCOPES.get(kind, f"crm.objects.{kind}.read")
    return scope.replace(".read", ".write") if write else scope


def _is_search(request: Request) -> bool:
    return request.path.endswith("/search")


def _version(first: str, area: str) -> str:
    """A dated address as its classic twin."""
    return f"/{first}/{'v4' if area == 'associations' else 'v3'}/{area}/"


def _expired(until: datetime, now: datetime) -> RefusedError:
    ago = int((now - until).total_seconds())
    return refused(
        401,
        f"The OAuth token used to make this call expired {ago} second(s) ago.",
        "EXPIRED_AUTHENTICATION",
        context={"expire time": [iso(until, millis=True)]},
    )
