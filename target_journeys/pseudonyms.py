"""Keyed hashes in place of ids, so that store and destinations never see who somebody is."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from journeys.event import JourneyEvent
from journeys.shared_ids import MARK, SharedIds

DIGITS = 32  # of a pseudonym; 128 bits
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


PSEUDONYMS = "pseudonyms"  # the note that says with which secret a store was filled


class Pseudonyms:
    """What people's ids are called outside of the sources; the same for the same secret."""

    def __init__(self, secret: str, shared: SharedIds) -> None:
        self._key = secret.encode()
        self._shared = shared
        self.name = self._digest("name of this secret")  # tells two secrets apart, gives none away

    def of(self, name: str) -> str:
        """An id, ``namespace:value``, with the hash of all of it as its value."""
        namespace = name.partition(":")[0]
        if namespace == "email":
            name = name.lower()
        mark = MARK if name in self._shared else ""  # the hash can no longer tell
        return f"{namespace}:{mark}{self._digest(name)}"

    def event(self, event: JourneyEvent) -> bytes:
        """An event as JSON, with pseudonyms wherever it holds an id of its person or an address."""
        names = [event.subject] if event.subject else []
        linked = event.properties.get("linked")
        if event.subject and isinstance(linked, str):
            names.append(linked)
        known = {}
        for name in names:
            known[name] = self.of(name)
            value = name.partition(":")[2]
            known.setdefault(value, known[name].partition(":")[2])

        def change(text: str) -> str:
            return known[text] if text in known else self.text(text)

        found: dict[str, Any] = msgspec.to_builtins(event)
        if event.subject:
            found["subject"] = known[event.subject]
        return msgspec.json.encode(found | rewritten(found, change))

    def text(self, text: str) -> str:
        """A text with the pseudonyms of the addresses that it holds."""
        return ADDRESS.sub(lambda at: self.of(f"email:{at[0]}").partition(":")[2], text)

    def key(self, key: str) -> str:
        """The key of a record that is not used; it may be anything, so all of it is hashed."""
        return self._digest(key)

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()[:DIGITS]


def name_of(pseudonyms: Pseudonyms | None) -> str:
    """The name of the secret; empty where ids are kept as they are."""
    return "" if pseudonyms is None else pseudonyms.name


def rewritten(event: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The fields of an event that sources fill freely, with every text in them changed."""
    free = ("account", "source_key", "properties")
    return {name: _walk(event[name], change) for name in free if event.get(name) is not None}


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(str(name)): _walk(each, change) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walk(each, change) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        changed = change(str(value))
        return value if changed == str(value) else changed
    return value
