"""Requests one after the other, in one thread, so that a test can die at any of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from target_journeys.side_by_side import Done


class Killed(BaseException):
    """Where a process would have died."""


class InTurn:
    """In place of threads: a call runs when its result is asked for, in any order."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[[Any], Any], Any]] = []

    @property
    def running(self) -> int:
        return len(self._calls)

    def start(self, call: Callable[[Any], Any], item: Any) -> None:
        self._calls.append((call, item))

    def next(self, timeout_s: float) -> Done[Any, Any]:
        call, item = self._calls.pop(random.randrange(len(self._calls)))
        return Done(item, call(item), None)
