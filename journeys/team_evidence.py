"""What events say of an account's people: who did what with which product, and in which role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from journeys.catalogue import Catalogue
from journeys.event import JourneyEvent
from journeys.model import UNDECLARED, StageModel
from journeys.roles import OTHER

Key = tuple[str, str]  # grain ("product" or "category"), id
DEAL_ROLES = ("contact_role_added", "contact_role_removed")
OWN_ROLES = ("profile_observed", "account_joined", "lead_created")  # may name role and title


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that somebody holds, and the event that says so."""

    role: str  # one of the declared ones; "" where a deal names somebody without a role
    named: str  # as the source writes it; of a title, the title
    by: str  # "deal", "profile" or "title"
    event_id: str
    since: datetime


@dataclass(slots=True)
class Evidence:
    """What the events of an account come to, taken in order."""

    model: StageModel
    catalogue: Catalogue
    people: Mapping[str, str]
    scopes: dict[Key, tuple[str | None, str | None]] = field(default_factory=dict)
    touches: dict[Key, dict[str, list[datetime]]] = field(default_factory=dict)
    own: dict[str, list[JourneyEvent]] = field(default_factory=dict)  # person → events
    # person → who says so (a deal, an association) → roles, for one product or category
    held: dict[Key, dict[str, dict[str, list[HeldRole]]]] = field(default_factory=dict)
    profiles: dict[str, dict[str, list[HeldRole]]] = field(default_factory=dict)  # for all of them
    titles: dict[str, HeldRole] = field(default_factory=dict)

    def take(self, event: JourneyEvent) -> None:
        """Take in one event."""
        if event.subject is None:
            return
        who = self.people.get(event.subject, event.subject)
        kind = event.event_type
        if kind == "account_left":
            self._forget(who)
            return
        if kind in DEAL_ROLES:
            self._deal(event, who)
        elif kind in OWN_ROLES:
            self._profile(event, who)
        meaning = self.model.meanings.get(kind, UNDECLARED)
        if meaning.is_fact or not event.scopes:
            return
        self.own.setdefault(who, []).append(event)
        if meaning.is_impression or meaning.is_crm or kind in DEAL_ROLES:
            return  # what we or the CRM did is no touch of theirs
        for key in self._keys(event, touched=True):
            self.touches.setdefault(key, {}).setdefault(who, []).append(event.occurred_at)

    def members(self, key: Key, active_after: datetime) -> set[str]:
        """Who holds a role, or did something after a moment."""
        found = {
            who for who, touches in self.touches.get(key, {}).items() if touches[-1] > active_after
        }
        found |= {who for who, slots in self.held.get(key, {}).items() if any(slots.values())}
        return found | {who for who, slots in self.profiles.items() if any(slots.values())}

    def roles(self, key: Key, who: str) -> list[HeldRole]:
        """The roles of somebody, each once; what a title suggests only where nobody names one."""
        slots = [
            *self.held.get(key, {}).get(who, {}).values(),
            *self.profiles.get(who, {}).values(),
        ]
        first: dict[str, HeldRole] = {}
        for held in sorted(
            (held for slot in slots for held in slot), key=lambda h: (h.since, h.event_id, h.named)
        ):
            first.setdefault(held.role, held)
        if not first.keys() - {"", OTHER} and who in self.titles:
            title = self.titles[who]
            first.setdefault(title.role, title)
        return list(first.values())

    def _keys(self, event: JourneyEvent, *, touched: bool = False) -> list[Key]:
        """The products and categories that an event is about, each once."""
        found: dict[Key, None] = {}
        for scope in event.scopes:
            for each in self.catalogue.resolve(scope):
                if each.product is None and each.grain != "category":
                    continue  # an item that no link names a product for
                category = self.model.category(each.category, each.product)
                if touched and event.account is None and not category.account_journeys:
                    continue
                keys: list[Key] = []
                if each.product is not None:
                    keys.append(("product", each.product))
                first = category.grain_before_purchase == "category" or each.product is None
                if first and each.category is not None:
                    keys.append(("category", each.category))
                for key in keys:
                    product = each.product if key[0] == "product" else None
                    self.scopes.setdefault(key, (product, each.category))
                    found.setdefault(key)
        return list(found)

    def _deal(self, event: JourneyEvent, who: str) -> None:
        deal = f"deal {event.properties.get('opportunity') or event.source_key}"
        roles = list(self._roles(event, "deal"))
        for key in self._keys(event):
            slots = self.held.setdefault(key, {}).setdefault(who, {})
            before = slots.get(deal, [])
            if event.event_type == "contact_role_added":
                known = {held.role for held in before}
                added = roles or [HeldRole("", "", "deal", event.event_id, event.occurred_at)]
                slots[deal] = [*before, *(held for held in added if held.role not in known)]
            else:
                gone = {held.role for held in roles} or {held.role for held in before}
                slots[deal] = [held for held in before if held.role not in gone]

    def _profile(self, event: JourneyEvent, who: str) -> None:
        at = event.occurred_at
        if "title" in event.properties:
            title = event.properties.get("title")
            role = self.model.roles.suggested(title)
            self.titles.pop(who, None)
            if role is not None:
                self.titles[who] = HeldRole(role, str(title), "title", event.event_id, at)
        if "role" not in event.properties:
            return
        roles = list(self._roles(event, "profile"))
        if event.event_type == "profile_observed" and event.scopes:  # a label of an association
            slot = f"{event.source} {event.source_key}"
            for key in self._keys(event):
                own = self.held.setdefault(key, {}).setdefault(who, {})
                nameless = [HeldRole("", "", "profile", event.event_id, at)]
                own[slot] = kept(own.get(slot, []), roles or nameless)
            return
        known = [held for held in roles if held.role != OTHER]  # "owner" or "admin" says nothing
        own = self.profiles.setdefault(who, {})
        own[event.source] = kept(own.get(event.source, []), known)

    def _roles(self, event: JourneyEvent, by: str) -> Iterator[HeldRole]:
        for role, theirs in self.model.roles.named(event.properties.get("role")):
            yield HeldRole(role, theirs, by, event.event_id, event.occurred_at)

    def _forget(self, who: str) -> None:
        """Somebody left the account; the title stays theirs, should they come back."""
        for touches in self.touches.values():
            touches.pop(who, None)
        for held in self.held.values():
            held.pop(who, None)
        self.own.pop(who, None)
        self.profiles.pop(who, None)


def kept(before: list[HeldRole], now: list[HeldRole]) -> list[HeldRole]:
    """What holds now; a role that was held already is held since then."""
    since = {held.role: held for held in before}
    return [since.get(held.role, held) for held in now]
