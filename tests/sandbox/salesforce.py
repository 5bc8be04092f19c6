"""Salesforce on loopback: logins, sessions, limits, and the words of its refusals.

The assertion of a JWT login is read (form, issuer, age), its signature is not checked. From general
knowledge: that ten cursors are open at most, what an error says where neither the contract nor a
recorded answer shows it.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import unquote

from tests.sandbox import (
    salesforce_bulk,
    salesforce_ingest,
    salesforce_reads,
    salesforce_writes,
)
from tests.sandbox.base import Answer, Clock, RefusedError, Request, Vendor
from tests.sandbox.limits import Bucket
from tests.sandbox.salesforce_query import refused
from tests.sandbox.salesforce_world import USER, Row, SalesforceWorld

DAY_S = 24 * 60 * 60
LONGEST = 16_384  # bytes of address and headers together
ORGANISATION = "00D000000000001EAA"
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_PATH = "/services/oauth2/token"
ROUTES = (
    salesforce_reads.routes,
    salesforce_bulk.routes,
    salesforce_ingest.routes,
    salesforce_writes.routes,
)
Rule = Callable[[str, Row | None, Row], str | None]  # object, row before, values: what is wrong


class Salesforce(Vendor):
    """One organisation, its logins and its limits."""

    name = "salesforce"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.world = SalesforceWorld(self.clock, self.lock)
        self.clients = {"sandbox-client": "sandbox-client-secret"}
        self.refresh_tokens = {"sandbox-salesforce-refresh"}
        self.rotates = False  # a refresh gives another refresh token and ends the old one
        self.session_s: float | None = None  # how long a session lasts, by the vendor's clock
        self.sessions: dict[str, datetime | None] = {"sandbox-salesforce-session": None}
        self.page_rows = 2000  # where a request does not say batchSize
        self.open_cursors = 10  # a query too many loses the oldest cursor
        self.cursors: dict[str, salesforce_reads.Cursor] = {}
        self.timeout_rows: int | None = None  # a query that finds more is QUERY_TIMEOUT
        self.views_all_data = True  # else a query that finds over 20,000 rows is refused
        self.jobs: dict[str, salesforce_bulk.Job] = {}
        self.job_numbers = count(1)  # a job that is removed does not give its id to another
        self.job_polls = 1  # answers InProgress before a job is complete
        self.job_page_rows = 50_000  # rows of a page of results at most
        self.job_failures: list[str] = []  # the next jobs end Failed, with these messages
        self.row_locks: dict[str, int] = {}  # external id or id: so often UNABLE_TO_LOCK_ROW
        self.validation_rules: list[Rule] = []

    def tap_settings(self) -> dict[str, Any]:
        client, secret = next(iter(self.clients.items()))
        login = {"client_id": client, "client_secret": secret}
        return super().tap_settings() | login | {"refresh_token": next(iter(self.refresh_tokens))}

    # -- what the core asks ----------------------------------------------------------------------

    def documented_limits(self) -> list[Bucket]:
        """There is no limit of the rate: what a day has, and what is open at a time."""
        return [Bucket("daily", 100_000, DAY_S), Bucket("bulk_query_jobs", 10_000, DAY_S)]

    def buckets(self, request: Request) -> Sequence[str]:
        if not request.path.startswith("/services/data"):
            return ()
        creates = request.method == "POST" and request.path.endswith("/jobs/query")
        return ("daily", "bulk_query_jobs") if creates else ("daily",)

    def is_login(self, request: Request) -> bool:
        return request.path == TOKEN_PATH

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer_of(request)
        except RefusedError as error:
            return error.answer

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        if bucket.name == "bulk_query_jobs":
            words = f"Max bulk v2 query jobs ({bucket.limit}) per 24 hrs has been reached"
            return refused(400, "LIMIT_EXCEEDED", words).answer
        return self.daily_limit(request)

    def daily_limit(self, request: Request) -> Answer:
        return refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").answer

    def expired(self, request: Request) -> Answer:
        self.sessions.pop(request.bearer or "", None)
        return _invalid_session().answer

    def decorate(self, request: Request, answer: Answer) -> None:
        if self.buckets(request) and answer.status != 401:
            limit = self.limits["daily"].limit
            used = limit - self.limits.remaining("daily")
            answer.headers.setdefault("Sforce-Limit-Info", f"api-usage={used}/{limit}")

    # -- what a test does ------------------------------------------------------------------------

    def expire_sessions(self) -> None:
        """All sessions end now; a login gives another."""
        with self.lock:
            self.sessions.clear()

    def lose_cursors(self) -> None:
        """Every nextRecordsUrl leads nowhere from now on."""
        with self.lock:
            self.cursors.clear()

    def new_session(self) -> str:
        """A session that works at once."""
        token = f"{ORGANISATION[:15]}!{secrets.token_urlsafe(48)}"
        lasts = None if self.session_s is None else timedelta(seconds=self.session_s)
        self.sessions[token] = self.clock.now() + lasts if lasts else None
        return token

    # -- answers ---------------------------------------------------------------------------------

    def _answer_of(self, request: Request) -> Answer:
        if self.is_login(request):
            return self._token(request)
        sent = len(request.target) + sum(len(k) + len(v) for k, v in request.headers.items())
        if sent > LONGEST:
            status = 414 if len(request.target) > LONGEST else 431
            return Answer(status, f"<h1>{status}</h1>", {"Content-Type": "text/html"})
        if request.path == "/services/data":
            return salesforce_reads.versions()
        until = self.sessions.get(request.bearer or "", self.clock.now())
        if until is not None and until <= self.clock.now():
            raise _invalid_session()
        if request.path == "/services/oauth2/userinfo":
            who = {"user_id": USER, "organization_id": ORGANISATION, "name": "Admin"}
            return Answer(200, who | {"preferred_username": "admin@sandbox.test"})
        known: list[str] = []
        for routes in ROUTES:
            found = routes.find(request.method, request.path.rstrip("/"))
            if isinstance(found, tuple):
                function, arguments = found
                given = {name: unquote(value) for name, value in arguments.items()}
                return function(self, request, **given)
            known += found
        if known:
            words = f"HTTP Method '{request.method}' not allowed. Allowed are {','.join(known)}"
            raise refused(405, "METHOD_NOT_ALLOWED", words)
        raise refused(404, "NOT_FOUND", "The requested resource does not exist")

    def _token(self, request: Request) -> Answer:
        form = request.form if request.method == "POST" else {}
        kind = form.get("grant_type")
        client, secret = request.basic or (form.get("client_id"), form.get("client_secret"))
        if kind == JWT:
            client = self._issuer(form.get("assertion", ""))
            secret = self.clients[client]
        if client not in self.clients:
            return _no_token("invalid_client_id", "client identifier invalid")
        if self.clients[client] != secret:
            return _no_token("invalid_client", "invalid client credentials")
        more: Row = {}
        if kind == "refresh_token":
            if form.get("refresh_token") not in self.refresh_tokens:
                return _no_token("invalid_grant", "expired access/refresh token")
            if self.rotates:
                more["refresh_token"] = f"5Aep{secrets.token_urlsafe(24)}"
                self.refresh_tokens = {more["refresh_token"]}
        elif kind not in {"client_credentials", JWT}:
            return _no_token("unsupported_grant_type", "grant type not supported")
        return Answer(
            200,
            {
                "access_token": self.new_session(),
                "instance_url": request.base_url,
                "id": f"{request.base_url}/id/{ORGANISATION}/{USER}",
                "token_type": "Bearer",
                "issued_at": str(int(self.clock.now().timestamp() * 1000)),
                "signature": secrets.token_urlsafe(32),
                "scope": "api refresh_token",
                **more,
            },
        )

    def _issuer(self, assertion: str) -> str:
        """The client that an assertion names; its signature is not looked at."""
        try:
            head, body, signature = assertion.split(".")
            said = [json.loads(base64.urlsafe_b64decode(part + "===")) for part in (head, body)]
            client, until = str(said[1]["iss"]), float(said[1]["exp"])
            good = said[0]["alg"] == "RS256" and said[1]["sub"] and said[1]["aud"] and signature
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError(400, _no_token("invalid_grant", "invalid assertion").body) from error
        if not good or client not in self.clients:
            raise RefusedError(400, _no_token("invalid_grant", "invalid assertion").body)
        if until < self.clock.now().timestamp():
            raise RefusedError(400, _no_token("invalid_grant", "assertion is expired").body)
        return client


def _no_token(error: str, words: str) -> Answer:
    return Answer(400, {"error": error, "error_description": words})


def _invalid_session() -> RefusedError:
    return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
