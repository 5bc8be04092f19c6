"""Who has to be folded again because of what a batch says, and what events say about ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from journeys.accounts import AccountRules
from journeys.event import JourneyEvent
from journeys.model import FACTS
from target_journeys.identities import PEOPLE
from target_journeys.items import is_ownerless, item_facts, items_of
from target_journeys.teams import PROFILE, ROLE_EVENTS, team_facts

TELLING = FACTS.union(ROLE_EVENTS)  # types of events that may say something about ids

ERASURE = "erasure"  # kind of fact: somebody asks to be erased


@dataclass(slots=True)
class Touched:
    """Who has to be folded again at the end of the batch."""

    people: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)  # products and items that mean something new
    items: set[str] = field(default_factory=set)  # items with news of their owner, or for him
    known: set[str] = field(default_factory=set)  # people of whom accounts know something new

    def of(self, kind: str) -> set[str]:
        """The set of one kind."""
        return self.people if kind == PEOPLE else self.accounts

    def all_of(self, subjects: Iterable[tuple[str, str]]) -> None:
        """Touch each (id, kind)."""
        for subject, kind in subjects:
            self.of(kind).add(subject)

    def whom(self, events: Collection[JourneyEvent]) -> None:
        """Note the people and accounts of events."""
        self.people |= {event.subject for event in events if event.subject is not None}
        self.accounts |= {event.account for event in events if event.account is not None}

    def by(self, event: JourneyEvent, rules: AccountRules) -> None:
        """Note whom an event concerns that tells more: see :func:`tells`."""
        self.whom([event])
        if event.event_type not in FACTS:
            if is_ownerless(event):
                self.items.update(items_of(event))
            return
        self.accounts.update(rules.named(event))
        if event.event_type == "scope_linked":
            self.names.update(items_of(event))
            self.items.update(items_of(event))
        for kind, name in team_facts(event):
            (self.known if kind == PROFILE else self.names).add(name)


def tells(event: JourneyEvent) -> bool:
    """Whether an event may say more than what happened to whom; most do not."""
    return (
        event.event_type in TELLING
        or event.supersedes is not None
        or (event.subject is None and event.account is None)
    )


def facts_of(event: JourneyEvent, accounts: AccountRules) -> list[tuple[str, str, str]]:
    """(kind, id, event id) of what an event says about ids, beside what happened."""
    facts: list[tuple[str, str]] = []
    if event.supersedes is not None:
        facts.append(("superseded", event.supersedes))
    named = accounts.named(event)
    if named or any(True for _ in accounts.declared(event)):
        facts += [("member", event.subject or ""), *(("member_of", name) for name in named)]
    if is_ownerless(event):
        facts.append(("nobody", event.source))
    if event.event_type == "erasure_requested":
        facts.append((ERASURE, event.subject or ""))
    facts += item_facts(event)
    facts += team_facts(event)
    return [(kind, name, event.event_id) for kind, name in facts if name]
