"""Google on loopback: BigQuery's REST API, the Data API of GA4, and the login of both.

One address stands for the three hosts: `/token`, `/bigquery/v2/…` and `/v1beta/properties/…`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from tests.sandbox import bigquery_routes, ga4_reports
from tests.sandbox.base import Answer, Clock, RefusedError, Request, Vendor
from tests.sandbox.bigquery_world import BigQueryWorld, Export
from tests.sandbox.ga4_quotas import Quotas
from tests.sandbox.google_login import TOKEN_PATH, Login, refused
from tests.sandbox.limits import Bucket

ROUTES = (bigquery_routes.routes, ga4_reports.routes)
REASONS: dict[str, tuple[int, str]] = {  # that BigQuery gives for "not now"
    "rateLimitExceeded": (403, "Exceeded rate limits: too many api requests per user per method"),
    "quotaExceeded": (403, "Quota exceeded: Your project exceeded quota for free query bytes"),
    "jobRateLimitExceeded": (429, "Job exceeded rate limits"),
    "backendError": (503, "Error encountered during execution. Retrying may solve the problem."),
    "internalError": (500, "An internal error occurred and the request could not be completed."),
}


class BigQuery(Vendor):
    """One project, and the GA4 properties that are exported into it."""

    name = "bigquery"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.world = BigQueryWorld(self.clock, self.lock)
        self.exports: dict[str, Export] = {}
        self.login = Login(self.clock)
        self.jobs: dict[str, bigquery_routes.Job] = {}
        self.job_polls = 1  # answers with jobComplete false before a query is done
        self.page_rows = 10_000  # rows of one answer at most, whatever maxResults says
        self.refusals: list[str] = []  # reasons for which the next requests are refused
        self.quotas = Quotas(self.clock)
        self.reports = ga4_reports.Behaviour()

    def add_export(self, property_id: str, *, location: str = "US") -> Export:
        """A GA4 property whose events are exported, and which the Data API reports on."""
        return self.exports.setdefault(
            property_id, Export(self.world, property_id, location=location)
        )

    def tap_settings(self) -> dict[str, Any]:
        client, secret = next(iter(self.login.clients.items()))
        login = {"client_id": client, "client_secret": secret}
        login["refresh_token"] = next(iter(self.login.refresh_tokens))
        project = {"project_id": self.world.project, "property_id": next(iter(self.exports), "")}
        return super().tap_settings() | project | login

    # -- what the core asks ----------------------------------------------------------------------

    def documented_limits(self) -> list[Bucket]:
        return [Bucket("bigquery", 100, 1)]  # requests per user and method

    def buckets(self, request: Request) -> Sequence[str]:
        return ("bigquery",) if request.path.startswith("/bigquery/") else ()

    def is_login(self, request: Request) -> bool:
        return request.path == TOKEN_PATH

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer_of(request)
        except RefusedError as error:
            return error.answer

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        return self._refusal("rateLimitExceeded").answer

    def daily_limit(self, request: Request) -> Answer:
        if request.path.startswith("/v1beta/"):
            return self.quotas.refusal("tokensPerDay").answer
        return self._refusal("quotaExceeded").answer

    def failed(self, request: Request, status: int) -> Answer:
        if request.path.startswith("/v1beta/"):
            self.quotas.use("serverErrorsPerProjectPerHour", 1)
            return refused(status if status in {500, 502, 503} else 500, "Try again.").answer
        if status == 502 or self.is_login(request):
            return super().failed(request, status)
        reason = "backendError" if status == 503 else "internalError"
        return refused(503 if status == 503 else 500, REASONS[reason][1], reason).answer

    def expired(self, request: Request) -> Answer:
        self.login.tokens.pop(request.bearer or "", None)
        return self.login.invalid().answer

    # -- answers ---------------------------------------------------------------------------------

    def _answer_of(self, request: Request) -> Answer:
        if self.is_login(request) and request.method == "POST":
            return self.login.token(request)
        scope = "bigquery" if request.path.startswith("/bigquery/") else "analytics"
        self.login.check(request, scope)
        if scope in self.faults.missing_scopes:
            words = "Access Denied: User does not have permission."
            raise refused(403, words, "accessDenied")
        if scope == "bigquery" and self.refusals:
            raise self._refusal(self.refusals.pop(0))
        for routes in ROUTES:
            found = routes.find(request.method, request.path)
            if isinstance(found, tuple):
                function, arguments = found
                given: dict[str, Any] = {key: unquote(value) for key, value in arguments.items()}
                return function(self, request, **given)
        raise refused(404, "Not found", "notFound")

    @staticmethod
    def _refusal(reason: str) -> RefusedError:
        status, words = REASONS[reason]
        domain = "usageLimits" if "Exceeded" in reason else "global"
        return refused(status, words, reason, domain=domain)
