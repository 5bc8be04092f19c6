"""Whatever a receiver answers and wherever a run dies: one state per row, one effect per change."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests

from target_journeys import outbox as outbox_module
from target_journeys import sending
from target_journeys.destinations.webhook import Webhook
from target_journeys.outbox import Outbox
from target_journeys.rows import JSON_COLUMNS
from target_journeys.sending import Sender
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import STAGE_COLUMNS
from tests.target.capricious import SILENCE_S, Memory
from tests.target.in_turn import InTurn, Killed
from tests.target.jobs import Jobs
from tests.target.watch import Watch

FAST_CASES = 200
REAL_CASES = 500  # OUTBOX_CASES=10000 for the whole of it; OUTBOX_SEED is the first one
KEYS = 3  # journeys of a case
ENDS = {"sent", "refused", "unknown", "superseded"}
TOP = Path(__file__).parents[2]


class Case:
    """One random history with its deliveries."""

    def __init__(self, seed: int, folder: Path, template: Path, url: str) -> None:
        self.random = random.Random(seed)
        random.seed(seed)
        self.path = folder / "case.db"
        for each in folder.glob("case.db*"):
            each.unlink()
        shutil.copy(template, self.path)
        self._open: SQLiteStore | None = None
        self.watch = Watch()
        self.drops_repeats = self.random.random() < 0.7
        rows = self.random.choice([["record"], ["transition"], ["record", "transition"]])
        accepts = self.random.random() < 0.4
        self.destination = (Jobs if accepts else Webhook)(
            url=f"{url}/{'jobs' if accepts else 'rows'}",
            rows=rows,
            max_batch=self.random.choice([1, 2, 5, 100]),
            idempotent=self.drops_repeats,
        )
        self.number = 0

    @property
    def store(self) -> SQLiteStore:
        if self._open is None:
            self._open = SQLiteStore(str(self.path))
        return self._open

    def close(self) -> None:
        """Let go of the file; whatever comes next opens it anew."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def outbox(self) -> Outbox:
        outbox = Outbox({"webhook": self.destination})
        outbox.now, outbox.sleep = self.watch.now, self.watch.sleep
        return outbox

    def change(self) -> None:
        """Some journeys move, are corrected, or cease to exist."""
        stages, visits, dropped = [], [], []
        for scope in self.random.sample("ABCDE"[:KEYS], self.random.randint(1, KEYS)):
            self.number += 1
            key = ("email:ana@acme.test", "product", scope, 1)
            if self.random.random() < 0.15:
                dropped.append(key)
                continue
            entered = f"2026-01-{self.random.randint(1, 2):02}T00:00:00Z"
            stage = self.random.choice(["considering", "using"])
            stages.append(stage_of(key, stage, entered))
            visits.append((*key, 0, stage, entered, 1, f"e{self.number}"))
        with self.store.transaction():
            self.store.keep_stages(stages)
            self.store.drop_stages(dropped)
            self.outbox().enqueue(self.store, stages, visits, dropped, consents={})

    def deliver(self) -> None:
        self.outbox().deliver(self.store)

    def play(
        self, mood: Callable[..., None], dying: Callable[[int, Callable[[], None]], None]
    ) -> None:
        """Changes and deliveries in any order, then deliveries in peace until nothing waits."""
        for _ in range(self.random.randint(2, 6)):
            for _ in range(self.random.randint(0, 3)):
                self.change()
            mood(self.random.getrandbits(32), calm=False, drops_repeats=self.drops_repeats)
            self.close()  # it does not outlive a fork, nor a death
            dying(self.random.choice([10**9, *range(1, 25)]), self.deliver)
            self.close()
            self.watch.sleep(self.random.choice([0, 5, 130, 1000]))
        mood(0, calm=True, drops_repeats=self.drops_repeats)
        for _ in range(30):
            self.watch.sleep(1000)
            self.deliver()
            if not self.rows(
                "select 1 from outbox where status in ('waiting', 'leased', 'accepted')"
            ):
                return

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.store.connection.execute(sql).fetchall()

    def judge(self, memory: dict[str, Any]) -> None:
        """One state per row; what the receiver holds is what the store says."""
        assert not memory["faults"], memory["faults"]
        assert all(times == 1 for times in memory["effects"].values())
        refused = {(key, version) for key, version in memory["refused"]}
        known = {
            json.dumps(list(row[:4]), separators=(",", ":")): dict(
                zip(STAGE_COLUMNS, row, strict=True)
            )
            for row in self.rows(f"select {', '.join(STAGE_COLUMNS)} from journey_stages")
        }
        took = {event for _, event in memory["transitions"]}
        doubt = 0
        for key, kind, op, version, status, payload in self.rows(
            "select record_key, kind, op, version, status, payload from outbox"
        ):
            assert status in ENDS, (key, status)
            doubt += status == "unknown"
            if status == "refused":
                assert (key, version) in refused
            if kind == "transition":
                happened = json.loads(payload)["event_id"] in took
                # what was refused may have arrived by an attempt whose answer was lost
                assert happened or status != "sent", key
            elif status == "sent" and op == "delete":
                assert memory["state"].get(key, (0, None))[1] is None
            elif status == "sent":
                told = memory["state"][key][1]
                for name in ("stage", "stage_entered_at"):
                    assert told is not None and told[name] == known[key][name], key
        assert not (doubt and self.drops_repeats)


