"""Which product a scope means: aliases, categories, and items that stand for products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    The latest link of an item counts, and beside it the latest of every record that is `partial`:
    one line of an order, which does not speak of the others.
    """
    latest: dict[str, dict[tuple[str, ...], tuple[datetime, str, tuple[str, ...]]]] = {}
    for event in events:
        products = tuple(s.id for s in event.scopes if s.grain == "product")
        link = (event.occurred_at, event.event_id, products)
        is_part = event.properties.get("partial") is True
        record = (event.source, event.source_key) if is_part else ()
        for item in (s.id for s in event.scopes if s.grain == "item"):
            links = latest.setdefault(item, {})
            links[record] = max(link, links.get(record, link))
    return {
        item: tuple(dict.fromkeys(name for *_, names in sorted(links.values()) for name in names))
        for item, links in latest.items()
    }
