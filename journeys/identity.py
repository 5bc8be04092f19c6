"""Which ids are the same person or account: links in, one canonical id per group out.

A link is a fact about two ids with a moment. What all links of one pair come to is a tie, or
nothing. Ties are taken in the order of their moments; one that would make a group too large, or
that hangs on an id that names nobody, is refused and joins nothing. So who is whom depends on the
links alone, not on the order in which they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from journeys.event import JourneyEvent
from journeys.shared_ids import SharedIds

SHARED = "shared id"  # why a tie is refused: one of its ids names nobody
TOO_MANY = "too many ids"
NEVER = datetime.max.replace(tzinfo=UTC)


class Link(NamedTuple):
    """One fact about two ids: from a moment on they are, or are not, the same."""

    at: datetime
    event_id: str
    left: str  # the id that the source puts first
    right: str
    joins: bool


class Tie(NamedTuple):
    """Two ids that belong together: the first link after the last unlink of their pair."""

    since: datetime
    event_id: str
    left: str
    right: str


@dataclass(slots=True)
class Pair:
    """What the links of two ids come to; the latest fact counts."""

    tie: Tie | None = None
    unlinked: tuple[datetime, str] | None = None  # when and by which event, the last time

    def take(self, link: Link) -> bool:
        """Add one link, in any order; False when only all links of the pair together can tell."""
        when = (link.at, link.event_id)
        if link.joins:
            if self.unlinked is not None and when < self.unlinked:
                return True
            if self.tie is None or when < self.tie[:2]:
                self.tie = Tie(*when, link.left, link.right)
            return True
        if self.unlinked is not None and when <= self.unlinked:
            return True
        self.unlinked = when
        if self.tie is None or self.tie[:2] > when:
            return True
        self.tie = None  # they may have been linked again, after this
        return False


@dataclass(frozen=True)
class Rules:
    """What may be joined."""

    ids: int = 100  # of one person or account
    of_one_kind: int = 50  # ids of one namespace
    of_kind: Mapping[str, int] = field(default_factory=dict)  # namespaces with a limit of their own
    shared: SharedIds = field(default_factory=SharedIds)

    def limit(self, namespace: str) -> int:
        """How many ids of a namespace one person may have."""
        return self.of_kind.get(namespace, self.of_one_kind)

    def bars(self, tie: Tie) -> bool:
        """Whether one of its ids names nobody, or is of a namespace that is never joined."""
        return any(
            name in self.shared or self.limit(name.partition(":")[0]) == 0
            for name in (tie.left, tie.right)
        )


@dataclass(frozen=True, slots=True)
class Grouping:
    """What ties come to."""

    canonical: dict[str, str]  # each id that a tie names → the canonical id of its group
    refused: dict[tuple[str, str], str]  # pair → why its tie joins nothing


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


def pair_of(one: Link | Tie) -> tuple[str, str]:
    """The two ids, the smaller first."""
    return (one.left, one.right) if one.left < one.right else (one.right, one.left)


def pairs_of(links: Iterable[Link]) -> dict[tuple[str, str], Pair]:
    """What all links come to, pair by pair."""
    pairs: dict[tuple[str, str], Pair] = {}
    for link in sorted(links):
        pairs.setdefault(pair_of(link), Pair()).take(link)
    return pairs


def canonical_ids(links: Iterable[Link], rules: Rules | None = None) -> dict[str, str]:
    """Each id that a link names → the canonical id of its group."""
    rules = rules or Rules()
    pairs = pairs_of(links)
    ties = [pair.tie for pair in pairs.values() if pair.tie and not rules.bars(pair.tie)]
    alone = {name: name for pair in pairs for name in pair}
    return alone | group(ties, rules).canonical


def group(ties: Iterable[Tie], rules: Rules, joined: Iterable[Tie] = ()) -> Grouping:
    """Join ties in the order of their moments, each unless its group would break a limit.

    ``joined`` are older ties that are known to hold. The canonical id of a group is the id that was
    linked first, the left one of the two, so that ids which join later rename nobody. The cost is
    that of sorting the ties.
    """
    groups = _Groups(rules)
    for tie in joined:
        groups.join(groups.root(tie.left), groups.root(tie.right), tie)
    refused: dict[tuple[str, str], str] = {}
    for tie in sorted(ties):
        a, b = groups.root(tie.left), groups.root(tie.right)
        reason = groups.refusal(a, b) if a != b else None
        if reason is None:
            groups.join(a, b, tie)
        else:
            refused[pair_of(tie)] = reason
    first, root = groups.first, groups.root
    return Grouping({name: first[root(name)][1] for name in groups.parent}, refused)


class _Groups:
    """Disjoint sets of ids that know their size, their namespaces and who was linked first."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.parent: dict[str, str] = {}
        self.size: dict[str, int] = {}
        self.kinds: dict[str, dict[str, int]] = {}  # root → namespace → ids
        self.first: dict[str, tuple[datetime, str]] = {}  # root → (since, id linked first)

    def root(self, name: str) -> str:
        parent = self.parent
        if name not in parent:
            parent[name] = name
            self.size[name] = 1
            self.kinds[name] = {name.partition(":")[0]: 1}
            self.first[name] = (NEVER, name)
            return name
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def refusal(self, a: str, b: str) -> str | None:
        """Why two groups may not become one."""
        if self.size[a] + self.size[b] > self.rules.ids:
            return TOO_MANY
        few, many = sorted((self.kinds[a], self.kinds[b]), key=len)
        for namespace in sorted(few):
            both = few[namespace] + many.get(namespace, 0)
            if both > self.rules.limit(namespace):
                return f"too many {namespace} ids"
        return None

    def join(self, a: str, b: str, tie: Tie) -> None:
        """Make one group of two; of one and the same only its first tie may change."""
        first = (tie.since, tie.left)
        if a != b:
            if self.size[a] < self.size[b]:
                a, b = b, a
            self.parent[b] = a
            self.size[a] += self.size.pop(b)
            kinds = self.kinds[a]
            for namespace, count in self.kinds.pop(b).items():
                kinds[namespace] = kinds.get(namespace, 0) + count
            first = min(first, self.first.pop(b))
        self.first[a] = min(first, self.first[a])
