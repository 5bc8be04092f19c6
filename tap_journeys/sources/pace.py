"""How fast a vendor may be asked: one bucket per documented limit, shared by all threads.

Limiter libraries that were looked at keep a rate, but cannot be paused by the vendor's own answer
or take over the limit that its headers state.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

MARGIN = 0.02  # share of the window that is left free, because requests arrive unevenly
LEAST_MARGIN_S = 0.05
LOOK_S = 1.0  # how soon a waiting request notices that a place was given back, or that all is over


class Bucket:
    """At most so many requests in any window of so many seconds; a pause holds for all."""

    def __init__(
        self,
        requests: int,
        per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = Lock()
        self._until = 0.0  # end of the pause
        self._sent: deque[float] = deque()  # when the requests of the last window went
        self._resized(requests, per_s)

    def _resized(self, requests: int, per_s: float) -> None:
        self.requests, self.per_s = max(1, requests), per_s
        self._window = per_s + max(per_s * MARGIN, LEAST_MARGIN_S)

    def resize(self, requests: int, per_s: float) -> None:
        """Keep the limit that the vendor states, in place of the documented one."""
        with self._lock:
            if (requests, per_s) != (self.requests, self.per_s):
                self._resized(requests, per_s)

    def pause(self, seconds: float) -> None:
        """Let nobody ask before so many seconds have passed."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> float:
        """Return when the next request may be sent; it counts as sent at the moment returned.

        Once ``is_over`` says so, nobody waits any longer, and nothing counts.
        """
        while not is_over():
            with self._lock:
                now = self._clock()
                while self._sent and self._sent[0] <= now - self._window:
                    self._sent.popleft()
                if now >= self._until and len(self._sent) < self.requests:
                    self._sent.append(now)
                    return now
                at = self._until
                if len(self._sent) >= self.requests:
                    at = max(at, self._sent[-self.requests] + self._window)
            self._sleep(min(max(at - now, 0.001), LOOK_S))
        return math.nan

    def give_back(self, sent_at: float) -> None:
        """Forget a request that never reached the vendor, who cannot have counted it."""
        with self._lock, suppress(ValueError):  # it may have left the window meanwhile
            self._sent.remove(sent_at)
