"""Singer messages and events for the target, written down shortly."""

from __future__ import annotations

import io
import json
from typing import Any

from target_journeys.target import TargetJourneys

SCHEMA = {
    "type": "SCHEMA",
    "stream": "journey_events",
    "schema": {"type": "object", "properties": {"event_id": {"type": "string"}}},
    "key_properties": ["event_id"],
}


def record(number: int, event_type: str = "product_viewed", **fields: Any) -> dict[str, Any]:
    """A RECORD of one event; each number is an hour later than the one before."""
    event = {
        "event_id": f"{number:032x}",
        "event_type": event_type,
        "occurred_at": f"2026-01-{1 + number // 24:02}T{number % 24:02}:00:00Z",
        "source": "web_events",
        "source_key": str(number),
        "subject": "email:ana@acme.test",
        "scopes": [{"grain": "product", "id": "P"}],
    }
    return {"type": "RECORD", "stream": "journey_events", "record": event | fields}


def five_products() -> list[dict[str, Any]]:
    """One customer with five products, each of them in another place, within ten hours."""
    kinds = {
        "A": ["product_viewed"],
        "B": ["cart_added"],
        "C": ["order_placed", "order_delivered"],
        "D": ["order_delivered", "return_requested"],
        "E": ["order_delivered", "ticket_opened"],
    }
    return [
        record(number * 2 + n, kind, scopes=[{"grain": "product", "id": name}])
        for number, (name, each) in enumerate(kinds.items())
        for n, kind in enumerate(each)
    ]


def product(**fields: Any) -> dict[str, Any]:
    return {"type": "RECORD", "stream": "products", "record": fields}


def products_schema() -> dict[str, Any]:
    return SCHEMA | {"stream": "products", "key_properties": ["product_id"]}


def state(value: Any) -> dict[str, Any]:
    return {"type": "STATE", "value": value}


def lines(*messages: dict[str, Any]) -> str:
    return "".join(json.dumps(message) + "\n" for message in messages)


def sync(store: Any, *messages: dict[str, Any], **config: Any) -> TargetJourneys:
    """One whole run of the target in this process."""
    settings = {"store": f"sqlite:///{store}", "as_of": "2026-03-01T00:00:00Z"} | config
    target = TargetJourneys(config=settings)
    target.listen(io.StringIO(lines(*messages)))
    return target
