"""The catalogue of a run: the store's products, and what items stand for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from journeys.catalogue import Catalogue, index_aliases
from journeys.event import Product
from target_journeys.stores.sqlite import SQLiteStore

decode_product = msgspec.json.Decoder(Product).decode


class Products:
    """Keeps products, and the catalogue that the fold asks."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.catalogue = Catalogue()
        self.load()

    def load(self) -> None:
        """Read all products anew."""
        products = [decode_product(body) for body in self.store.products()]
        by_id = {product.product_id: product for product in products}
        self.catalogue = Catalogue(by_id, index_aliases(products))

    def keep(self, products: Mapping[str, tuple[Product, bytes]]) -> set[str]:
        """Store these, by id, with their JSON; tells the names that mean something new."""
        self.store.keep_products((name, body.decode()) for name, (_, body) in products.items())
        known = self.catalogue.products
        new = (product for name, (product, _) in products.items() if known.get(name) != product)
        return {name for product in new for name in (product.product_id, *product.aliases)}
