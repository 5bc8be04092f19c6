"""Streams read at once: order within each, STATE that is true, failures that stay alone."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any

import pytest
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

from tap_journeys import tap as shell
from tap_journeys.side_by_side import together
from tap_journeys.sources.base import ApiStream, Page, Source
from tap_journeys.sources.errors import MissingScopeError
from tap_journeys.tap import TapJourneys

SCHEMA = th.PropertiesList(th.Property("id", th.IntegerType), th.Property("at", th.StringType))


class Toy(ApiStream):
    """Three parts of three pages of ten records; the parts wait for each other in a given way."""

    primary_keys = ("id",)
    replication_key = "at"
    schema = SCHEMA.to_dict()

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[int]:
        yield from range(int(bookmark.get("part", 0)), 3)

    def read(self, part: int) -> Iterator[Page]:
        for page in range(3):
            first = (part * 3 + page) * 10
            rows = [{"id": n, "at": f"2026-01-01T00:00:{n:02}Z"} for n in range(first, first + 10)]
            yield Page(rows, {"part": part + 1} if page == 2 else None)


def run(
    monkeypatch: pytest.MonkeyPatch,
    *streams: type[ApiStream],
    state: dict[str, Any] | None = None,
) -> tuple[list[dict[str, Any]], int]:
    class Toys(Source):
        """Toys."""

        def streams(self, tap: Tap) -> list[Stream]:
            return [each(tap, name=each.__name__.lower()) for each in streams]

    monkeypatch.setattr(shell, "check_sources", lambda settings: ([Toys()], []))
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="utf-8")):
        code = TapJourneys(config={"sources": {}}, state=state).run()
        return [json.loads(line) for line in raw.getvalue().splitlines()], code


def ids(messages: list[dict[str, Any]], stream: str) -> list[int]:
    return [m["record"]["id"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream]


def test_all_streams_are_complete_and_in_order(monkeypatch):
    class A(Toy): ...

    class B(Toy): ...

    messages, code = run(monkeypatch, A, B)
    assert ids(messages, "a") == list(range(90))
    assert ids(messages, "b") == list(range(90))
    assert [m["stream"] for m in messages if m["type"] == "SCHEMA"] == ["a", "b"]
    assert messages[-1]["value"]["bookmarks"] == {"a": {"part": 3}, "b": {"part": 3}}
    assert code == 0


def test_a_later_part_that_is_read_first_is_written_in_its_turn(monkeypatch):
    last_is_read = threading.Event()

    class A(Toy):
        def read(self, part: int) -> Iterator[Page]:
            if part == 0:
                assert last_is_read.wait(10)
            yield from super().read(part)
            if part == 2:
                last_is_read.set()

    assert ids(run(monkeypatch, A)[0], "a") == list(range(90))


def test_two_streams_that_need_each_other_to_go_on_do(monkeypatch):
    both = threading.Barrier(2, timeout=10)

    class A(Toy):
        def read(self, part: int) -> Iterator[Page]:
            if part == 0:
                both.wait()
            yield from super().read(part)

    class B(A): ...

    messages, code = run(monkeypatch, A, B)
    assert (len(ids(messages, "a")), len(ids(messages, "b")), code) == (90, 90, 0)


def test_a_stream_that_fails_keeps_its_bookmark_and_stops_nobody(monkeypatch, caplog):
    class A(Toy):
        def read(self, part: int) -> Iterator[Page]:
            if part == 1:
                raise RuntimeError("secret record")
            yield from super().read(part)

    class B(Toy): ...

    messages, code = run(monkeypatch, A, B, state={"bookmarks": {"a": {"part": 0}}})
    assert ids(messages, "a") == list(range(30))
    assert ids(messages, "b") == list(range(90))
    assert messages[-1]["value"]["bookmarks"]["a"] == {"part": 1}
    assert code == 1
    said = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert len(said) == 1
    assert said[0].startswith("Stream 'a': RuntimeError at tests.tap.test_side_by_side:")
    assert "secret record" not in caplog.text


def test_no_parts_at_all_is_a_failure_when_planning_fails(monkeypatch):
    class A(Toy):
        def parts(self, bookmark: Mapping[str, Any]) -> Iterator[int]:
            yield 0
            raise OSError

    messages, code = run(monkeypatch, A)
    assert (ids(messages, "a"), code) == (list(range(30)), 1)


def test_a_missing_scope_is_a_warning_that_names_it(monkeypatch, caplog):
    class A(Toy):
        def read(self, part: int) -> Iterator[Page]:
            raise MissingScopeError("crm.objects.deals.read")

    class B(Toy): ...

    messages, code = run(monkeypatch, A, B)
    assert (ids(messages, "a"), len(ids(messages, "b")), code) == ([], 90, 0)
    assert "crm.objects.deals.read" in caplog.text


def test_a_restart_reads_what_the_bookmark_does_not_cover(monkeypatch):
    class A(Toy): ...

    messages, _ = run(monkeypatch, A, state={"bookmarks": {"a": {"part": 2}}})
    assert ids(messages, "a") == list(range(60, 90))


def test_the_same_version_of_a_record_is_written_once(monkeypatch):
    class A(Toy):
        def read(self, part: int) -> Iterator[Page]:
            for page in super().read(part):
                yield page
                yield page

    assert ids(run(monkeypatch, A)[0], "a") == list(range(90))


def test_a_record_without_its_key_is_set_aside_and_counted(monkeypatch, capsys):
    class A(Toy):
        def read(self, part: int) -> Iterator[Page]:
            yield Page([{"id": None, "at": "x"}, {"id": part, "at": "x"}])

    messages, code = run(monkeypatch, A)
    assert (ids(messages, "a"), code) == ([0, 1, 2], 3)
    assert "3 keyless records set aside" in capsys.readouterr().err


def test_together_gives_results_and_errors_in_order():
    found = list(together(lambda n: 10 // n, [1, 0, 5]))
    assert found[0] == (1, 10)
    assert isinstance(found[1][1], ZeroDivisionError)
    assert found[2] == (5, 2)
