"""What may help a journey on, from the catalogue of a store and from what others did."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from journeys.suggestions import MOST, Together, suggest
from target_journeys.products import Products
from target_journeys.stores.sqlite import SQLiteStore


class Suggestions:
    """Suggests for the journeys of a store; the catalogue is read once."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self._products: Products | None = None

    def of(self, journey: Mapping[str, Any], owned: Collection[str]) -> list[dict[str, Any]]:
        """For a journey, a stage record as a mapping; ``owned``: products that the customer has."""
        if journey["outcome"] is not None or journey["product"] is None:
            return []
        if self._products is None:
            self._products = Products(self.store)
        product = self._products.catalogue.products.get(journey["product"])
        if product is None:
            return []
        counts = (
            self.store.report.together(product.product_id, product.category, 4 * MOST)
            if product.category is not None
            else []
        )
        together = [Together(*each) for each in counts]
        found = suggest(product, journey["stage"], journey["roadblocks"], owned, together)
        return [each._asdict() for each in found]
