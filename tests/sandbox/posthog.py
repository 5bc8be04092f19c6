"""PostHog's ingestion on loopback, both endpoints, and the deletion of persons.

As the vendor does, `/batch/` answers 200 to events that it then drops. From general knowledge: what
the deletion looks like, and that events of one uuid are one.
"""

from __future__ import annotations

import random
from typing import Any

from tests.sandbox.base import Answer, Clock, Request, Vendor, locked
from tests.sandbox.limits import Bucket

LONGEST_BODY = 20 * 1024 * 1024
Row = dict[str, Any]


class PostHog(Vendor):
    """One project."""

    name = "posthog"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.key, self.personal_key, self.project_id = "phc_sandbox", "phx_sandbox", 7
        self.persons: dict[str, Row] = {}  # distinct id → properties
        self.groups: dict[tuple[str, str], Row] = {}  # (type, key) → properties
        self.events: dict[str, Row] = {}  # uuid → the event
        self.dropped: list[Row] = []  # what was answered with 200 and thrown away
        self.retry_share = 0.0  # of v1's events that are to come again
        self.random = random.Random(0)

    def documented_limits(self) -> list[Bucket]:
        return []

    def can_expire(self, request: Request) -> bool:
        return False

    def target_settings(self) -> Row:
        """What a destination is told, to write to here."""
        return {"api_key": self.key, "base_url": self.url}

    @locked
    def answer(self, request: Request) -> Answer:
        if request.path.startswith(f"/api/projects/{self.project_id}/persons/"):
            return self._persons(request)
        if request.method != "POST" or len(request.body) > LONGEST_BODY:
            return Answer(413 if request.body else 405, {"detail": "no"})
        match request.path:
            case "/batch/":
                return self._v0(request.json)
            case "/i/v1/analytics/events":
                return self._v1(request)
        return Answer(404, "")

    def _v0(self, body: Row) -> Answer:
        if body.get("api_key") != self.key:
            return Answer(401, {"type": "authentication_error", "code": "invalid_api_key"})
        for event in body["batch"]:
            self._take(event)
        return Answer(200, {"status": 1})

    def _v1(self, request: Request) -> Answer:
        needed = {"posthog-attempt", "posthog-request-id", "posthog-request-timestamp"}
        if request.bearer != self.key:
            return Answer(401, {"error": "invalid_api_key"})
        if not needed <= set(request.headers) or "api_key" in request.json:
            return Answer(400, {"error": "malformed"})
        results = {}
        for event in request.json["batch"]:
            if self.random.random() < self.retry_share:
                results[event["uuid"]] = {"result": "retry", "details": "busy"}
            elif self._take(event):
                results[event["uuid"]] = {"result": "ok"}
            else:
                results[event["uuid"]] = {"result": "drop", "details": "no name or person"}
        return Answer(200, {"results": results})

    def _take(self, event: Row) -> bool:
        """One event takes effect, in the order of arrival; whether it is kept."""
        if not event.get("event") or not event.get("distinct_id"):
            self.dropped.append(event)
            return False
        properties = event["properties"]
        self.events[event["uuid"]] = event
        if event["event"] == "$groupidentify":
            key = properties["$group_type"], properties["$group_key"]
            self.groups.setdefault(key, {}).update(properties["$group_set"])
        elif told := properties.get("$set"):
            self.persons.setdefault(event["distinct_id"], {}).update(told)
        return True

    def _persons(self, request: Request) -> Answer:
        if request.bearer != self.personal_key:
            return Answer(403, {"detail": "permission"})
        if request.method == "GET":
            name = request.get("distinct_id") or ""
            found = [{"uuid": name.encode().hex()}] if name in self.persons else []
            return Answer(200, {"results": found})
        name = bytes.fromhex(request.path.rstrip("/").rpartition("/")[2]).decode()
        if self.persons.pop(name, None) is None:
            return Answer(404, {"detail": "Not found."})
        if request.get("delete_events") == "true":
            kept = self.events.items()
            self.events = {key: each for key, each in kept if each["distinct_id"] != name}
        return Answer(202)
