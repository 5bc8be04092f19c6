"""Proves byte by byte that texts are gone from files; longer ones that hold them do not count."""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from target_journeys.stores.sqlite import SQLiteStore

BEFORE, AFTER = r"(?<![\w.+%-])", r"(?!\w|[.-]\w)"  # what a longer id or address would go on with


def left_of(store: SQLiteStore, texts: Collection[str], more: Iterable[Path]) -> dict[str, int]:
    """File → how many of these texts it still holds; of the store's files none is left out.

    In the store's file the columns of a row touch each other. So where a text seems to be part of a
    longer one (`crm:7` of `crm:70`), its rows are asked.
    """
    found = {}
    own, others = store.erasure.files(), list(more)
    for path in (*own, *others):
        held, parts = seen(path, texts)
        if path in others:
            held -= parts
        elif path == Path(store.path):
            held -= {text for text in parts if not holds(store, text)}
        found[path.name] = len(held)
    return found


def seen(path: Path, texts: Collection[str]) -> tuple[set[str], set[str]]:
    """The texts that a file holds, and those of them that it may hold as part of others only."""
    if path.stat().st_size == 0:
        return set(), set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        held = {text for text in texts if content.find(text.encode()) >= 0}
        patterns = {text: f"{BEFORE}{re.escape(text)}{AFTER}".encode() for text in held}
        return held, {text for text in held if not re.search(patterns[text], content)}


def holds(store: SQLiteStore, text: str) -> bool:
    """Whether a row of the store holds a text that is not part of a longer one."""
    pattern = re.compile(f"{BEFORE}{re.escape(text)}{AFTER}")
    return any(pattern.search(value) for value in store.erasure.values_with(text))
