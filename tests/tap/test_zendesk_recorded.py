"""Recorded walks through Zendesk's pages, replayed: every row once, one host, never too soon."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses
from singer_sdk import Stream, Tap

from tap_journeys import tap as shell
from tap_journeys.sources.base import Source
from tap_journeys.sources.zendesk import Zendesk
from tap_journeys.sources.zendesk_exports import Reading, Tickets, Users, ZendeskStream
from tap_journeys.sources.zendesk_lists import List
from tap_journeys.tap import TapJourneys
from tests.pipes import SHARED

RECORDED = SHARED / "fixtures/zendesk"
CHAINS = sorted((RECORDED / "chains").glob("*.json.gz"))
EXPORTS = sorted(RECORDED.glob("zenpy-*Incremental*/*cursor.json_200.json"))
LAST_PAGE = {"tickets": [], "users": [], "after_cursor": "z", "end_of_stream": True}
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded answers here")

ANY_URL = re.compile("https:.*")
WINDOW_S = 60.0
Address = tuple[str, tuple[tuple[str, str], ...]]
LIMITED = {
    "the account's limit": (
        {"Retry-After": "7"},
        {"error": "APIRateLimitExceeded", "description": "Number of allowed API requests"},
        7,
    ),
    "the edge": ({}, {"status": "429", "title": "Automated response"}, 60),
}


def address(url: str) -> Address:
    """An URL without its host, because the recordings name two for one account.

    Exports were recorded with the page size left out, which is the one that we ask for.
    """
    parts = urlsplit(url)
    query = sorted(pair for pair in parse_qsl(parts.query) if pair != ("per_page", "1000"))
    return parts.path, tuple(query)


def recorded(path: Path) -> dict[Address, dict[str, Any]]:
    """The answers to GET, by address; calls that do not page are left out."""
    body = path.read_bytes()
    calls = json.loads(gzip.decompress(body) if path.suffix == ".gz" else body)
    found = {address(each["url"]): each for each in calls if each["method"] == "GET"}
    return {at: each for at, each in found.items() if rows_of(each["response"])[1]}


def rows_of(answer: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The name and the rows of the list that an answer holds."""
    lists = {name: value for name, value in answer.items() if isinstance(value, list)}
    return next(iter(lists.items()), ("", []))


def next_url(answer: Mapping[str, Any]) -> str | None:
    if "end_of_stream" in answer:
        return None if answer["end_of_stream"] else answer["after_url"]
    if "meta" in answer:
        return answer["links"]["next"] if answer["meta"]["has_more"] else None
    return answer.get("next_page")


def walks(path: Path) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """The calls that nothing leads to, and the ids that one finds from there on."""
    calls = recorded(path)
    reached = {address(url) for call in calls.values() if (url := next_url(call["response"]))}
    for start in [each for each in calls if each not in reached]:
        ids, at = [], start
        while at in calls:
            ids += [row["id"] for row in rows_of(calls[at]["response"])[1]]
            following = next_url(calls[at]["response"])
            if following is None:
                break
            at = address(following)
        yield calls[start], list(dict.fromkeys(ids))


ALL = [
    pytest.param(path, start, ids, id=f"{path.name.partition('.')[0]}-{number}-{len(ids)}")
    for path in (*CHAINS, *EXPORTS)
    for number, (start, ids) in enumerate(walks(path))
    if "per_page=1&" not in start["url"]
]


