"""What is known of an account's people beside its own events: roles, titles, other ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from journeys.event import JourneyEvent
from journeys.team import Known
from target_journeys.events import stored
from target_journeys.identities import PEOPLE, Identities
from target_journeys.items import items_of
from target_journeys.stores.sqlite import SQLiteStore

PROFILE, ROLE_OF = "profile", "role_of"  # kinds of facts: of a person, of an item (a deal)
ROLE_EVENTS = ("contact_role_added", "contact_role_removed", "profile_observed")


def team_facts(event: JourneyEvent) -> Iterator[tuple[str, str]]:
    """(kind, id) of what an event that names no account says of somebody's part in a team."""
    if event.subject is None or event.account is not None or event.event_type not in ROLE_EVENTS:
        return
    if event.event_type != "profile_observed" or "role" in event.properties:
        for item in items_of(event):
            yield ROLE_OF, item
    if event.event_type == "profile_observed" and not event.scopes:
        named = not event.properties.keys().isdisjoint(("role", "title"))
        yield from [(PROFILE, event.subject)] * named


class People:
    """Finds who the people of accounts are, and what is known of their roles."""

    def __init__(
        self,
        store: SQLiteStore,
        identities: Identities,
        *,
        counted: Callable[[list[JourneyEvent]], list[JourneyEvent]],
    ) -> None:
        """``counted`` leaves out the events that others supersede."""
        self.store = store
        self.identities = identities
        self.any_profile = store.has_facts(PROFILE)
        self.any_role = store.has_facts(ROLE_OF)
        self._counted = counted

    def learn(self, kinds: Iterable[str]) -> None:
        """Take note that the store now holds facts of these kinds."""
        self.any_profile |= PROFILE in kinds
        self.any_role |= ROLE_OF in kinds

    def known(self, events: Mapping[str, Sequence[JourneyEvent]]) -> dict[str, Known]:
        """Account → what is known of its people, beside these events of its own."""
        by_item = self._by_item(events) if self.any_role else {}
        of_deals = {
            account: [
                each
                for item in {item for event in own for item in items_of(event)}
                for each in by_item.get(item, ())
            ]
            for account, own in events.items()
        }
        subjects = {
            account: {event.subject for event in (*own, *of_deals[account]) if event.subject}
            for account, own in events.items()
        }
        everybody = {name for names in subjects.values() for name in names}
        people = self.identities.ids_of(everybody, PEOPLE)
        canonical = {name: person for person, ids in people.items() for name in ids}
        profiles = self._profiles(canonical) if self.any_profile else {}
        return {
            account: Known(
                {name: canonical[name] for name in names},
                [
                    *of_deals[account],
                    *(
                        event
                        for person in {canonical[name] for name in names}
                        for event in profiles.get(person, ())
                    ),
                ],
            )
            for account, names in subjects.items()
        }

    def _by_item(
        self, events: Mapping[str, Sequence[JourneyEvent]]
    ) -> dict[str, list[JourneyEvent]]:
        items = {item for own in events.values() for event in own for item in items_of(event)}
        found: dict[str, list[JourneyEvent]] = {}
        for event in self._counted([stored(body) for body in self.store.facts(ROLE_OF, items)]):
            for item in items_of(event):
                found.setdefault(item, []).append(event)
        return found

    def _profiles(self, canonical: Mapping[str, str]) -> dict[str, list[JourneyEvent]]:
        found: dict[str, list[JourneyEvent]] = {}
        facts = self.store.facts(PROFILE, canonical)
        for event in self._counted([stored(body) for body in facts]):
            found.setdefault(canonical[event.subject or ""], []).append(event)
        return found
