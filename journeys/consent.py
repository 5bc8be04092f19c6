"""What a person allows: consent given and withdrawn, purpose by purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from journeys.event import JourneyEvent

EVERY = "*"  # the purpose of a consent that names none
GIVES = {"consent_given": True, "consent_withdrawn": False}


def note_consent(consents: dict[str, bool], event: JourneyEvent) -> None:
    """Let one event, in order of time, change what is allowed; other events change nothing."""
    allowed = GIVES.get(event.event_type)
    if allowed is None:
        return
    for purpose in purposes(event.properties.get("purpose")):
        if purpose == EVERY:
            consents.update(dict.fromkeys(consents, allowed))
        consents[purpose] = allowed


def purposes(value: Any) -> list[str]:
    """The purposes that an event names: one, a list, or none, which is every one."""
    given = value if isinstance(value, list) else [value]
    found = [str(each).strip() for each in given if each is not None]
    return [each for each in found if each] or [EVERY]


def allows(consents: Mapping[str, bool], purpose: str | None) -> bool:
    """Whether a purpose was consented to; what needs none is always allowed."""
    return purpose is None or consents.get(purpose, consents.get(EVERY, False))
