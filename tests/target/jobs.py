"""A destination that accepts rows and says later what became of them, as bulk APIs do."""

from __future__ import annotations

from collections.abc import Sequence

from requests import Request, Response

from target_journeys.destinations.base import Delivery, Steps, Verdict
from target_journeys.destinations.webhook import Webhook


class Jobs(Webhook):
    """A webhook whose receiver may answer `202` with a job instead of outcomes."""

    def verdicts(self, response: Response, deliveries: Sequence[Delivery]) -> list[Verdict]:
        if response.status_code == 202 and response.content:
            return [Verdict("accepted", None, response.json()["job"])] * len(deliveries)
        return super().verdicts(response, deliveries)

    def poll(self, job: str, deliveries: Sequence[Delivery]) -> Steps:
        response = yield Request("GET", f"{self.url}/{job}")
        if response.json().get("state") == "running":
            return [Verdict("accepted", None, job)] * len(deliveries)
        return super().verdicts(response, deliveries)
