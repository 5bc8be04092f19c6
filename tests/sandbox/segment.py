"""Segment on loopback: what it was told, and what it left out in silence.

Oddities that are kept: only a body that is too long or no JSON is refused; everything else is
answered with 200, also 2,501 messages, of which none is taken, and a message that is left out. A
`messageId` that was seen counts once; a trait is replaced as a whole. From general knowledge: a
write key that is not known is a 401, and a message of a batch that is too long is left out alone.

Segment has nothing to read back with but its Profile API; `GET /sandbox/…` is the sandbox's own.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from tests.sandbox.base import (
    Answer,
    Clock,
    RefusedError,
    Request,
    Routes,
    Vendor,
    iso,
    moment,
    new_id,
)
from tests.sandbox.limits import Bucket

LONGEST_BATCH = 500 * 1024  # bytes
LONGEST_MESSAGE = 32 * 1024  # bytes; also of the body of a single call
MOST_MESSAGES = 2_500  # in a batch
MOST_TRAITS = 300  # or properties; more are dropped behind the API
LONGEST_MESSAGE_ID = 99  # characters
LONGEST_GROUP_ID = 500

Row = dict[str, Any]
routes = Routes()


class Segment(Vendor):
    """Segment."""

    name = "segment"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.write_key = "sandbox-write-key"
        self.users: dict[str, Row] = {}  # userId, else anonymousId → traits
        self.groups: dict[str, Row] = {}  # groupId → traits
        self.events: list[Row] = []  # of `track`, as they came
        self.dropped: list[Row] = []  # what was answered with 200 and left out: messageId, reason
        self.repeats = 0
        self._seen: set[str] = set()  # messageIds

    def tap_settings(self) -> Row:
        return {}  # it is no source

    def target_settings(self) -> Row:
        return {"base_url": self.url, "write_key": self.write_key}

    # -- what the core asks ----------------------------------------------------------------------

    def documented_limits(self) -> list[Bucket]:
        return [Bucket("workspace", 1000, 1)]

    def buckets(self, request: Request) -> Sequence[str]:
        return ("workspace",) if request.path.startswith("/v1/") else ()

    def can_expire(self, request: Request) -> bool:
        return False

    def answer(self, request: Request) -> Answer:
        found = routes.find(request.method, request.path)
        if not isinstance(found, tuple):
            return Answer(405 if found else 404, {"success": False})
        function, arguments = found
        try:
            return function(self, request, **{k: unquote(v) for k, v in arguments.items()})
        except RefusedError as refusal:
            return refusal.answer

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        seconds = str(max(1, math.ceil(wait_s)))
        told = {"Retry-After": seconds, "X-RateLimit-Reset": seconds}
        return Answer(429, {"success": False, "message": "Too Many Requests"}, told)

    # -- what it is told -------------------------------------------------------------------------

    def take(self, message: Row) -> None:
        """Keep a message, or why it is left out."""
        message = {"messageId": new_id()} | message  # an id-less repeat is a new message
        reason = wrong_with(message)
        if reason is not None:
            self.dropped.append({"messageId": message["messageId"], "reason": reason})
            return
        if message["messageId"] in self._seen:
            self.repeats += 1
            return
        self._seen.add(message["messageId"])
        if message["type"] == "track":
            self.events.append({"receivedAt": iso(self.clock.now())} | message)
        elif message["type"] == "group":
            self.groups.setdefault(message["groupId"], {}).update(message.get("traits") or {})
        elif message["type"] == "identify":
            self.users.setdefault(_who(message), {}).update(message.get("traits") or {})

    def body(self, request: Request, longest: int) -> Row:
        """The body of a call with a write key that is known. Raises RefusedError."""
        try:
            packed = request.headers.get("content-encoding") == "gzip"
            text = gzip.decompress(request.body) if packed else request.body
            found = json.loads(text)
        except (OSError, EOFError, ValueError):
            raise RefusedError(400, {"success": False, "message": "malformed JSON"}) from None
        if len(text) > longest:
            raise RefusedError(400, {"success": False, "message": "payload is too large"})
        login = request.basic
        if self.write_key not in {login[0] if login else None, found.get("writeKey")}:
            raise RefusedError(401, {"success": False, "message": "unknown write key"})
        return dict(found)


def wrong_with(message: Row) -> str | None:
    """Why a message is left out."""
    kind = message.get("type")
    told = message.get("traits" if kind in {"identify", "group"} else "properties") or {}
    group = message.get("groupId") or ""
    reasons = {
        "message is too large": len(json.dumps(message, ensure_ascii=False).encode())
        > LONGEST_MESSAGE,
        "no_user_anon_id": not _who(message),
        "track without event": kind == "track" and not message.get("event"),
        "unknown type": kind not in {"track", "identify", "group", "page", "screen", "alias"},
        "groupId": kind == "group" and not 0 < len(group) <= LONGEST_GROUP_ID,
        "messageId is too long": len(message["messageId"]) > LONGEST_MESSAGE_ID,
        "too many traits or properties": len(told) > MOST_TRAITS,
        "timestamp before 1970": _is_ancient(message.get("timestamp")),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _who(message: Row) -> str:
    return str(message.get("userId") or message.get("anonymousId") or "")


def _is_ancient(at: str | None) -> bool:
    return at is not None and moment(at).timestamp() < 0


# -- routes --------------------------------------------------------------------------------------


@routes("POST", "/v1/batch")
def _batch(segment: Segment, request: Request) -> Answer:
    messages = segment.body(request, LONGEST_BATCH).get("batch", [])
    if len(messages) > MOST_MESSAGES:
        gone = [{"messageId": m.get("messageId"), "reason": "batch is too large"} for m in messages]
        segment.dropped += gone
    else:
        for message in messages:
            segment.take(message)
    return Answer(200, {"success": True})


@routes("POST", "/v1/{kind}")
def _single(segment: Segment, request: Request, kind: str) -> Answer:
    if kind not in {"identify", "track", "group"}:
        raise RefusedError(404, {"success": False})
    segment.take(segment.body(request, LONGEST_MESSAGE) | {"type": kind})
    return Answer(200, {"success": True})


@routes("GET", "/sandbox/{kind}")
def _all(segment: Segment, request: Request, kind: str) -> Answer:
    """Everything of a kind: users, groups, events (of one `userId`), dropped."""
    kept = {name: getattr(segment, name) for name in ("users", "groups", "events", "dropped")}
    if kind not in kept:
        raise RefusedError(404, {"known": sorted(kept)})
    user = request.get("userId")
    if kind == "events" and user:
        return Answer(200, [each for each in segment.events if _who(each) == user])
    return Answer(200, kept[kind])


@routes("GET", "/sandbox/{kind}/{key}")
def _one(segment: Segment, request: Request, kind: str, key: str) -> Answer:
    """The traits of one user or group."""
    traits = {"users": segment.users, "groups": segment.groups}.get(kind, {}).get(key)
    if traits is None:
        raise RefusedError(404, {"message": "never heard of"})
    return Answer(200, traits)