class Account:
    """Answers as recorded, with a clock that only waiting and answering move."""

    def __init__(self, calls: Mapping[Address, dict[str, Any]], host: str) -> None:
        self.calls, self.host = calls, host
        self.now_s = 0.0
        self.sent: list[tuple[float, Address]] = []
        self.not_before_s = 0.0
        self.refuse: tuple[dict[str, str], dict[str, Any], int] | None = None
        self.left: int | None = None  # what the answers say is left, in place of the recorded
        self._refused: Counter[Address] = Counter()
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now_s += seconds

    def answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        asked = address(request.url)
        assert urlsplit(request.url).netloc == self.host, "it asked another host"
        assert self.now_s >= self.not_before_s, f"{self.not_before_s - self.now_s} s too soon"
        self.sent.append((self.now_s, asked))
        self.now_s += 0.1
        call = self.calls.get(asked)
        if call is None:  # the recording ends here, in the middle of the walk
            ends = (200, LAST_PAGE) if "/incremental/" in asked[0] else (404, {"error": "NotFound"})
            return ends[0], {}, json.dumps(ends[1])
        if self.refuse is not None and not self._refused[asked]:
            self._refused[asked] += 1
            headers, body, wait_s = self.refuse
            self.not_before_s = self.now_s + wait_s - 0.1
            return 429, headers, json.dumps(body)
        headers = dict(call["response_headers"])
        if self.left is not None:
            headers["x-rate-limit-remaining"], headers["ratelimit-reset"] = str(self.left), "30"
            self.not_before_s = self.now_s + 30 - 0.1
        return call["status"], headers, json.dumps(call["response"])


def stream_for(start: Mapping[str, Any]) -> type[ZendeskStream]:
    """Our own stream where there is one for this call, else a list that begins as it does."""
    at, query = urlsplit(start["url"]).path, dict(address(start["url"])[1])
    for own in (Tickets, Users):
        if at == own.path and query == {"start_time": "0"}:
            return own

    class Walk(List):
        name = "zendesk_ticket_fields"  # any: the rows go through as they are
        path, key = at, rows_of(start["response"])[0]
        asked = query

    return Walk


def replay(
    monkeypatch: pytest.MonkeyPatch, path: Path, start: Mapping[str, Any], **said: Any
) -> tuple[list[Any], Account]:
    """The ids that one run writes, and what the account saw."""
    host = urlsplit(start["url"]).netloc
    account = Account(recorded(path), host)
    for name, value in said.items():
        setattr(account, name, value)
    settings = {"email": "admin@acme.test", "api_token": "t", "base_url": f"https://{host}"}
    source = Zendesk.model_validate(settings)
    client = source.client(clock=lambda: account.now_s, sleep=account.sleep)

    class One(Source):
        """One stream."""

        def streams(self, tap: Tap) -> list[Stream]:
            return [stream_for(start)(tap, Reading(client))]

    monkeypatch.setattr(shell, "check_sources", lambda settings: ([One()], []))
    raw = io.BytesIO()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, ANY_URL, account.answer)
        with redirect_stdout(io.TextIOWrapper(raw, encoding="utf-8")):
            assert TapJourneys(config={"sources": {}}).run() == 0
            lines = [json.loads(line) for line in raw.getvalue().splitlines()]
    return [line["record"]["id"] for line in lines if line["type"] == "RECORD"], account


@pytest.mark.parametrize(("path", "start", "ids"), ALL)
def test_every_distinct_row_once_from_one_host_within_the_limit(monkeypatch, path, start, ids):
    found, account = replay(monkeypatch, path, start)
    assert found == ids
    assert len(account.sent) == len(set(account.sent))
    limit = int(start["response_headers"]["x-rate-limit"])
    for at, _ in account.sent:
        assert sum(at <= other < at + WINDOW_S for other, _ in account.sent) <= limit


@pytest.mark.parametrize("refuse", LIMITED.values(), ids=LIMITED.keys())
@pytest.mark.parametrize(("path", "start", "ids"), ALL)
def test_after_a_429_nothing_is_asked_before_its_time(monkeypatch, path, start, ids, refuse):
    found, account = replay(monkeypatch, path, start, refuse=refuse)
    assert found == ids
    assert account.now_s >= refuse[2]


@pytest.mark.parametrize(("path", "start", "ids"), ALL)
def test_where_nothing_is_left_it_waits_for_the_reset(monkeypatch, path, start, ids):
    found, account = replay(monkeypatch, path, start, left=0)
    assert found == ids
    assert len(account.sent) == 1 or account.now_s >= 30
