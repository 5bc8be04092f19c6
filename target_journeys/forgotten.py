"""Who was forgotten stays forgotten: salted hashes of their ids, and what they keep out."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable

import msgspec

from journeys.event import JourneyEvent
from target_journeys.pseudonyms import ADDRESS, rewritten
from target_journeys.stores.base import UnmappedRow
from target_journeys.stores.sqlite import SQLiteStore

GONE = "[forgotten]"  # what takes the place of an id in the event of somebody else
DISTINCTIVE = 8  # characters from which on a value by itself tells who somebody is
MEMO_SIZE = 100_000


class Forgotten:
    """Knows an id that was forgotten when it sees it, and cannot tell which ones there are."""

    def __init__(self, store: SQLiteStore) -> None:
        self._salt = bytes.fromhex(store.note("forgotten salt") or "")
        self._hashes = store.erasure.hashes() if self._salt else set()
        self._memo: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def __contains__(self, text: str) -> bool:
        """Whether a text is an id, or the value of an id, of somebody who was forgotten."""
        known = self._memo.get(text)
        if known is None:
            if len(self._memo) >= MEMO_SIZE:
                self._memo.clear()
            known = self._memo[text] = entry(self._salt, text) in self._hashes
        return known

    def event(self, event: JourneyEvent) -> bytes | None:
        """What may be kept of an event, as JSON: nothing of theirs, and no trace of their ids."""
        names = (event.subject, event.properties.get("linked"))
        if any(isinstance(name, str) and name in self for name in names):
            return None
        found = msgspec.to_builtins(event)
        return msgspec.json.encode(found | rewritten(found, self.text))

    def text(self, text: str) -> str:
        """A text without the ids of who was forgotten."""
        if (":" in text or len(text) >= DISTINCTIVE) and text in self:
            return GONE
        return ADDRESS.sub(lambda at: GONE if at[0] in self else at[0], text)

    def keeps_out(self, row: UnmappedRow) -> bool:
        """Whether a record that is not used is one of theirs, by its key."""
        try:
            parts = json.loads(row.record_key)
        except ValueError:
            parts = row.record_key
        texts = [str(part) for part in parts] if isinstance(parts, list) else [row.record_key]
        return any(text in self or self.text(text) != text for text in texts)


def entry(salt: bytes, text: str) -> str:
    """The hash under which an id, or its value, is remembered."""
    return hmac.digest(salt, text.strip().lower().encode(), "sha256").hex()


def traces(ids: Iterable[str]) -> set[str]:
    """The texts by which somebody can be told: ids, and their values where these are telling."""
    found = set()
    for name in ids:
        value = name.partition(":")[2]
        found |= {name, value} if "@" in value or len(value) >= DISTINCTIVE else {name}
    return found
