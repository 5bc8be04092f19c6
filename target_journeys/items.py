"""What items (tickets, deals, orders …) stand for, and whose they are, as far as events say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from journeys.catalogue import Owner, all_item_owners, item_links, item_owners
from journeys.event import JourneyEvent, changed
from journeys.model import FACTS
from target_journeys.events import stored
from target_journeys.identities import PEOPLE
from target_journeys.stores.sqlite import SQLiteStore


def items_of(event: JourneyEvent) -> list[str]:
    """The items that an event is about."""
    return [scope.id for scope in event.scopes if scope.grain == "item"]


def names_nobody(event: JourneyEvent) -> bool:
    """Whether an event names neither a person nor an account."""
    return event.subject is None and event.account is None


def is_ownerless(event: JourneyEvent) -> bool:
    """Whether an event says what happened, but not to whom."""
    return names_nobody(event) and event.event_type not in FACTS


def item_facts(event: JourneyEvent) -> Iterator[tuple[str, str]]:
    """(kind, id) of what an event says about items: see the table `facts`."""
    if event.event_type == "scope_linked":
        for item in items_of(event):
            yield "item", item
            if event.subject or event.account:
                yield "owned", item
        if items_of(event):
            yield "owns", event.subject or ""
            yield "owns", event.account or ""
    elif is_ownerless(event):
        for item in items_of(event):
            yield "ownerless", item


class Items:
    """Finds the products of items, and the events of items for their owners."""

    def __init__(
        self, store: SQLiteStore, *, counted: Callable[[list[JourneyEvent]], list[JourneyEvent]]
    ) -> None:
        """``counted`` leaves out the events that others supersede."""
        self.store = store
        self.any_ownerless = store.has_facts("ownerless")
        self._counted = counted

    def products_of(self, items: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Item → product ids."""
        return item_links(self._links(items))

    def owners_of(self, items: Iterable[str]) -> list[Owner]:
        """All who own, or owned, one of these items for which events wait that name nobody."""
        if not self.any_ownerless:
            return []
        # also by links that are superseded: whoever had the events loses them
        links = [stored(body) for body in self.store.facts("item", items)]
        return [Owner(link.subject, link.account) for link in links]

    def events_of(self, kind: str, subjects: Mapping[str, str]) -> dict[str, list[JourneyEvent]]:
        """Canonical id → what happened to its items in events that name nobody.

        ``subjects``: id → canonical id. Each event gets the owner that a ``scope_linked`` names.
        """
        if not self.any_ownerless:
            return {}
        owning = [stored(body) for body in self.store.facts("owns", subjects)]
        items = {item for link in owning for item in items_of(link)}
        owners = item_owners(self._links(items))
        found: dict[str, list[JourneyEvent]] = {}
        for body in self.store.facts("ownerless", items) if items else ():
            event = stored(body)
            for item in items_of(event):
                owner = owners.get(item, Owner())
                name = owner.subject if kind == PEOPLE else owner.account
                if name is not None and name in subjects:
                    owned = changed(event, subject=owner.subject, account=owner.account)
                    found.setdefault(subjects[name], []).append(owned)
                    break
        return found

    def of_person(self, ids: Collection[str], events: Iterable[JourneyEvent]) -> set[str]:
        """The items that are one person's and nobody else's, by all ids and events of the person.

        Links decide: of an item that they give to another person or to an account as well, such as
        a company's deal, this person is one of several owners. An item that no link gives to
        anybody is the person's if nobody's events but theirs, which name no account, are about it.
        """
        own = list(events)
        owners = all_item_owners(self._links({item for event in own for item in items_of(event)}))
        linked = {item for item, names in owners.items() if names.issubset(ids)}
        about = {
            scope.id
            for event in own
            if event.account is None and event.event_type not in FACTS
            for scope in event.scopes
            if scope.grain == "item" and scope.role == "primary" and scope.id not in owners
        }
        return linked | (about - self.store.erasure.items_of_others(about, ids))

    def _links(self, items: Iterable[str]) -> list[JourneyEvent]:
        wanted = set(items)
        if not wanted:
            return []
        return self._counted([stored(body) for body in self.store.facts("item", wanted)])
