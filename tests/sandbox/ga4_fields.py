"""The dimensions and metrics of GA4's Data API, read from exported events."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.sandbox.bigquery_world import Row

NOT_SET = "(not set)"
Event = tuple[Row, Row | None]  # an event, and the one item of it that is counted


def _param(name: str, column: str = "event_params") -> Callable[[Event], Any]:
    def read(event: Event) -> Any:
        for one in event[0][column]:
            if one["key"] == name:
                return next((value for value in one["value"].values() if value is not None), None)
        return None

    return read


def _inside(path: str) -> Callable[[Event], Any]:
    column, name = path.split(".")
    return lambda event: event[0][column].get(name)


def _item(name: str) -> Callable[[Event], Any]:
    return lambda event: event[1].get(name) if event[1] else None


def _source_medium(event: Event) -> str:
    source = event[0]["traffic_source"]
    return f"{source['source'] or '(direct)'} / {source['medium'] or '(none)'}"


def _hour(event: Event) -> str:
    at = datetime.fromtimestamp(event[0]["event_timestamp"] / 1_000_000, UTC)
    return at.strftime("%Y%m%d%H")


def _path(event: Event) -> str | None:
    address = _param("page_location")(event)
    return re.sub(r"^\w+://[^/]+|\?.*$", "", address) if address else None


DIMENSIONS: dict[str, Callable[[Event], Any]] = {
    "date": lambda event: event[0]["event_date"],
    "dateHour": _hour,
    "eventName": lambda event: event[0]["event_name"],
    "platform": lambda event: event[0]["platform"],
    "country": _inside("geo.country"),
    "deviceCategory": _inside("device.category"),
    "sessionSourceMedium": _source_medium,
    "pageLocation": _param("page_location"),
    "pagePath": _path,
    "transactionId": _inside("ecommerce.transaction_id"),
    "itemId": _item("item_id"),
    "itemName": _item("item_name"),
    "itemCategory": _item("item_category"),
    "userAgeBracket": lambda event: "unknown",
    "userGender": lambda event: "unknown",
}
CUSTOM = {"customEvent:": "event_params", "customUser:": "user_properties"}


def distinct(read: Callable[[Event], Any]) -> Callable[[list[Event]], Any]:
    return lambda events: len({read(event) for event in events} - {None})


def _session(event: Event) -> tuple[str, Any] | None:
    number, person = _param("ga_session_id")(event), event[0]["user_pseudo_id"]
    return None if person is None or number is None else (person, number)


def _count(name: str = "") -> Callable[[list[Event]], Any]:
    return lambda events: sum(1 for event, _ in events if name in ("", event["event_name"]))


def _sum(read: Callable[[Event], Any]) -> Callable[[list[Event]], Any]:
    return lambda events: sum(read(event) or 0 for event in events)


def _quantity(name: str) -> Callable[[list[Event]], Any]:
    read = _item("quantity")
    return lambda events: sum(
        (read(event) or 1) for event in events if event[0]["event_name"] == name
    )


def person(event: Event) -> Any:
    return event[0]["user_pseudo_id"]


METRICS: dict[str, tuple[str, Callable[[list[Event]], Any]]] = {
    "eventCount": ("TYPE_INTEGER", _count()),
    "activeUsers": ("TYPE_INTEGER", distinct(person)),
    "totalUsers": ("TYPE_INTEGER", distinct(person)),
    "sessions": ("TYPE_INTEGER", distinct(_session)),
    "screenPageViews": ("TYPE_INTEGER", _count("page_view")),
    "transactions": ("TYPE_INTEGER", distinct(_inside("ecommerce.transaction_id"))),
    "purchaseRevenue": ("TYPE_CURRENCY", _sum(_inside("ecommerce.purchase_revenue"))),
    "refundAmount": ("TYPE_CURRENCY", _sum(_inside("ecommerce.refund_value"))),
    "itemRevenue": ("TYPE_CURRENCY", _sum(_item("item_revenue"))),
    "itemsPurchased": ("TYPE_INTEGER", _quantity("purchase")),
    "itemsViewed": ("TYPE_INTEGER", _quantity("view_item")),
    "itemsAddedToCart": ("TYPE_INTEGER", _quantity("add_to_cart")),
}
ITEM_METRICS = {"itemRevenue", "itemsPurchased", "itemsViewed", "itemsAddedToCart"}


def dimension_of(event: Event, name: str) -> str:
    """The text that a report writes for a dimension."""
    prefix, _, key = name.partition(":")
    read = _param(key, CUSTOM[f"{prefix}:"]) if key else DIMENSIONS[name]
    value = read(event)
    return NOT_SET if value in (None, "") else str(value)
