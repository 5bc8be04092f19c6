"""Which ids are the same person or account: links in, one canonical id per group out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from journeys.event import JourneyEvent


class Link(NamedTuple):
    """One fact about two ids: from a moment on they are, or are not, the same."""

    at: datetime
    event_id: str
    left: str  # the id that the source puts first
    right: str
    joins: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """A person belongs to an account from a moment on; ``until`` is open while it lasts."""

    account: str
    subject: str
    since: datetime
    until: datetime | None = None


def link_of(event: JourneyEvent) -> Link | None:
    """The link that an ``identity_linked`` or ``identity_unlinked`` event states."""
    if event.event_type not in ("identity_linked", "identity_unlinked"):
        return None
    left = event.subject or event.account
    right = event.properties.get("linked")
    if left is None or not isinstance(right, str) or not right or left == right:
        return None
    joins = event.event_type == "identity_linked"
    return Link(event.occurred_at, event.event_id, left, right, joins)


def canonical_ids(links: Iterable[Link]) -> dict[str, str]:
    """Each id that a link names → the canonical id of its group.

    For every pair the latest link counts. The canonical id of a group is the id that was linked
    first, the left one of the two, so that ids which join later rename nobody.
    """
    latest: dict[tuple[str, str], Link] = {}
    first: dict[str, tuple[datetime, int, str]] = {}
    for link in sorted(links):
        pair = (min(link.left, link.right), max(link.left, link.right))
        latest[pair] = link
        first.setdefault(link.left, (link.at, 0, link.left))
        first.setdefault(link.right, (link.at, 1, link.right))
    parent = {name: name for name in first}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for (left, right), link in latest.items():
        if link.joins:
            a, b = root(left), root(right)
            low, high = (a, b) if first[a] < first[b] else (b, a)
            parent[high] = low
    return {name: root(name) for name in parent}


def memberships(events: Iterable[JourneyEvent]) -> list[Membership]:
    """Who belonged to which account, and when, from ``account_joined`` and ``account_left``."""
    facts = sorted(
        (
            e
            for e in events
            if e.event_type in ("account_joined", "account_left") and e.subject and e.account
        ),
        key=lambda e: (e.occurred_at, e.event_type, e.event_id),
    )
    open_: dict[tuple[str, str], datetime] = {}
    closed: list[Membership] = []
    for event in facts:
        assert event.subject is not None and event.account is not None
        pair = (event.account, event.subject)
        if event.event_type == "account_joined":
            open_.setdefault(pair, event.occurred_at)
        elif pair in open_:
            closed.append(Membership(*pair, open_.pop(pair), event.occurred_at))
    return sorted(
        [*closed, *(Membership(*pair, since) for pair, since in open_.items())],
        key=lambda m: (m.account, m.subject, m.since),
    )
