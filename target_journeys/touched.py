"""Who has to be folded again because of what a batch says, and what events say about ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from journeys.accounts import AccountRules
from journeys.event import JourneyEvent
from journeys.model import FACTS
from target_journeys.identities import PEOPLE
from target_journeys.items import is_ownerless, item_facts, items_of
from target_journeys.teams import PROFILE, team_facts


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

    def by(self, event: JourneyEvent, rules: AccountRules) -> None:
        """Note whom an event concerns."""
        if event.subject is not None:
            self.people.add(event.subject)
        if event.account is not None:
            self.accounts.add(event.account)
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
    facts += item_facts(event)
    facts += team_facts(event)
    return [(kind, name, event.event_id) for kind, name in facts if name]
