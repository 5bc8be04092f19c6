"""What goes wrong on purpose: a seeded plan that can be changed at any time.

Whether a request fails depends on the seed, the request and how often it came, never on the order
in which threads arrive; so a failing test fails again.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sandbox.base import Request


@dataclass(frozen=True)
class Fault:
    """What happens to one request."""

    latency_s: float = 0.0
    status: int | None = None  # answered instead of the vendor, before anything was done
    retry_after_s: int | None = None  # sent along with that status
    reset: bool = False  # the connection is reset before an answer
    cut: bool = False  # the connection is reset in the middle of the answer
    truncated: bool = False  # the answer is whole as HTTP, but half of the body is missing
    unauthorized: bool = False  # the token has expired, as the vendor says it


@dataclass
class Faults:
    """The plan. A share is a number between 0 and 1; all are 0 until a test says otherwise."""

    seed: int = 0
    latency_ms: float = 0.0  # before each answer
    slow_share: float = 0.0
    slow_ms: float = 1000.0  # more, for the slow ones
    error_share: float = 0.0
    error_statuses: tuple[int, ...] = (500, 502, 503)
    retry_after_s: int | None = None  # sent with 503; None: left out
    reset_share: float = 0.0
    cut_share: float = 0.0
    truncated_share: float = 0.0
    expired_share: float = 0.0  # the token is declared expired; the token endpoint gives another
    in_a_row: int = 2  # the same request fails at most so often before it is answered
    daily_limit_reached: bool = False
    index_lag_s: float = 0.0  # how far a search index is behind, by the vendor's clock
    missing_scopes: set[str] = field(default_factory=set)  # stream or scope names of the vendor
    on_request: list[Callable[[int, Request], None]] = field(default_factory=list)
    """Called with the number of the request (from 1) before it is answered."""
    happened: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter, repr=False)
    _row: Counter[str] = field(default_factory=Counter, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def at_request(self, number: int, action: Callable[[], None]) -> None:
        """Do something when the request with this number arrives, such as killing the client."""
        self.on_request.append(lambda n, _: action() if n == number else None)

    def decide(self, request: Request, *, with_token: bool) -> Fault:
        """The fault of this request; `with_token` says that it can be refused as expired."""
        key = f"{request.method} {request.target} {zlib.crc32(request.body)}"
        with self._lock:
            self._seen[key] += 1
            dice = random.Random(f"{self.seed} {key} {self._seen[key]}")
            fault, name = self._draw(dice, with_token=with_token)
            if name and self._row[key] >= self.in_a_row:
                fault, name = Fault(latency_s=fault.latency_s), ""
            self._row[key] = self._row[key] + 1 if name else 0
            if name:
                self.happened[name] += 1
            return fault

    def _draw(self, dice: random.Random, *, with_token: bool) -> tuple[Fault, str]:
        slow = dice.random() < self.slow_share
        latency = (self.latency_ms + (self.slow_ms if slow else 0.0)) / 1000
        at = dice.random()
        if at < self.error_share:
            status = dice.choice(self.error_statuses)
            wait = self.retry_after_s if status == 503 else None
            return Fault(latency, status=status, retry_after_s=wait), "error"
        at -= self.error_share
        if at < self.reset_share:
            return Fault(latency, reset=True), "reset"
        at -= self.reset_share
        if at < self.cut_share:
            return Fault(latency, cut=True), "cut"
        at -= self.cut_share
        if at < self.truncated_share:
            return Fault(latency, truncated=True), "truncated"
        at -= self.truncated_share
        if at < self.expired_share and with_token:
            return Fault(latency, unauthorized=True), "expired"
        return Fault(latency), ""
