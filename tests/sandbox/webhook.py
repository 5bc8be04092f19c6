"""A webhook's receiver on loopback: takes JSON lines, drops repeats, and may ask for a row again.

A `retry_share` of the rows is answered `retry` the first time, each with an outcome of its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from tests.sandbox.base import Answer, Clock, Request, Vendor
from tests.sandbox.limits import Bucket


class Webhook(Vendor):
    """A webhook."""

    name = "webhook"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.retry_share = 0.0
        self.records: dict[str, dict[str, Any]] = {}  # record key → what it is told last
        self.transitions: list[dict[str, Any]] = []  # as they came
        self._seen: set[str] = set()  # ids that took effect
        self._put_off: set[str] = set()  # ids that were asked for again

    def documented_limits(self) -> list[Bucket]:
        return [Bucket("own", 1_000_000, 1.0)]  # none, until a test sets one

    def buckets(self, request: Request) -> Sequence[str]:
        return ("own",)

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        return Answer(429, "", {"Retry-After": f"{wait_s:.3f}"})

    def target_settings(self) -> dict[str, Any]:
        return {"url": f"{self.url}/journeys"}

    def can_expire(self, request: Request) -> bool:
        return False

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) != ("POST", "/journeys"):
            return Answer(404, "")
        results = []
        for row in map(json.loads, request.body.splitlines()):
            again = row["id"] not in self._put_off and self._is_late(row["id"])
            if again:
                self._put_off.add(row["id"])
            elif row["id"] not in self._seen:
                self._take(row)
            results.append({"id": row["id"], "status": "retry" if again else "ok"})
        if all(each["status"] == "ok" for each in results):
            return Answer(204)
        return Answer(207, {"results": results})

    def _is_late(self, row_id: str) -> bool:
        return random.Random(f"{self.faults.seed} {row_id}").random() < self.retry_share

    def _take(self, row: dict[str, Any]) -> None:
        self._seen.add(row["id"])
        if row["type"] == "journey.stage.changed":
            self.transitions.append(row["data"])
        elif row["type"] == "journey.record.deleted":
            self.records.pop(row["record_key"], None)
        else:
            self.records[row["record_key"]] = row["data"]
