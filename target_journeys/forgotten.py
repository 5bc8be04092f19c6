"""Who was forgotten stays forgotten: salted hashes of ids and items, and what they keep out."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Iterator

import msgspec

from journeys.event import JourneyEvent, changed
from target_journeys.items import items_of, names_nobody
from target_journeys.pseudonyms import ADDRESS, rewritten
from target_journeys.stores.base import UnmappedRow
from target_journeys.stores.sqlite import SQLiteStore

GONE = "[forgotten]"  # what takes the place of an id in the event of somebody else
DISTINCTIVE = 8  # characters from which on a value by itself tells who somebody is
ITEM = "item "  # before the id of an item, and before its value; no id of a person has a space
ITEM_VALUE = "item value "
GLUE = re.compile(r"[/?&=|{}'`]")  # an address may hold these; in a URL they come before one
BETWEEN = r"\s\"'\[\](){}<>,;|/?&="  # what stands between words
WORD = re.compile(rf"(?<![^{BETWEEN}])[^{BETWEEN}]*\d[^{BETWEEN}]*")  # perhaps an id inside a text
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
        if event.subject is not None and event.subject in self:
            if event.event_type != "scope_linked" or event.account is None:
                return None
            event = changed(event, subject=None)  # the item is the account's, too
        linked = event.properties.get("linked")
        if isinstance(linked, str) and linked in self:
            return None
        if names_nobody(event) and (items := items_of(event)):
            gone = {item for item in items if f"{ITEM}{item}" in self}
            if gone.issuperset(items):
                return None
            left = (each for each in event.scopes if each.grain != "item" or each.id not in gone)
            event = changed(event, scopes=tuple(left))
        found = msgspec.to_builtins(event)
        return msgspec.json.encode(found | rewritten(found, self.text))

    def text(self, text: str) -> str:
        """A text without the ids of who was forgotten."""
        if self._is_gone(text):
            return GONE
        text = WORD.sub(self._without_id, text)
        return ADDRESS.sub(self._without_address, text)

    def _is_gone(self, text: str) -> bool:
        return is_telling(text) and (
            text in self or f"{ITEM}{text}" in self or f"{ITEM_VALUE}{text}" in self
        )

    def _without_id(self, found: re.Match[str]) -> str:
        word = found[0].rstrip(".:!")
        return f"{GONE}{found[0][len(word) :]}" if self._is_gone(word) else found[0]

    def _without_address(self, found: re.Match[str]) -> str:
        starts = (0, *(glue.end() for glue in GLUE.finditer(found[0])))
        first = next((start for start in starts if found[0][start:] in self), None)
        return found[0] if first is None else f"{found[0][:first]}{GONE}"

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


def entries(salt: bytes, ids: Iterable[str], items: Iterable[str]) -> Iterator[str]:
    """All hashes under which a person is remembered, by ids and by items."""
    for name in ids:
        yield entry(salt, name)
        if value := name.partition(":")[2]:
            yield entry(salt, value)
    for item in items:
        yield entry(salt, f"{ITEM}{item}")
        if is_telling(value := item.partition(":")[2]):
            yield entry(salt, f"{ITEM_VALUE}{value}")


def is_telling(text: str) -> bool:
    """Whether a text by itself can tell who or what is meant; a short number cannot."""
    return ":" in text or len(text) >= DISTINCTIVE


def traces(ids: Iterable[str]) -> set[str]:
    """The texts by which somebody can be told: ids, and their values where these are telling."""
    found = set()
    for name in ids:
        value = name.partition(":")[2]
        found |= {name, value} if "@" in value or is_telling(value) else {name}
    return found


def telling(items: Iterable[str]) -> set[str]:
    """The same for items; a short one without a namespace may be anything."""
    return {text for text in traces(items) if is_telling(text)}
