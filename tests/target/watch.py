"""A clock for the outbox that moves only when somebody sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, tzinfo=UTC)


class Watch:
    """What time it is, and how long was slept."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.slept_s)

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
