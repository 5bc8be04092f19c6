"""Two runs at once on one store: one after the other, or refused with one line; never mixed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from target_journeys.stores import StoreInUseError, open_store, sqlite, sqlite_run
from target_journeys.target import TargetJourneys
from tests.pipes import BIN
from tests.target.messages import SCHEMA, lines, product, products_schema, record, state, sync

CONFIG = {"store": "sqlite:///journeys.db", "as_of": "2026-01-02T00:00:00Z"}
WAITS_S = 3  # in which a run that does not wait is through
STARTS = 4  # at once, of a store that is not there yet


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A target that waits for its input."""
    (folder / "c.json").write_text(json.dumps(CONFIG))
    with subprocess.Popen(
        [str(BIN / "target-journeys"), "--config", "c.json"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def acknowledged(process: subprocess.Popen[str], text: str) -> None:
    """Write these lines and wait until the STATE that ends them is durable."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(text)
    process.stdin.flush()
    assert process.stdout.readline()


def test_the_second_waits_for_the_first_and_knows_what_it_kept(tmp_path: Path) -> None:
    named = product(product_id="GTX-PRO", aliases=["GTXPro"])
    by_alias = record(1, scopes=[{"grain": "product", "id": "GTXPro"}])
    with started(tmp_path) as first:
        acknowledged(first, lines(SCHEMA, record(0), state(1)))
        with started(tmp_path) as second:
            # Were it not to wait, the first would not learn of the catalogue and keep the alias.
            with pytest.raises(subprocess.TimeoutExpired):
                second.communicate(lines(products_schema(), named), timeout=WAITS_S)
            _, said = first.communicate(lines(by_alias))
            assert first.returncode == 0, said
            _, said = second.communicate()
            assert second.returncode == 0, said
    assert products(tmp_path / "journeys.db") == {"P", "GTX-PRO"}


def products(store: Path) -> set[str]:
    with closing(sqlite3.connect(store)) as db:
        return {name for (name,) in db.execute("select product from journey_stages")}


def test_one_that_waits_too_long_ends_with_one_line(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sqlite_run.SQLiteRun.begin, "__defaults__", (0.1,))
    with started(tmp_path) as first:
        acknowledged(first, lines(SCHEMA, record(1), state(1)))
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            TargetJourneys.cli(["--config", "c.json"])
        assert ended.value.code == 1
        (error,) = [each.message for each in caplog.records if each.levelname == "ERROR"]
        assert error == (
            "store: journeys.db is in use by another run. It was waited for 0.1 s; "
            "run again when that run has ended."
        )
        _, said = first.communicate(lines(record(2)))
        assert "2 events (2 new)" in said


def test_a_run_that_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        acknowledged(first, lines(SCHEMA, record(1), state(1)))
        first.kill()
        first.wait()
        target = sync(tmp_path / "journeys.db", SCHEMA, record(2))
    assert target.ledger.tally.new == 1


def test_people_read_while_a_run_has_the_store(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        acknowledged(first, lines(SCHEMA, record(1), state(1)))
        asked = [str(BIN / "journeys"), "explain", "email:ana@acme.test", "--config", "c.json"]
        done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
    assert "Considering" in done.stdout, done.stderr


def test_many_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    code = "import sys; from target_journeys.stores import open_store as o; o(sys.argv[1]).close()"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/journeys.db"]
    opening = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(STARTS)]
    said = [process.communicate()[1].decode() for process in opening]
    assert not any(process.returncode for process in opening), said


def test_a_locked_file_is_not_called_broken(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    path = tmp_path / "journeys.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("begin exclusive")
        with pytest.raises(StoreInUseError, match="is being written by another run"):
            open_store(f"sqlite:///{path}")
