"""Whose events are an account's, too: its members, while they belong to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from journeys.accounts import ALWAYS, DOMAIN, AccountRules, Membership, memberships
from journeys.event import JourneyEvent
from target_journeys.events import decode_many, stored
from target_journeys.identities import PEOPLE, Identities
from target_journeys.stores.base import chunks
from target_journeys.stores.sqlite import SQLiteStore

CHUNK = 5_000  # people who are looked up together
PROVIDER = "domain with too many addresses"  # why a domain has no members


class Members:
    """Finds the accounts of people, and the events of members."""

    def __init__(
        self,
        store: SQLiteStore,
        rules: AccountRules,
        identities: Identities,
        *,
        counted: Callable[[list[JourneyEvent]], list[JourneyEvent]],
        owned: Callable[[str, Mapping[str, str]], dict[str, list[JourneyEvent]]],
    ) -> None:
        """``counted`` leaves out events that others supersede, ``owned`` is `Items.events_of`."""
        self.store = store
        self.rules = rules
        self.identities = identities
        self.any = store.has_facts("member")  # whether an event says who belongs where
        self._counted = counted
        self._owned = owned

    def accounts_of(self, people: Iterable[str]) -> set[str]:
        """The accounts that these people belong, or belonged, to; notes whose address is new."""
        if not self.any and not self.rules.email_domain:
            return set()
        found: set[str] = set()
        for ids in chunks(sorted(people), CHUNK):
            group = self.identities.ids_of(ids, PEOPLE)
            everybody = {name for names in group.values() for name in names} | set(ids)
            for body in self.store.facts("member", everybody):
                found.update(self.rules.named(stored(body)))
            by_domain = [
                (account, name)
                for name in everybody
                if (account := self.rules.domain_account(name)) is not None
            ]
            self.store.identities.keep_mailboxes(by_domain)
            found.update(account for account, _ in by_domain)
        return found

    def events_of(self, owner: Mapping[str, str]) -> dict[str, list[JourneyEvent]]:
        """Account → what members did while they belonged to it and named no account.

        ``owner``: each id of the wanted accounts → the account's canonical id.
        """
        if not self.any and not self.rules.email_domain:
            return {}
        by_domain = [
            (owner[account], name)
            for account, names in self._by_domain(owner).items()
            if len(names) <= self.rules.most_of_domain
            for name in names
        ]
        facts = self._counted([stored(body) for body in self.store.facts("member_of", owner)])
        named = {event.subject or "" for event in facts} | {name for _, name in by_domain}
        people = self.identities.ids_of(named, PEOPLE)
        canonical = {name: subject for subject, ids in people.items() for name in ids}
        joined = self._said(canonical, owner)
        said = {(member.account, member.subject) for member in joined}
        joined += [
            Membership(account, canonical[name], ALWAYS)
            for account, name in by_domain
            if (account, canonical[name]) not in said  # what an event says comes first
        ]
        own: dict[str, list[JourneyEvent]] = {}
        for name, bodies in self.store.events_of("subject", canonical):
            events = decode_many(bodies) if bodies is not None else []
            own.setdefault(canonical[name], []).extend(e for e in events if e.account is None)
        for person, events in self._owned(PEOPLE, canonical).items():
            own.setdefault(person, []).extend(e for e in events if e.account is None)
        found: dict[str, list[JourneyEvent]] = {}
        for member in joined:
            found.setdefault(member.account, []).extend(
                event
                for event in own.get(member.subject, ())
                if member.since <= event.occurred_at
                and (member.until is None or event.occurred_at < member.until)
            )
        return found

    def doubts(self, groups: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, str, int]]:
        """Domains that have no members, because they have too many, as rows of `unresolved`."""
        for subject, ids in groups.items():
            for names in self._by_domain(ids).values():
                if len(names) > self.rules.most_of_domain:
                    yield subject, "", PROVIDER, 1

    def _said(self, canonical: Mapping[str, str], owner: Mapping[str, str]) -> list[Membership]:
        """Who of these people belonged to one of these accounts, as far as events say."""
        facts = self._counted([stored(body) for body in self.store.facts("member", canonical)])
        joined = memberships(facts, self.rules, people=canonical, accounts=owner)
        ours = set(owner.values())
        return [member for member in joined if member.account in ours]

    def _by_domain(self, accounts: Iterable[str]) -> dict[str, list[str]]:
        """Account → the addresses of its domain; one more than allowed where there are more."""
        found: dict[str, list[str]] = {}
        if self.rules.email_domain:
            domains = [name for name in accounts if name.startswith(f"{DOMAIN}:")]
            rows = self.store.identities.mailboxes(domains, self.rules.most_of_domain)
            for account, name in rows:
                found.setdefault(account, []).append(name)
        return found
