"""Customer.io's Track API v2 on loopback: objects, people and events, each operation for itself.

From general knowledge: the reasons that a 207 gives, and that an event id is remembered for ever.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.sandbox.base import Answer, Clock, Request, Vendor, locked
from tests.sandbox.limits import Bucket

LONGEST_BODY, LONGEST_OPERATION, LONGEST_VALUE, LONGEST_ID = 500_000, 32_000, 1_000, 150
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
Row = dict[str, Any]


class CustomerIO(Vendor):
    """One workspace."""

    name = "customerio"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.site_id, self.api_key = "sandbox-site", "sandbox-key"
        self.region = "us"
        self.object_types = {"2"}
        self.objects: dict[str, Row] = {}  # object id → attributes
        self.relations: dict[str, dict[str, Row]] = {}  # object id → person → its attributes
        self.events: dict[str, Row] = {}  # event id → the event
        self.suppressed: set[str] = set()

    def documented_limits(self) -> list[Bucket]:
        return [Bucket("fair use", 100, 1.0)]

    def buckets(self, request: Request) -> tuple[str, ...]:
        return ("fair use",)

    def can_expire(self, request: Request) -> bool:
        return False

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        return Answer(429, {"meta": {"error": "rate limit exceeded"}})  # never with a word of when

    def target_settings(self) -> Row:
        """What a destination is told, to write to here."""
        keys = {"site_id": self.site_id, "api_key": self.api_key, "object_type_id": "2"}
        return keys | {"base_url": self.url}

    @locked
    def answer(self, request: Request) -> Answer:
        if request.basic != (self.site_id, self.api_key):
            return Answer(401, {"meta": {"error": "unauthorized"}})
        if (request.method, request.path) == ("GET", "/api/v1/accounts/region"):
            return Answer(200, {"data_center": self.region, "environment_id": 1})
        if (request.method, request.path) != ("POST", "/api/v2/batch"):
            return Answer(404, {"meta": {"error": "not found"}})
        if len(request.body) > LONGEST_BODY:
            return Answer(400, _wrong("", "invalid", "the batch is too large"))
        try:
            batch = request.json["batch"]
        except (ValueError, KeyError, TypeError):
            return Answer(400, _wrong("batch", "required", "batch is missing"))
        errors = []
        for place, operation in enumerate(batch):
            field, words = self._fault(operation)
            if words:
                errors += _wrong(field, "invalid", words, place)["errors"]
            else:
                self._take(operation)
        return Answer(207, {"errors": errors}) if errors else Answer(200, {})

    def _fault(self, operation: Row) -> tuple[str, str]:
        """Field and words of what is wrong; empty if nothing is."""
        ids = operation.get("identifiers") or {}
        if len(json.dumps(operation, separators=(",", ":")).encode()) > LONGEST_OPERATION:
            return "", "the operation is too large"
        if not ids or any(len(str(each).encode()) > LONGEST_ID for each in ids.values()):
            return "identifiers", "an identifier is missing or too long"
        for name, value in (operation.get("attributes") or {}).items():
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text.encode()) > LONGEST_VALUE:
                return name, "the value is too long"
        kind = operation.get("type"), operation.get("action")
        if kind == ("person", "event"):
            if not operation.get("name") or not ULID.fullmatch(operation.get("id", "")):
                return "id", "an event needs a name, and a ULID if it has an id"
        elif kind[0] == "object" and (
            ids.get("object_type_id") not in self.object_types or not ids.get("object_id")
        ):
            return "object_type_id", "there is no such type of object"
        if kind not in {
            ("object", "identify"),
            ("object", "delete"),
            ("person", "event"),
            ("person", "suppress"),
        }:
            return "action", "the sandbox knows no such action"
        return "", ""

    def _take(self, operation: Row) -> None:
        ids = operation["identifiers"]
        match operation["type"], operation["action"]:
            case "object", "identify":
                name = ids["object_id"]
                self.objects.setdefault(name, {}).update(operation.get("attributes", {}))
                for each in operation.get("cio_relationships", []):
                    person = _person(each["identifiers"])
                    about = each.get("relationship_attributes", {})
                    self.relations.setdefault(name, {}).setdefault(person, {}).update(about)
            case "object", "delete":
                self.objects.pop(ids["object_id"], None)
                self.relations.pop(ids["object_id"], None)
            case "person", "event":
                self.events.setdefault(operation["id"], operation)
            case "person", "suppress":
                self.suppressed.add(_person(ids))


def _person(ids: Row) -> str:
    ((kind, value),) = ids.items()
    return f"{kind}:{value}"


def _wrong(field: str, reason: str, message: str, place: int | None = None) -> Row:
    error: Row = {"reason": reason, "field": field, "message": message}
    return {"errors": [error if place is None else {"batch_index": place} | error]}
