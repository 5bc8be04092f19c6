"""A store in a folder of its own, and a clock that moves only when somebody sleeps."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from target_journeys.outbox import Outbox
from tests.target.watch import Watch


class Kept:
    """Where a store lies, and what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def ask(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def stages(self) -> list[tuple[Any, ...]]:
        return self.ask("select * from journey_stages order by 1, 2, 3, 4")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "journeys.db")


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(Outbox, "now", staticmethod(watch.now))
    monkeypatch.setattr(Outbox, "sleep", staticmethod(watch.sleep))
    return watch
