"""Makes the exports of an invented company, the same ones every time.

    python examples/shop/generate.py [FOLDER]      # by default the folder `data` beside this file

Every person, company and product is invented. What the demonstration talks about by name is
written out in `stories.py`; the crowd around it, in `crowd.py`, is drawn at random from a fixed
seed.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from crowd import business, consumer, new_name
from stories import (
    five_journeys,
    four_systems,
    mistakes,
    no_decisions,
    stalled_team,
    torn_team,
    unknown_visitor,
)
from systems import NOW, Row, Shop

CONSUMERS, COMPANIES = 217, 25
COMPANY_NAMES = (
    "Alder Brook Cedar Delta Ember Fern Grove Heath Iris Juniper Kelp Linden Marsh Nettle Oak "
    "Pine Quartz Reed Sorrel Thistle Umber Vale Willow"
)
COMPANY_KINDS = "Freight Clinics Bakery Studios Works Schools Marine"


def everything() -> Shop:
    """The whole company."""
    shop = Shop()
    for story in (five_journeys, stalled_team, no_decisions, unknown_visitor, mistakes):
        story(shop)
    taken = {person.name for person in shop.people}
    names, kinds = COMPANY_NAMES.split(), COMPANY_KINDS.split()
    for number in range(COMPANIES - len(shop.companies)):
        name = f"{names[number]} {kinds[number % len(kinds)]}"
        business(shop, shop.company(name, NOW), taken)
    for _ in range(CONSUMERS):
        consumer(shop, shop.person(new_name(shop, taken), lead=shop.chance(0.12)))
    four_systems(shop)  # last, so that everybody else stays as they are
    torn_team(shop)  # behind the crowd, which it must not change
    return shop


# -- files -------------------------------------------------------------------------------------


def files(shop: Shop) -> dict[str, str]:
    """File name → content, each in the order in which its system would export it."""
    web = numbered(shop.web_events, "event_id", "W", "event_time")
    usage = numbered(shop.usage, "event_id", "U", "at")
    by_time = sorted(shop.orders, key=lambda row: (row["ordered_at"], row["order_id"]))
    again = [dict(row) for row in by_time[40:400:60]]  # the till sent some rows twice
    return {
        "catalogue.csv": as_csv(shop.products),
        "crm_companies.jsonl": as_lines(shop.companies),
        "crm_contacts.jsonl": as_lines(shop.contacts),
        "crm_deals.jsonl": as_lines(shop.deals),
        "crm_deals_later.jsonl": as_lines(shop.later_deals),
        "web_events.jsonl": as_lines([*web, *web[100:900:200]]),  # and the web shop, too
        "web_accounts.csv": as_csv(web_accounts(web)),
        "store_visits.csv": as_csv(shop.visits),
        "orders.csv": as_csv(by_time + again),
        "orders_late.csv": as_csv(shop.late_orders),
        "shipments.csv": as_csv(shop.shipments),
        "returns.csv": as_csv(shop.returns),
        "policies.csv": as_csv(shop.policies),
        "tickets.csv": as_csv(sorted(shop.tickets, key=lambda row: row["changed_at"])),
        "app_usage.csv": as_csv(usage),
        "id_pairs.csv": as_csv(shop.id_pairs),
    }


def numbered(rows: Iterable[Row], column: str, prefix: str, by: str) -> list[Row]:
    """The rows in order of time, each with a number of its own."""
    ordered = sorted(rows, key=lambda row: row[by])
    return [{column: f"{prefix}{100000 + n}"} | row for n, row in enumerate(ordered)]


def web_accounts(web: Iterable[Row]) -> list[Row]:
    """Whoever logged in, and the number by which an analytics tool may know them."""
    since: dict[str, str] = {}
    for event in web:
        if event["user_id"]:
            since.setdefault(event["user_id"], event["event_time"])
    return [
        {"account_id": f"A{7000 + number}", "email": email, "opened_at": at}
        for number, (email, at) in enumerate(since.items())
    ]


def as_lines(rows: Iterable[Row]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def as_csv(rows: Sequence[Row]) -> str:
    """CSV with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files(everything()).items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
