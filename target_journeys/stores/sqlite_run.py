"""One run at a time: what a run remembers of a store stays true until it ends."""

from __future__ import annotations

import sqlite3
import time

from target_journeys.stores.base import StoreError, StoreInUseError

WAIT_S = 60  # a second run waits this long for the first
LOOK_S = 0.2  # between two looks; a signal is heard meanwhile
SUFFIX = "-run"


class SQLiteRun:
    """The lock of a run: an empty SQLite file beside the store, which a dead process lets go.

    A lock of the store itself would stop readers, and sending, for the whole run.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None

    def begin(self, wait_s: float = WAIT_S) -> None:
        """Wait for other runs. Raises :class:`StoreInUseError`."""
        lock = sqlite3.connect(self.path + SUFFIX, timeout=0, isolation_level=None)
        end = time.monotonic() + wait_s
        try:
            while not _is_taken(lock):
                if time.monotonic() >= end:
                    raise StoreInUseError(
                        f"store: {self.path} is in use by another run. It was waited for "
                        f"{wait_s:g} s; run again when that run has ended."
                    )
                time.sleep(LOOK_S)
        except sqlite3.DatabaseError as error:
            lock.close()
            raise StoreError(
                f"store: {self.path + SUFFIX} cannot be used as the lock of a run ({error}). "
                "It is an empty file that this user must be able to write."
            ) from None
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def end(self) -> None:
        """Let others run."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _is_taken(lock: sqlite3.Connection) -> bool:
    try:
        lock.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
