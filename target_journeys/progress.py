"""One line on a terminal that says how far long work is; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import IO

EVERY_S = 0.2
CLEAR = "\r\x1b[K"  # to the start of the line, and erase what stands there


class Progress:
    """Rewrites its line in place, and leaves none behind. Logs may be written in between."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self.out = out or sys.stderr
        self.is_shown = self.out.isatty()
        self._next = 0.0

    def say(self, text: str) -> None:
        """Show what is being done from now on."""
        if self.is_shown:
            # The cursor goes back to the start, so that a log record overwrites the line.
            self.out.write(f"{CLEAR}{text}\r")
            self.out.flush()
            self._next = time.monotonic() + EVERY_S

    def count(self, done: int, what: str) -> None:
        """Show how many of something are done; as often as somebody can read it."""
        if self.is_shown and time.monotonic() >= self._next:
            self.say(f"{done:,} {what}")

    def end(self) -> None:
        """Take the line away."""
        if self.is_shown:
            self.out.write(CLEAR)
            self.out.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
