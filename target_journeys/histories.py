"""All events of a customer: those of earlier batches from the store, those of this one at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from journeys.consent import allows
from journeys.event import JourneyEvent
from target_journeys.events import decode_many
from target_journeys.identities import ACCOUNTS, COLUMN, PEOPLE, Identities
from target_journeys.items import Items
from target_journeys.members import Members
from target_journeys.policy import Policy
from target_journeys.stores.sqlite import MAX_ROW, SQLiteStore
from target_journeys.teams import People


class Histories:
    """Finds what happened to whom, by all of his ids, items and members."""

    def __init__(self, store: SQLiteStore, policy: Policy) -> None:
        self.store = store
        self.policy = policy
        self.identities = Identities(store, policy.identity, policy.accounts)
        self.items = Items(store, counted=self.not_superseded)
        self.members = Members(
            store,
            policy.accounts,
            self.identities,
            counted=self.not_superseded,
            owned=self.items.events_of,
        )
        self.people = People(store, self.identities, counted=self.not_superseded)
        self.corrected = store.has_facts("superseded")  # some events supersede others
        self.read_all = False  # what is at hand is not the whole truth: read all from the store
        self.before = 0  # the last event of earlier batches
        self.regrouped: set[str] = set()  # canonical ids whose group changed in this batch
        self._fresh = nothing_at_hand()

    def remember(self, events: Iterable[tuple[JourneyEvent, bytes]]) -> None:
        """Keep this batch's events at hand, so that folding need not look for them."""
        people, accounts = self._fresh[PEOPLE], self._fresh[ACCOUNTS]
        for event, record in events:
            if event.subject is not None:
                people[event.subject].append(record)
            if event.account is not None:
                accounts[event.account].append(record)

    def learn(self, kinds: Collection[str]) -> None:
        """Take note that the store now holds facts of these kinds."""
        self.corrected |= "superseded" in kinds
        self.members.any |= "member" in kinds
        self.people.learn(kinds)
        self.items.any_ownerless |= "ownerless" in kinds

    def learn_again(self) -> None:
        """Take note that the facts about people were found anew."""
        self.members.any = self.store.has_facts("member")
        self.people = People(self.store, self.identities, counted=self.not_superseded)
        self.read_all = True

    def end_batch(self) -> None:
        """All is folded: what was at hand is in the store."""
        self._fresh = nothing_at_hand()
        self.regrouped = set()
        self.read_all = False

    def events_of(
        self, groups: Mapping[str, Sequence[str]], kind: str, known: Container[str]
    ) -> dict[str, list[JourneyEvent]]:
        """Canonical id → all its events; who is not ``known`` has none from earlier batches."""
        owner = {name: subject for subject, ids in groups.items() for name in ids}
        found: dict[str, list[JourneyEvent]] = {}
        fresh = {} if self.read_all else self._fresh[kind]
        for name, subject in owner.items():
            if name in fresh:
                bodies = b"[" + b",".join(fresh[name]) + b"]"
                found.setdefault(subject, []).extend(decode_many(bodies))
        until = MAX_ROW if self.read_all else self.before
        wanted = [
            name
            for name, subject in owner.items()
            if subject in known or subject in self.regrouped or self.read_all
        ]
        for name, stored_before in self.store.events_of(COLUMN[kind], wanted, until=until):
            if stored_before is not None:
                found.setdefault(owner[name], []).extend(decode_many(stored_before))
        for subject, own in self.items.events_of(kind, owner).items():
            found.setdefault(subject, []).extend(own)
        if kind == ACCOUNTS:
            for account, own in self.members.events_of(owner).items():
                found.setdefault(account, []).extend(own)
        if kind == ACCOUNTS and self.policy.purpose is not None:
            found = {name: self._allowed(events) for name, events in found.items()}
        if self.corrected:
            found = {name: self.not_superseded(events) for name, events in found.items()}
        return found

    def not_superseded(self, events: list[JourneyEvent]) -> list[JourneyEvent]:
        """Those that no other event supersedes."""
        if not self.corrected or not events:
            return events
        superseded = self.store.superseded_among(event.event_id for event in events)
        return [event for event in events if event.event_id not in superseded]

    def _allowed(self, events: list[JourneyEvent]) -> list[JourneyEvent]:
        """What an account may know: the events of nobody, and of people who consented."""
        names = {event.subject for event in events if event.subject is not None}
        canonical = self.store.identities.canonical(PEOPLE, names)
        consents = self.store.consents_of({canonical.get(name, name) for name in names})
        barred = {
            name
            for name in names
            if not allows(consents.get(canonical.get(name, name), {}), self.policy.purpose)
        }
        return [event for event in events if event.subject not in barred]


def nothing_at_hand() -> dict[str, defaultdict[str, list[bytes]]]:
    """Kind → id → events as JSON, of a batch that begins."""
    return {PEOPLE: defaultdict(list), ACCOUNTS: defaultdict(list)}
