"""Segment in the sandbox: what it takes, what it leaves out in silence, what can be read back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.segment import Segment
from tests.sandbox.server import Sandbox


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Sandbox("segment") as sandbox:
        sandbox.segment.limits.off = True
        yield sandbox.segment


class Client:
    """Calls as a library makes them, and the sandbox's own answers."""

    def __init__(self, segment: Segment, http: requests.Session) -> None:
        self.segment, self.http = segment, http

    def post(self, call: str, body: object, **more: Any) -> requests.Response:
        more = {"auth": (self.segment.write_key, "")} | more
        url = f"{self.segment.url}/v1/{call}"
        return self.http.post(url, data=json.dumps(body), timeout=5, **more)

    def batch(self, *messages: object) -> requests.Response:
        return self.post("batch", {"batch": messages})

    def get(self, path: str) -> Any:
        return self.http.get(f"{self.segment.url}/sandbox/{path}", timeout=5).json()


@pytest.fixture
def client(segment: Segment, http: requests.Session) -> Client:
    return Client(segment, http)


def track(message_id: str, **more: Any) -> dict[str, Any]:
    """An event of Ana's."""
    told = {"type": "track", "messageId": message_id, "userId": "email:ana@x.test", "event": "E"}
    return told | more


def test_traits_and_events_are_kept_and_read_back(client: Client) -> None:
    who = {"userId": "email:ana@x.test"}
    first = {"type": "identify", "messageId": "m1", "traits": {"a": {"x": 1}, "b": 2}} | who
    second = {"type": "identify", "messageId": "m2", "traits": {"a": {"y": 1}}} | who
    assert client.batch(first, second, track("m3")).json() == {"success": True}
    account = {"userId": "u", "groupId": "company:1", "traits": {"name": "Acme"}}
    assert client.post("group", account | {"messageId": "m4"}).status_code == 200
    client.post("track", track("m5", userId=None, anonymousId="browser"))

    assert client.get("users/email:ana@x.test") == {"a": {"y": 1}, "b": 2}  # replaced as a whole
    assert client.get("groups") == {"company:1": {"name": "Acme"}}
    (event,) = client.get("events?userId=email:ana@x.test")
    assert event["messageId"] == "m3"
    assert [each["messageId"] for each in client.get("events")] == ["m3", "m5"]
    assert client.get("dropped") == []


def test_a_message_that_was_seen_counts_once(client: Client) -> None:
    for _ in range(3):
        client.batch(track("m1"), track("m1"), track("m2"))
    assert [each["messageId"] for each in client.get("events")] == ["m1", "m2"]
    assert client.segment.repeats == 7
    no_id = {"userId": "u", "event": "E"}
    client.post("track", no_id)
    client.post("track", no_id)  # nothing tells that it is the same
    assert len(client.get("events")) == 4


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (track("m", userId=None), "no_user_anon_id"),
        (track("m", event=""), "track without event"),
        (track("m" * 100), "messageId is too long"),
        (track("m", type="trakc"), "unknown type"),
        (track("m", type="group", groupId=""), "groupId"),
        (track("m", type="group", groupId="g" * 501), "groupId"),
        (track("m", properties=dict.fromkeys(map(str, range(301)), 1)), "too many traits"),
        (track("m", timestamp="1969-12-31T23:59:59Z"), "timestamp before 1970"),
        (track("m", properties={"long": "x" * 32_768}), "message is too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_left_out_is_answered_with_200(
    client: Client, message: dict[str, Any], reason: str
) -> None:
    assert client.batch(message, track("good")).json() == {"success": True}
    (gone,) = client.get("dropped")
    assert gone["reason"].startswith(reason)
    assert [each["messageId"] for each in client.get("events")] == ["good"]


def test_a_batch_of_2501_is_answered_with_200_and_not_taken(client: Client) -> None:
    messages = [{"userId": "u", "type": "track", "messageId": str(n)} for n in range(2501)]
    assert client.batch(*messages).status_code == 200
    assert client.get("events") == []
    assert len(client.get("dropped")) == 2501
    client.batch(*(each | {"event": "E"} for each in messages[:2500]))
    assert len(client.get("events")) == 2500


def test_what_is_too_long_or_no_json_is_refused(client: Client) -> None:
    full = [track(str(n), properties={"long": "x" * 20_000}) for n in range(26)]
    assert client.batch(*full).status_code == 400  # more than 500 KB
    assert client.batch(*full[:25]).status_code == 200
    assert client.post("track", track("m", properties={"long": "x" * 32_768})).status_code == 400
    url, auth = f"{client.segment.url}/v1/batch", (client.segment.write_key, "")
    assert client.http.post(url, data=b"{", auth=auth, timeout=5).status_code == 400
    packed = gzip.compress(json.dumps({"batch": [track("packed")]}).encode())
    headers = {"Content-Encoding": "gzip"}
    answer = client.http.post(url, data=packed, auth=auth, headers=headers, timeout=5)
    assert answer.status_code == 200
    assert client.get("events")[-1]["messageId"] == "packed"


def test_the_write_key_is_basic_or_in_the_body(client: Client) -> None:
    assert client.post("track", track("m1"), auth=("other", "")).status_code == 401
    assert client.post("track", track("m1"), auth=None).status_code == 401
    own = {"writeKey": client.segment.write_key}
    assert client.post("track", track("m1") | own, auth=None).status_code == 200
    assert client.post("alias", {}).status_code == 404
    assert client.http.get(f"{client.segment.url}/v1/batch", timeout=5).status_code == 405
    assert len(client.get("events")) == 1


def test_too_many_requests_say_how_long_to_wait(client: Client) -> None:
    client.segment.limits.off = False
    client.segment.limits["workspace"].limit = 2
    statuses = [client.post("track", track(str(n))).status_code for n in range(3)]
    assert statuses == [200, 200, 429]
    answer = client.post("track", track("m"))
    assert answer.headers["Retry-After"] == answer.headers["X-RateLimit-Reset"] == "1"
    assert len(client.get("events")) == 2
