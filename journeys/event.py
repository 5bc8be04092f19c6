"""What happened: one event, the scopes it was about, and the products it may name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from journeys.vocabulary import Grain, Observability, Role, Visibility

EARLIEST_YEAR = 1900  # years outside are place-holders ("0001", "9999"), not moments
LATEST_YEAR = 2200


@dataclass(frozen=True, slots=True)
class Scope:
    """What an event was about."""

    grain: Grain
    id: str
    role: Role = "primary"


@dataclass(frozen=True, slots=True)
class JourneyEvent:
    """One thing that happened at one moment."""

    event_id: str  # the same input always gives the same id
    event_type: str  # object_verb in the past tense: "ticket_opened"
    occurred_at: datetime  # when it happened, UTC; not when we read it
    source: str  # the Singer stream it came from
    source_key: str = ""  # the record's key in that stream
    recorded_at: datetime | None = None  # when the source wrote it
    subject: str | None = None  # "namespace:id" of the person: "email:ana@acme.test"
    account: str | None = None  # the company or household, same form
    scopes: tuple[Scope, ...] = ()
    channel: str | None = None
    visibility: Visibility = "owned"
    observability: Observability = "observed"
    value: str | None = None  # decimal string, never a float
    currency: str | None = None  # ISO 4217
    properties: dict[str, Any] = field(default_factory=dict)
    supersedes: str | None = None  # event_id of the event that this one corrects

    def __post_init__(self) -> None:
        for name in ("occurred_at", "recorded_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                object.__setattr__(self, name, as_utc(moment, name))
        check(self)


def check(event: JourneyEvent) -> None:
    """Refuse what the types of the fields cannot refuse. Raises ``ValueError``."""
    if not EARLIEST_YEAR <= event.occurred_at.year <= LATEST_YEAR:
        raise ValueError(
            f"occurred_at must lie between the years {EARLIEST_YEAR} and {LATEST_YEAR}"
        )
    if not event.event_id or not event.event_type:
        raise ValueError("event_id and event_type must not be empty")
    for scope in event.scopes:
        if not scope.id or "\0" in scope.id:
            raise ValueError("a scope's id must not be empty or hold NUL")
    for name, value in (("subject", event.subject), ("account", event.account)):
        if value is not None and (not value or "\0" in value):
            raise ValueError(f"{name} must not be empty or hold NUL")


def as_utc(moment: datetime, name: str) -> datetime:
    """The same moment in UTC; a time without a zone is refused, never guessed."""
    if moment.tzinfo is None:
        raise ValueError(f"{name} must have a time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} lies outside the calendar") from None


def isoformat(moment: datetime) -> str:
    """``2026-01-02T03:04:05Z``; a fraction of a second only where there is one."""
    return moment.isoformat()[:-6] + "Z"  # UTC inside, so the offset is always +00:00


def event_id(stream: str, rule: str, key: str, occurred_at: datetime, part: str = "") -> str:
    """32 digits that name this event on every machine and in every run.

    ``part`` tells apart the events that one rule makes of one record. Year, month, day and hour
    come first, then a hash: events of one time are neighbours in an index, so that a store has
    fewer pages to touch for them.
    """
    text = "\x1f".join((stream, rule, key, occurred_at.isoformat(), part))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{occurred_at:%y%m%d%H}{digest}"


def version_key(event: JourneyEvent) -> tuple[str, str]:
    """Orders two versions of one event: what the source wrote last, then by content.

    A total order that arrival cannot change, so that every store keeps the same version.
    """
    recorded = isoformat(event.recorded_at) if event.recorded_at else ""
    content = json.dumps(
        [
            event.event_type,
            event.occurred_at.isoformat(),
            event.source,
            event.source_key,
            event.subject,
            event.account,
            [(scope.grain, scope.id, scope.role) for scope in event.scopes],
            event.channel,
            event.visibility,
            event.observability,
            event.value,
            event.currency,
            event.properties,
            event.supersedes,
        ],
        sort_keys=True,
        default=str,
    )
    return recorded, content


_NAMES = tuple(each.name for each in fields(JourneyEvent))


def changed(event: JourneyEvent, **others: Any) -> JourneyEvent:
    """The event with other values; also of a type that only has the same fields."""
    return type(event)(**{name: getattr(event, name) for name in _NAMES} | others)


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the catalogue, and the other names that sources call it by."""

    product_id: str
    name: str | None = None
    category: str | None = None  # path: "electronics/laptops"
    aliases: tuple[str, ...] = ()
    relations: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
