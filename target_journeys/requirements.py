"""What destinations need before they can be told anything: found, shown, and created on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from target_journeys.destinations.answers import (
    LockedOutError,
    PauseError,
    RefusedError,
    UnavailableError,
)
from target_journeys.destinations.base import Destination
from target_journeys.sending import Sender

FAILURES = (LockedOutError, PauseError, RefusedError, UnavailableError)


class Need(NamedTuple):
    """What one destination lacks, or lacked; or why it could not be asked."""

    destination: str
    lines: list[str]
    failure: str | None = None
    by_hand: str | None = None  # what to do about it, where we cannot

    @property
    def mend(self) -> str:
        """What to do about it."""
        return self.by_hand or "`journeys check --create` creates it"


def missing(destinations: Mapping[str, Destination]) -> Iterator[Need]:
    """Ask every destination what it lacks; changes nothing."""
    return _asked(destinations, create=False)


def create(destinations: Mapping[str, Destination]) -> Iterator[Need]:
    """Create what is missing; the lines say what was created."""
    return _asked(destinations, create=True)


def _asked(destinations: Mapping[str, Destination], *, create: bool) -> Iterator[Need]:
    for name, destination in destinations.items():
        if destination.dry_run:
            continue
        sender = Sender(destination, lambda: datetime.now(UTC))
        try:
            lines = sender.follow(lambda each: each.create() if create else each.missing())
            yield Need(name, lines, by_hand=destination.mend)
        except FAILURES as error:
            yield Need(name, [], str(error))
        finally:
            sender.close()
