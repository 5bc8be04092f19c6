"""Personas: declared rules on what is known of somebody, each from the moment it came to hold."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from journeys.event import JourneyEvent
from journeys.roles import OTHER, RoleWords

ROLE_EVENTS = ("contact_role_added", "contact_role_removed", "profile_observed")


class Assigned(NamedTuple):
    """Who somebody is from a moment on; None: no declared persona."""

    since: datetime
    persona: str | None


@dataclass(frozen=True, slots=True)
class Persona:
    """One declared persona: all its tests must hold."""

    name: str
    when: Mapping[str, Any]  # fact → test
    counts: Mapping[str, Any]  # event type → test of how often it happened

    def fits(self, facts: Mapping[str, Any], counts: Mapping[str, int]) -> bool:
        """Whether somebody is this, by what is known and what was done."""
        return all(holds(test, facts.get(name)) for name, test in self.when.items()) and all(
            holds(test, counts.get(name, 0)) for name, test in self.counts.items()
        )


def assigned(
    personas: Sequence[Persona], events: Iterable[JourneyEvent], words: RoleWords
) -> list[Assigned]:
    """Who a subject was and when, by its events in order; the first persona that fits counts."""
    counted = {name for persona in personas for name in persona.counts}
    facts: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    held: dict[str, list[str]] = {}  # who says so → roles
    found: list[Assigned] = []
    for event in events:
        if event.event_type in counted:
            counts[event.event_type] += 1
        elif event.event_type not in ROLE_EVENTS:
            continue
        if event.event_type == "profile_observed":
            facts |= event.properties
        if event.event_type in ROLE_EVENTS:
            take_role(event, held, words)
            facts["role"] = sorted({role for roles in held.values() for role in roles})
        name = next((each.name for each in personas if each.fits(facts, counts)), None)
        if name != (found[-1].persona if found else None):
            found.append(Assigned(event.occurred_at, name))
    return found


def take_role(event: JourneyEvent, held: dict[str, list[str]], words: RoleWords) -> None:
    """Let an event give or take the roles of its subject: of a deal, or as a source's profile."""
    value = event.properties.get("role")
    if event.event_type == "profile_observed":
        if "role" in event.properties:
            held[f"profile {event.source} {slot_of(event)}"] = ours(value, words)
        return
    slot = slot_of(event)
    roles = ours(value, words)
    if event.event_type == "contact_role_added":
        held[slot] = [*held.get(slot, []), *roles]
    else:
        gone = set(roles or held.get(slot, []))
        held[slot] = [role for role in held.get(slot, []) if role not in gone]


def slot_of(event: JourneyEvent) -> str:
    """The deal that a role is held in; of a profile without one, nothing."""
    if event.event_type == "profile_observed" and not event.scopes:
        return ""
    return str(event.properties.get("opportunity") or event.source_key)


def ours(value: object, words: RoleWords) -> list[str]:
    """Role names as we call them; a name that no word of ours stands for stays as it is."""
    return [theirs if role == OTHER else role for role, theirs in words.named(value)]


def at(found: Sequence[Assigned], moment: datetime) -> tuple[str | None, datetime | None]:
    """The persona at a moment, and since when."""
    index = bisect_right(found, moment, key=lambda each: each.since)
    if not index or found[index - 1].persona is None:
        return None, None
    return found[index - 1].persona, found[index - 1].since


def holds(test: object, value: object) -> bool:
    """Whether a fact passes a test; of a list one element is enough."""
    if isinstance(value, list):
        return any(holds(test, each) for each in value)
    if value is None:
        return False
    if isinstance(test, Mapping):
        return all(_passes(name, wanted, value) for name, wanted in test.items())
    return _same(test, value) if not isinstance(test, (list, tuple)) else _passes("in", test, value)


def _passes(name: str, wanted: Any, value: object) -> bool:
    if name == "eq":
        return _same(wanted, value)
    if name == "in":
        return any(_same(each, value) for each in wanted)
    if name == "matches":
        return re.search(wanted, _text(value)) is not None
    number, limit = _number(value), _number(wanted)
    if number is None or limit is None:
        return False
    return number >= limit if name == "gte" else number <= limit


def _same(wanted: object, value: object) -> bool:
    """Equal as text, or as numbers: sources write 50, "50" and 50.0."""
    if _text(wanted) == _text(value):
        return True
    number = _number(wanted)
    return number is not None and number == _number(value)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: object) -> Decimal | None:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
