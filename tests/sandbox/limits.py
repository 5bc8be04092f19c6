"""Rate limits as vendors keep them, and the account of how well a client used them.

Limits count real seconds (a monotonic clock), whatever time it is in the vendor's world.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Bucket:
    """So many requests in so many seconds.

    A rolling window looks back from each request; a fixed one begins with the first request after
    the last one ended.
    """

    name: str
    limit: int
    window_s: float
    kind: Literal["rolling", "fixed"] = "rolling"
    requests: int = 0  # that were let through
    refused: int = 0  # that were answered 429
    first_at: float | None = None  # monotonic seconds
    last_at: float | None = None
    _taken: deque[float] = field(default_factory=deque, repr=False)

    def wait(self, now: float, rate_factor: float) -> float:
        """Seconds until the next request is let through; 0 if it is now."""
        window = self.window_s / rate_factor
        self._forget(now, window)
        if len(self._taken) < self.limit:
            return 0.0
        # At a limit of 0 nothing frees a place: a whole window is named.
        return (self._taken[0] if self._taken else now) + window - now

    def take(self, now: float) -> None:
        self._taken.append(now)
        self.requests += 1
        self.first_at = now if self.first_at is None else self.first_at
        self.last_at = now

    def remaining(self) -> int:
        return max(0, self.limit - len(self._taken))

    def resets_in(self, now: float, rate_factor: float) -> float:
        """Seconds until the oldest request (rolling) or the window (fixed) is forgotten."""
        return max(0.0, self._taken[0] + self.window_s / rate_factor - now) if self._taken else 0.0

    def allowed(self, rate_factor: float) -> float:
        """How many requests the rate gives between the first one and the last one."""
        if self.first_at is None or self.last_at is None:
            return 0.0
        window = self.window_s / rate_factor
        return self.limit * max(1.0, (self.last_at - self.first_at) / window)

    def _forget(self, now: float, window: float) -> None:
        if self.kind == "fixed":
            if self._taken and now >= self._taken[0] + window:
                self._taken.clear()
        else:
            while self._taken and now >= self._taken[0] + window:
                self._taken.popleft()


@dataclass(frozen=True)
class Use:
    """How a bucket was used: what a test asks about."""

    requests: int
    refused: int
    span_s: float  # from the first request that was let through to the last
    allowed: float  # requests that the documented rate gives in that span, one window at least
    share: float  # requests / allowed


class Limits:
    """All buckets of one vendor.

    `rate_factor` makes every window that much shorter, so that tests wait less and the limit in
    the headers stays the documented one. `off` lets everything through and still counts.
    """

    def __init__(
        self, buckets: Iterable[Bucket], moment: Callable[[], float] = time.monotonic
    ) -> None:
        self.buckets = {bucket.name: bucket for bucket in buckets}
        self.rate_factor = 1.0
        self.off = False
        self._moment = moment
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Bucket:
        return self.buckets[name]

    def take(self, names: Iterable[str]) -> tuple[Bucket, float] | None:
        """Take a place in each bucket, or in none: the full one then, and the seconds to wait."""
        with self._lock:
            now = self._moment()
            buckets = [self.buckets[name] for name in names]
            for bucket in buckets:
                wait = bucket.wait(now, self.rate_factor)
                if wait > 0 and not self.off:
                    bucket.refused += 1
                    return bucket, wait
            for bucket in buckets:
                bucket.take(now)
            return None

    def remaining(self, name: str) -> int:
        with self._lock:
            return self.buckets[name].remaining()

    def resets_in(self, name: str) -> int:
        """Whole seconds until requests of this bucket are let through anew."""
        with self._lock:
            return math.ceil(self.buckets[name].resets_in(self._moment(), self.rate_factor))

    def use(self, name: str) -> Use:
        with self._lock:
            bucket = self.buckets[name]
            allowed = bucket.allowed(self.rate_factor)
            span = (bucket.last_at or 0.0) - (bucket.first_at or 0.0)
            share = bucket.requests / allowed if allowed else 0.0
            return Use(bucket.requests, bucket.refused, span, allowed, share)

    def report(self) -> dict[str, Use]:
        """The use of every bucket that was asked for."""
        return {
            name: self.use(name)
            for name, bucket in self.buckets.items()
            if bucket.requests or bucket.refused
        }

    def reset(self) -> None:
        """Forget all requests and counts."""
        with self._lock:
            for bucket in self.buckets.values():
                bucket._taken.clear()
                bucket.requests = bucket.refused = 0
                bucket.first_at = bucket.last_at = None
