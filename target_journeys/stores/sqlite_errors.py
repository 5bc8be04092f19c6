"""What SQLite's errors mean for people: which file, what is wrong, what to do next."""

from __future__ import annotations

import sqlite3

from target_journeys.stores.base import StoreError

MEANINGS = {  # beginning of SQLite's own name of the error → what to say of the file
    "SQLITE_FULL": "has no room left on its disk. Make room, then run again; what was "
    "acknowledged is safe",
    "SQLITE_BUSY": "is in use by another run. Run this again when that one has ended",
    "SQLITE_LOCKED": "is in use by another run. Run this again when that one has ended",
    "SQLITE_READONLY": "may not be written. Check the permissions of the file and of its folder",
    "SQLITE_IOERR": "cannot be read or written as its disk fails. Check the disk, then run again",
}
OTHER = "cannot be used as a SQLite file. Check the path and its permissions, or name another file"


def in_words(error: sqlite3.Error, path: str = "the file") -> StoreError:
    """The error as a sentence that names the store and the next thing to do."""
    name = getattr(error, "sqlite_errorname", "")
    meaning = next((said for known, said in MEANINGS.items() if name.startswith(known)), OTHER)
    return StoreError(f"store: {path} {meaning} ({error}).")
