"""What comes out: the types of `journeys.event`, with their moments already written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mapper_journeys.paths import Row


class ScopeRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """`journeys.event.Scope` on the wire."""

    grain: str
    id: str
    role: str = "primary"


class EventRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """`journeys.event.JourneyEvent` on the wire."""

    event_id: str
    event_type: str
    occurred_at: str
    source: str
    source_key: str = ""
    recorded_at: str | None = None
    subject: str | None = None
    account: str | None = None
    scopes: tuple[ScopeRecord, ...] = ()
    channel: str | None = None
    visibility: str = "owned"
    observability: str = "observed"
    value: str | None = None
    currency: str | None = None
    properties: dict[str, Any] = {}
    supersedes: str | None = None


class ProductRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """`journeys.event.Product` on the wire."""

    product_id: str
    name: str | None = None
    category: str | None = None
    aliases: tuple[str, ...] = ()
    relations: dict[str, Any] = {}
    attributes: dict[str, Any] = {}


Made = EventRecord | ProductRecord
Make = Callable[[Row, str | None, list[Made]], None]
