"""How fast a destination may be asked: its documented limits, shared by all that send to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

from target_journeys.destinations.base import Destination, Rate

MARGIN = 0.02  # share of a window that is left free, because requests arrive unevenly
LEAST_MARGIN_S = 0.02


class Pace:
    """At most so many requests in any window of so many seconds, for each of several limits."""

    def __init__(
        self,
        rates: Sequence[Rate],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = Lock()
        self._rates = [Rate(max(1, each.requests), each.per_s) for each in rates]
        self._sent: list[deque[float]] = [deque(maxlen=each.requests) for each in self._rates]

    def wait(self) -> None:
        """Return when the next request may be sent; it counts as sent at that moment."""
        while True:
            with self._lock:
                now = self._clock()
                at = max((self._free_at(n) for n in range(len(self._rates))), default=now)
                if at <= now:
                    for sent in self._sent:
                        sent.append(now)
                    return
            self._sleep(at - now)

    def _free_at(self, number: int) -> float:
        """When one limit lets the next request through."""
        rate, sent = self._rates[number], self._sent[number]
        if len(sent) < rate.requests:
            return 0.0
        return sent[0] + rate.per_s + max(rate.per_s * MARGIN, LEAST_MARGIN_S)


def rates_of(destination: Destination) -> Sequence[Rate]:
    """The limits that hold for a destination: the user's own, else the documented ones."""
    own = destination.max_requests_per_s
    if own is None:
        return destination.rates
    return [Rate(round(own), 1.0) if own >= 1 else Rate(1, 1 / own)]
