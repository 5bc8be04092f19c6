"""The deals that every process of the bench reads: seeded, in time order, 15 fields each.

Customers arrive evenly over two years; each looks at about two products, and every product runs
through its own chain of visits, orders, deliveries, use, tickets and returns. N records come from
about N/10 customers, so a batch of the target meets many customers with a few events each.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count, islice
from typing import Any

STREAM = "deals"
SEED = 7
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
PERIOD_S = 2 * 365 * 86_400
QUIET_S = 60 * 86_400  # between the last deal and the late ones
RECORDS_PER_CUSTOMER = 10
CATALOGUE = 200  # products
STATE_EVERY = 10_000  # records; what the SDK's taps do

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": ["string"]},
        "dealname": {"type": ["string", "null"]},
        "contact_email": {"type": ["string", "null"]},
        "company_id": {"type": ["integer", "null"]},
        "product_sku": {"type": ["string", "null"]},
        "action": {"type": ["string", "null"]},
        "amount": {"type": ["number", "null"]},
        "probability": {"type": ["number", "null"]},
        "created_at": {"type": ["string", "null"], "format": "date-time"},
        "updated_at": {"type": ["string", "null"], "format": "date-time"},
        "owner": {"type": ["string", "null"]},
        "currency": {"type": ["string", "null"]},
        "pipeline": {"type": ["string", "null"]},
        "tags": {"type": ["array", "null"], "items": {"type": ["string", "null"]}},
        "attributes": {
            "type": ["object", "null"],
            "properties": {
                "channel": {"type": ["string", "null"]},
                "campaign": {"type": ["string", "null"]},
                "device": {"type": ["string", "null"]},
                "quantity": {"type": ["integer", "null"]},
            },
        },
    },
}

# action: days until it (mean), probability of the deal, what follows it and how often
ACTIONS: dict[str, tuple[float, float, dict[str, float]]] = {
    "view": (3, 0.1, {"view": 0.40, "quote": 0.08, "add_to_cart": 0.32}),
    "quote": (2, 0.25, {"add_to_cart": 0.7}),
    "add_to_cart": (0.1, 0.4, {"checkout": 0.7, "view": 0.15}),
    "checkout": (0.05, 0.65, {"purchase": 0.85}),
    "purchase": (0.01, 0.95, {"delivered": 0.95}),
    "delivered": (3, 1.0, {"use": 0.6, "ticket": 0.12, "return": 0.06}),
    "use": (10, 1.0, {"use": 0.55, "ticket": 0.1, "renew": 0.08}),
    "ticket": (12, 1.0, {"solved": 0.95}),
    "solved": (1.5, 1.0, {"use": 0.5}),
    "renew": (60, 1.0, {"use": 0.5}),
    "return": (6, 1.0, {"refund": 0.9}),
    "refund": (4, 1.0, {}),
}
FIRST = ("ana", "bruno", "chiara", "david", "elena", "farid", "grace", "hiro", "ines", "jonas")
LAST = ("almeida", "becker", "conti", "duarte", "eriksson", "fischer", "garcia", "haddad")
OWNERS = ("Marta Lindqvist", "Oliver Stone", "Priya Raman", "Sven Achterberg")
CAMPAIGNS = ("spring-sale-2025", "newsletter-weekly", "brand-search-emea", "partner-referral")
TAGS = ("inbound", "priority-customer", "self-service", "emea-enterprise", "price-sensitive")
CHANNELS = ("web", "web", "web", "email", "store", "phone")


def deals(records: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """That many deals, oldest first."""
    rng = random.Random(seed)
    step_s = PERIOD_S * RECORDS_PER_CUSTOMER / records
    return islice(_time_line(rng, step_s), records)


def late_deals(customers: int, records: int) -> Iterator[dict[str, Any]]:
    """One more deal for each of so many customers of an export of ``records`` deals."""
    rng = random.Random(SEED + 1)
    known = records // RECORDS_PER_CUSTOMER
    for index in range(customers):
        customer = index * known // customers
        at = START + PERIOD_S + QUIET_S + index
        number = records + index
        yield _deal(rng, number, customer, _product(customer, 0), "view", opened=at, at=at)


def _time_line(rng: random.Random, step_s: float) -> Iterator[dict[str, Any]]:
    # (when, tie-break, customer, product, action, when the first of this product was)
    waiting: list[tuple[float, int, int, int, str, float]] = []
    order, number = count(), count()
    for customer in count():
        arrival = START + customer * step_s
        while waiting and waiting[0][0] <= arrival:
            at, _, who, product, action, opened = heapq.heappop(waiting)
            yield _deal(rng, next(number), who, product, action, opened=opened, at=at)
            following = _next_action(rng, action)
            if following:
                then = at + 60 + rng.expovariate(1 / (ACTIONS[following][0] * 86_400))
                item = (then, next(order), who, product, following, opened)
                heapq.heappush(waiting, item)
        for nth in range(rng.choice((1, 2, 2, 3))):
            begin = arrival + nth * rng.expovariate(1 / (20 * 86_400))
            product = _product(customer, nth)
            heapq.heappush(waiting, (begin, next(order), customer, product, "view", begin))


def _product(customer: int, nth: int) -> int:
    return (customer * 17 + nth * 61) % CATALOGUE


def _next_action(rng: random.Random, action: str) -> str | None:
    draw = rng.random()
    for following, share in ACTIONS[action][2].items():
        draw -= share
        if draw < 0:
            return following
    return None


def _deal(
    rng: random.Random,
    number: int,
    customer: int,
    product: int,
    action: str,
    *,
    opened: float,
    at: float,
) -> dict[str, Any]:
    company = customer // 4
    first, last = FIRST[customer % len(FIRST)], LAST[customer % len(LAST)]
    return {
        "id": f"deal-{number:09d}",
        "dealname": f"{first.title()} {last.title()} - product {product}",
        "contact_email": f"{first}.{last}.{customer}@company-{company}.example",
        "company_id": 1_000_000 + company,
        "product_sku": f"SKU-{product:05d}",
        "action": action,
        "amount": round(19 + product * 3.7 + rng.random() * 40, 2),
        "probability": ACTIONS[action][1],
        "created_at": _iso(opened),
        "updated_at": _iso(at),
        "owner": OWNERS[company % len(OWNERS)],
        "currency": ("EUR", "GBP", "USD")[company % 3],
        "pipeline": "default-b2c-pipeline" if product % 2 else "accounts-b2b-pipeline",
        "tags": [TAGS[customer % 5], TAGS[(customer + 1 + product % 4) % 5]],
        "attributes": {
            "channel": rng.choice(CHANNELS),
            "campaign": CAMPAIGNS[number % len(CAMPAIGNS)],
            "device": ("desktop", "mobile")[number % 2],
            "quantity": 1 + number % 3,
        },
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def singer_lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """SCHEMA, one RECORD per deal, a STATE every 10,000 and at the end."""
    yield _line({"type": "SCHEMA", "stream": STREAM, "schema": SCHEMA, "key_properties": ["id"]})
    number, seen_at = 0, None
    for number, record in enumerate(records, start=1):
        seen_at = record["updated_at"]
        yield _line(
            {
                "type": "RECORD",
                "stream": STREAM,
                "record": record,
                "time_extracted": "2026-01-05T06:00:00.000000+00:00",
            }
        )
        if number % STATE_EVERY == 0:
            yield _state(seen_at)
    if number % STATE_EVERY:
        yield _state(seen_at)


def _state(seen_at: str | None) -> str:
    bookmark = {"replication_key": "updated_at", "replication_key_value": seen_at}
    return _line({"type": "STATE", "value": {"bookmarks": {STREAM: bookmark}}})


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the bench's deals to standard output.")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--format", choices=("singer", "jsonl"), default="singer")
    parser.add_argument("--late", type=int, help="only so many deals that come after those records")
    options = parser.parse_args()
    if options.late is None:
        records = deals(options.records)
    else:
        records = late_deals(options.late, options.records)
    lines = singer_lines(records) if options.format == "singer" else map(_line, records)
    sys.stdout.writelines(lines)


if __name__ == "__main__":
    main()
