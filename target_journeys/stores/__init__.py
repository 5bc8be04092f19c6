"""The stores that keep events and journeys, by URL scheme."""

from __future__ import annotations

from target_journeys.stores.base import NoStoreError, StoreError, StoreInUseError
from target_journeys.stores.sqlite import SQLiteStore

__all__ = ["STORES", "NoStoreError", "StoreError", "StoreInUseError", "open_store"]

STORES: dict[str, type[SQLiteStore]] = {
    "sqlite": SQLiteStore,
}


def open_store(url: str, *, create: bool = True, migrate: bool = True) -> SQLiteStore:
    """The store that an URL names: ``sqlite:///journeys.db``, relative to the current directory.

    Raises :class:`StoreError`.
    """
    scheme, separator, path = url.partition(":///")
    if not separator or scheme not in STORES or not path:
        known = ", ".join(f"{name}:///PATH" for name in STORES)
        raise StoreError(f"store: the URL is not one of {known}.")
    return STORES[scheme](path, create=create, migrate=migrate)
