"""Requests that wait for answers at the same time; one thread keeps the store.

All threads of the target are in this file, and they only send: what is sent next, and what becomes
of a row, is decided by the thread that owns the store.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Done(NamedTuple, Generic[T, R]):
    """A call that has ended, one way or the other."""

    item: T
    result: R | None
    error: Exception | None  # our own mistake: what a call expects to fail is in its result


class SideBySide(Generic[T, R]):
    """Calls that run at the same time, and their results as they come."""

    def __init__(self) -> None:
        self._done: queue.SimpleQueue[Done[T, R]] = queue.SimpleQueue()
        self.running = 0

    def start(self, call: Callable[[T], R], item: T) -> None:
        """Call in a thread of its own."""
        self.running += 1
        # a daemon: a signal must not wait for a vendor's answer
        threading.Thread(target=self._run, args=(call, item), daemon=True).start()

    def _run(self, call: Callable[[T], R], item: T) -> None:
        try:
            self._done.put(Done(item, call(item), None))
        except Exception as error:  # handed to the thread that waits
            self._done.put(Done(item, None, error))

    def next(self, timeout_s: float) -> Done[T, R] | None:
        """The next call that has ended; none if that takes longer."""
        try:
            done = self._done.get(timeout=max(timeout_s, 0))
        except queue.Empty:
            return None
        self.running -= 1
        return done
