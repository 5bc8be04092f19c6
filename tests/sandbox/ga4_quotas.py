"""The token quotas of GA4's Data API, which are told in the body of every good answer."""

from __future__ import annotations

from collections import Counter

from tests.sandbox.base import Clock, RefusedError
from tests.sandbox.google_login import refused

LIMITS = {  # of a standard property
    "tokensPerDay": 200_000,
    "tokensPerHour": 40_000,
    "tokensPerProjectPerHour": 14_000,
    "concurrentRequests": 10,
    "serverErrorsPerProjectPerHour": 10,
    "potentiallyThresholdedRequestsPerHour": 120,
}
WORDS = {
    "tokensPerDay": "Exhausted property tokens per day. These quota tokens will return in under 24 "
    "hours.",
    "tokensPerHour": "Exhausted property tokens per hour. These quota tokens will return in under "
    "one hour.",
    "tokensPerProjectPerHour": "Exhausted property tokens for a project per hour. These quota "
    "tokens will return in under one hour.",
    "concurrentRequests": "Exhausted concurrent requests quota. Please retry after some of the "
    "requests in progress have finished.",
    "serverErrorsPerProjectPerHour": "Exhausted server errors for a project per hour. This quota "
    "will refresh in under one hour.",
    "potentiallyThresholdedRequestsPerHour": "Exhausted potentially thresholded requests quota. "
    "This quota will refresh in under an hour.",
}
TOKENS = ("tokensPerDay", "tokensPerHour", "tokensPerProjectPerHour")


class Quotas:
    """What is left, by the vendor's clock: hours and days begin anew when they begin."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.limits = dict(LIMITS)
        self.report_tokens = 1  # that one report costs
        self.refusals: list[str] = []  # quotas that the next reports find exhausted
        self._used: Counter[tuple[str, str]] = Counter()

    def used(self, name: str) -> int:
        """How much of a quota is used up at this time."""
        return self._used[name, self._window(name)]

    def use(self, name: str, amount: int) -> None:
        """Take from one quota."""
        self._used[name, self._window(name)] += amount

    def take(self, *, thresholded: bool) -> dict[str, dict[str, int]]:
        """Pay for one report: what is told of the quotas after it, or the 429."""
        if self.refusals:
            raise self.refusal(self.refusals.pop(0))
        for name in LIMITS:
            counts = name != "potentiallyThresholdedRequestsPerHour" or thresholded
            if counts and self.used(name) >= self.limits[name]:
                raise self.refusal(name)
        for name in TOKENS:
            self.use(name, self.report_tokens)
        if thresholded:
            self.use("potentiallyThresholdedRequestsPerHour", 1)
        costs = dict.fromkeys(TOKENS, self.report_tokens)
        costs["potentiallyThresholdedRequestsPerHour"] = int(thresholded)
        return {
            name: {"consumed": costs.get(name, 0), "remaining": max(0, limit - self.used(name))}
            for name, limit in self.limits.items()
        }

    def refusal(self, name: str) -> RefusedError:
        """The 429 that names a quota in its text."""
        return refused(429, f"{WORDS[name]} To learn more, see the quotas of the Data API.")

    def _window(self, name: str) -> str:
        if name == "concurrentRequests":
            return ""
        length = len("2026-01-01") if name == "tokensPerDay" else len("2026-01-01T00")
        return self.clock.now().isoformat()[:length]
