"""What every store speaks: rows of plain values, and one kind of error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class StoreError(Exception):
    """The store cannot be used; the message says what is wrong and what to do."""


class EventRow(NamedTuple):
    """One event as the store keeps it; ``body`` is the whole event as JSON."""

    event_id: str
    event_type: str
    occurred_at: str
    subject: str | None
    account: str | None
    source: str
    supersedes: str | None
    body: str


class UnmappedRow(NamedTuple):
    """One record that is not used, and why; its key is the way back to it."""

    stream: str
    rule: str
    record_key: str
    reason: str


@dataclass(slots=True)
class Appended:
    """What came of appending events."""

    new: set[str] = field(default_factory=set)  # event ids that were not there
    conflicts: dict[str, str] = field(default_factory=dict)  # event id → the body already stored
