"""What every store speaks: rows of plain values, and one kind of error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

T = TypeVar("T")
NO_RULE = "no rule reads this stream"  # a reason why a record is not used


class StoreError(Exception):
    """The store cannot be used; the message says what is wrong and what to do."""


class NoStoreError(StoreError):
    """There is no store yet; a run makes one."""


class StoreInUseError(StoreError):
    """Another run has the store; nothing is wrong, and a later run will do."""


EventRow = tuple[str, str | None, str | None, str]  # event id, subject, account, event as JSON


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


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most ``size`` items."""
    iterator = iter(items)
    while taken := list(islice(iterator, size)):
        yield taken
