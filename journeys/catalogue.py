"""Which product a scope means: aliases, categories, and items that stand for products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from journeys.event import JourneyEvent, Product, Scope


class Resolved(NamedTuple):
    """What a scope means after the catalogue was asked."""

    grain: str
    id: str  # product id, item id or category path
    product: str | None
    category: str | None
    role: str
    doubt: str | None = None  # why it may be wrong: "unknown product", "item without product"


MEMO_SIZE = 100_000  # bounds the memory of a long run


@dataclass(slots=True)
class Catalogue:
    """The products by id and alias, and the products that items (deals, orders …) stand for."""

    products: Mapping[str, Product] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)  # alias → product id
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # item id → product ids
    memo: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    def resolve(self, scope: Scope) -> tuple[Resolved, ...]:
        """One meaning for a product or category, one per product for an item."""
        return tuple(self._item(scope)) if scope.grain == "item" else (self._one(scope),)

    def remember(self, key: tuple[str, ...], found: object) -> None:
        """Keep what the fold made of a product or category; items change too often."""
        if key[0] != "item":
            if len(self.memo) >= MEMO_SIZE:
                self.memo.clear()
            self.memo[key] = found

    def _one(self, scope: Scope) -> Resolved:
        if scope.grain == "category":
            return Resolved("category", scope.id, None, scope.id, scope.role)
        return self._product(scope.id, scope.role)

    def _item(self, scope: Scope) -> Iterable[Resolved]:
        linked = self.items.get(scope.id, ())
        for product in linked:
            yield self._product(product, scope.role)._replace(grain="item", id=scope.id)
        if not linked:
            yield Resolved("item", scope.id, None, None, scope.role, "item without product")

    def _product(self, name: str, role: str) -> Resolved:
        product = self.products.get(name)
        if product is None and name in self.aliases:
            product = self.products[self.aliases[name]]
        if product is None:
            doubt = "unknown product" if self.products else None
            return Resolved("product", name, name, None, role, doubt)
        return Resolved("product", product.product_id, product.product_id, product.category, role)


def index_aliases(products: Iterable[Product]) -> dict[str, str]:
    """Alias → product id; an alias that two products claim goes to the smaller product id."""
    aliases: dict[str, str] = {}
    for product in sorted(products, key=lambda p: p.product_id, reverse=True):
        for alias in product.aliases:
            aliases[alias] = product.product_id
    return aliases


def item_links(events: Iterable[JourneyEvent]) -> dict[str, tuple[str, ...]]:
    """Item id → product ids, from ``scope_linked`` events.

    Of each record of a source the latest link counts, and what several records say adds up: a deal
    that names all its products says so once, its lines say it one by one. A link without a product
    takes back what its record said before. Links of one record and one moment add up, too: they
    come from several rules.
    """
    links: dict[str, dict[str, None]] = {}
    for item, event in sorted(_latest(events), key=lambda each: _when(each[1])):
        products = (s.id for s in event.scopes if s.grain == "product")
        links.setdefault(item, {}).update(dict.fromkeys(products))
    return {item: tuple(products) for item, products in links.items()}


class Owner(NamedTuple):
    """Whose an item is, as far as it is known."""

    subject: str | None = None
    account: str | None = None


def item_owners(events: Iterable[JourneyEvent]) -> dict[str, Owner]:
    """Item id → whose it is: the latest person and account that a ``scope_linked`` names for it."""
    owners: dict[str, Owner] = {}
    for event in sorted(events, key=_when):
        for item in (s.id for s in event.scopes if s.grain == "item"):
            before = owners.get(item, Owner())
            owners[item] = Owner(event.subject or before.subject, event.account or before.account)
    return owners


def all_item_owners(events: Iterable[JourneyEvent]) -> dict[str, set[str]]:
    """Item id → every person and account that it is of; of each record the latest link counts."""
    known = list(events)
    people = _latest(event for event in known if event.subject is not None)
    accounts = _latest(event for event in known if event.account is not None)
    owners: dict[str, set[str]] = {}
    for item, name in (
        *((item, event.subject) for item, event in people),
        *((item, event.account) for item, event in accounts),
    ):
        owners.setdefault(item, set()).add(name or "")
    return owners


def _latest(events: Iterable[JourneyEvent]) -> Iterator[tuple[str, JourneyEvent]]:
    """(item, link): of each item and record of a source the latest links, all of one moment."""
    latest: dict[tuple[str, str, str], list[JourneyEvent]] = {}
    for event in events:
        for item in (s.id for s in event.scopes if s.grain == "item"):
            known = latest.setdefault((item, event.source, event.source_key), [])
            if known and known[0].occurred_at < event.occurred_at:
                known.clear()
            if not known or known[0].occurred_at == event.occurred_at:
                known.append(event)
    for (item, _, _), found in latest.items():
        for event in found:
            yield item, event


def _when(event: JourneyEvent) -> tuple[datetime, str]:
    return event.occurred_at, event.event_id