def seeds(count: int) -> range:
    """One for each case."""
    first = int(os.environ.get("OUTBOX_SEED", "0"))
    return range(first, first + int(os.environ.get("OUTBOX_CASES", count)))


def stage_of(key: tuple[Any, ...], stage: str, entered: str) -> tuple[Any, ...]:
    """A stage record as the store keeps it; few differ, so that journeys return to what was."""
    values = dict.fromkeys(STAGE_COLUMNS) | dict.fromkeys(JSON_COLUMNS, "[]")
    values |= dict(zip(STAGE_COLUMNS, key, strict=False)) | {
        "stage": stage,
        "stage_entered_at": entered,
        "event_count": 1,
        "disagreement": 0,
        "cycle": 1,
    }
    return tuple(values[name] for name in STAGE_COLUMNS)


def steps(monkeypatch: pytest.MonkeyPatch, die: Callable[[], None]) -> list[int]:
    """Call ``die`` before or after the n-th begin, commit or request; n is the list's one item."""
    left = [10**9]

    def counted(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            for _ in range(2):
                left[0] -= 1
                if left[0] == 0:
                    die()
                if _ == 0:
                    result = inner(*arguments)
            return result

        return call

    monkeypatch.setattr(SQLiteStore, "begin", counted(SQLiteStore.begin))
    monkeypatch.setattr(SQLiteStore, "commit", counted(SQLiteStore.commit))
    monkeypatch.setattr(Sender, "_exchange", counted(Sender._exchange))
    return left


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that can be: a kill leaves what was written, and a disk is waited for."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=shared) as name:
        yield Path(name)


@pytest.fixture
def template(folder: Path) -> Path:
    """A new store, to be copied."""
    path = folder / "template.db"
    SQLiteStore(str(path)).close()
    return path


def test_every_history_ends_well(folder, template, monkeypatch, caplog):
    caplog.set_level("CRITICAL")
    memory = Memory()

    def send(self: Any, prepared: requests.PreparedRequest, **_: Any) -> requests.Response:
        path = str(prepared.path_url)
        if prepared.method == "GET":
            end, status, headers, answer = memory.tell(path.rpartition("/")[2])
        else:
            body = prepared.body
            assert isinstance(body, bytes)
            end, status, headers, answer = memory.answer(body, accepts=path == "/jobs")
        if end:
            raise requests.ReadTimeout if end == "silent" else requests.ConnectionError
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response._content = b"" if answer is None else json.dumps(answer).encode()
        return response

    def die() -> None:
        raise Killed

    monkeypatch.setattr(requests.Session, "send", send)
    monkeypatch.setattr(outbox_module, "SideBySide", InTurn)
    left = steps(monkeypatch, die)

    def dying(after: int, deliver: Callable[[], None]) -> None:
        left[0] = after
        with suppress(Killed):
            deliver()
        left[0] = 10**9

    for seed in seeds(FAST_CASES):
        memory.__init__()  # type: ignore[misc]  # the transport keeps hold of this one
        case = Case(seed, folder, template, "http://receiver.test")
        case.play(memory.mood, dying)
        try:
            case.judge(json.loads(json.dumps(memory.as_json())))
        except AssertionError as error:
            raise AssertionError(f"case {seed}: {error}") from error
        finally:
            case.close()


@pytest.fixture
def receiver() -> Iterator[str]:
    """The address of a receiver in a process of its own."""
    command = [sys.executable, "-m", "tests.target.capricious"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=TOP, **pipes) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.mark.real
def test_every_history_ends_well_with_real_kills(folder, template, monkeypatch, receiver, caplog):
    caplog.set_level("CRITICAL")
    monkeypatch.setattr(sending, "TIMEOUT_S", SILENCE_S)
    left = steps(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL))

    def dying(after: int, deliver: Callable[[], None]) -> None:
        child = os.fork()
        if child == 0:
            left[0] = after
            with suppress(BaseException):
                deliver()
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert status == 0 or os.WIFSIGNALED(status), "a delivery failed"

    with requests.Session() as session:
        fresh = True

        def mood(seed: int, **rest: Any) -> None:
            nonlocal fresh
            session.post(f"{receiver}/mood", json={"seed": seed, "fresh": fresh, **rest})
            fresh = False

        for seed in seeds(REAL_CASES):
            fresh = True
            case = Case(seed, folder, template, receiver)
            case.play(mood, dying)
            try:
                case.judge(session.get(f"{receiver}/memory").json())
            except AssertionError as error:
                raise AssertionError(f"case {seed}: {error}") from error
            finally:
                case.close()
