"""Puts the sample company into the sandbox.

Its CRM goes into HubSpot, its tickets into Zendesk, its web events into tables of a GA4 export.
What the files cannot say is made up in the way of the vendor: ids are numbers (the shop's own stay
beside them), roles are labels of the association, a ticket's product is a custom field that an app
fills in where only a serial number was given, and Google is told an account, no e-mail address.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sandbox.bigquery import BigQuery
    from tests.sandbox.hubspot_world import HubSpotWorld
    from tests.sandbox.server import Sandbox
    from tests.sandbox.zendesk import Zendesk
    from tests.sandbox.zendesk_world import ZendeskWorld

DATA = Path(__file__).parents[2] / "examples" / "shop" / "data"
STAGES = (
    ("qualified", "Qualified", "0.2"),
    ("demo", "Demonstration", "0.4"),
    ("business_case", "Business case", "0.5"),
    ("proposal", "Proposal", "0.6"),
    ("negotiation", "Negotiation", "0.8"),
    ("parked", "Parked", "0.1"),
    ("closedwon", "Closed won", "1.0"),
    ("closedlost", "Closed lost", "0.0"),
)
PROPERTY_ID = "123456"  # of the web shop in GA4
PRODUCT_FIELD, SERIAL_FIELD = 360001, 360002  # of a ticket
OPENED_AT = "2026-01-01T00:00:00Z"  # before anything else happens in the sample

Row = dict[str, Any]


def _lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _number(shop_id: str) -> int:
    """`D3001` → 3001, `D3001-L1` → 300101."""
    first, _, second = shop_id[1:].partition("-L")
    return int(first) * 100 + int(second) if second else int(first)


def fill(sandbox: Sandbox, folder: Path = DATA) -> list[str]:
    """Fill the vendors that are there; the names of those that hold something now."""
    fillers: dict[str, Callable[[], None]] = {
        "hubspot": lambda: fill_hubspot(sandbox.hubspot.world, folder, later=True),
        "zendesk": lambda: _fill_help_desk(sandbox.zendesk, folder),
        "bigquery": lambda: fill_bigquery(sandbox.bigquery, folder),
    }
    filled = [name for name in sandbox.vendors if name in fillers]
    for name in filled:
        fillers[name]()
    return filled


# -- HubSpot -------------------------------------------------------------------------------------


def fill_hubspot(world: HubSpotWorld, folder: Path = DATA, *, later: bool = False) -> None:
    """Companies, contacts and deals; with `later` also what the later export knows.

    There is no product library: sales writes products into line items as it likes.
    """
    world.add_pipeline("deals", "b2b", "B2B", STAGES)
    for kind in ("companies", "contacts", "deals"):
        world.define(kind, "shop_id")
    for name in ("interest", "loyalty_card"):
        world.define("contacts", name)
    for row in _lines(folder / "crm_companies.jsonl"):
        _add(world, "companies", row)
    for row in _lines(folder / "crm_contacts.jsonl"):
        _add(world, "contacts", row)
        if row["company"]:
            company = _number(row["company"]["id"])
            world.associate("contacts", _number(row["id"]), "companies", company)
    deals = {row["id"]: row for row in _lines(folder / "crm_deals.jsonl")}
    if later:
        deals |= {row["id"]: row for row in _lines(folder / "crm_deals_later.jsonl")}
    for row in deals.values():
        _add_deal(world, row)


def _add(world: HubSpotWorld, kind: str, row: Row) -> None:
    told = row["properties"] | {"shop_id": row["id"]}
    world.add(kind, told, id=_number(row["id"]), at=row["properties"]["createdate"])


def _add_deal(world: HubSpotWorld, row: Row) -> None:
    deal, told = _number(row["id"]), dict(row["properties"])
    for name in ("dealstage", "hs_is_closed_won", "hs_lastmodifieddate"):
        del told[name]  # the account keeps them
    closing = {name: told.pop(name) for name in ("closedate", "closed_lost_reason")}
    first, *others = row["stage_history"]
    told |= {"shop_id": row["id"], "deal_currency_code": "EUR", "dealstage": first["stage"]}
    world.add("deals", told, id=deal, at=first["entered_at"])
    for entry in others:
        world.update("deals", deal, {"dealstage": entry["stage"]}, at=entry["entered_at"])
    if closing["closedate"]:
        known = {name: value for name, value in closing.items() if value}
        world.update("deals", deal, known, at=closing["closedate"])
    world.associate("deals", deal, "companies", _number(row["company"]["id"]))
    for contact in row["contacts"]:
        person = _number(contact["id"])
        world.associate("deals", deal, "contacts", person, label=contact["role"])
    for item in row["line_items"]:
        bought = {"hs_sku": item["sku"], "name": item["sku"], "quantity": 1}
        line = world.add(
            "line_items", bought, id=_number(item["id"]), at=row["properties"]["createdate"]
        )
        world.associate("deals", deal, "line_items", line)


# -- Zendesk -------------------------------------------------------------------------------------


def _fill_help_desk(zendesk: Zendesk, folder: Path) -> None:
    fill_zendesk(zendesk.world, folder)
    # The add-on allows 30 exports a minute: without it, a check before a run makes the run wait.
    zendesk.plan("enterprise", high_volume=True)


def fill_zendesk(world: ZendeskWorld, folder: Path = DATA) -> None:
    """Organizations, requesters, and tickets with every change of their status."""
    for number, title in ((PRODUCT_FIELD, "Product"), (SERIAL_FIELD, "Serial number")):
        world.add("ticket_fields", {"id": number, "title": title, "type": "text"}, OPENED_AT)
    devices = {row["serial"]: row["sku"] for row in _table(folder / "shipments.csv")}
    organizations = {}
    for row in _lines(folder / "crm_companies.jsonl"):
        told = row["properties"]
        whole = {"name": told["name"], "external_id": row["id"], "domain_names": [told["domain"]]}
        organizations[told["domain"]] = world.add("organizations", whole, told["createdate"])["id"]
    changes: dict[str, list[dict[str, str]]] = defaultdict(list)
    for change in _table(folder / "tickets.csv"):
        changes[change["ticket_id"]].append(change)
    people: dict[str, int] = {}
    for ticket_id, rows in changes.items():
        rows.sort(key=lambda row: int(row["change"]))
        email, external_id = rows[0]["requester"], rows[0]["requester_id"]
        organization = organizations.get(email.partition("@")[2])
        who = email or external_id or "Unknown caller"
        if who not in people:
            name = who.partition("@")[0].replace(".", " ").title()
            person = {"name": name, "email": email or None, "external_id": external_id or None}
            person |= {"organization_id": organization}
            people[who] = world.add("users", person, rows[0]["changed_at"])["id"]
        ticket = {
            "id": int(ticket_id[1:]),
            "external_id": ticket_id,
            "via": {"channel": "email", "source": {"from": {}, "to": {}, "rel": None}},
            "subject": rows[0]["subject"],
            "status": rows[0]["status"],
            "requester_id": people[who],
            "submitter_id": people[who],
            "organization_id": organization,
            "custom_fields": _custom_fields(rows[0], devices),
        }
        world.add("tickets", ticket, rows[0]["changed_at"])
        for row in rows[1:]:
            told = {"status": row["status"], "custom_fields": _custom_fields(row, devices)}
            world.update("tickets", ticket["id"], told, row["changed_at"])


def _custom_fields(row: dict[str, str], devices: dict[str, str]) -> list[Row]:
    serial = row["serial"] or None
    product = row["product"] or devices.get(row["serial"])
    return [{"id": PRODUCT_FIELD, "value": product}, {"id": SERIAL_FIELD, "value": serial}]


# -- GA4 in BigQuery -----------------------------------------------------------------------------


def fill_bigquery(bigquery: BigQuery, folder: Path = DATA) -> None:
    """The export of one property, every day of it closed."""
    export = bigquery.add_export(PROPERTY_ID)
    for name, rows in ga4_tables(folder).items():
        export.stream(*rows)
        export.close_day(name.removeprefix("events_"))


def ga4_tables(folder: Path = DATA) -> dict[str, list[Row]]:
    """The web events as rows of `events_YYYYMMDD`; lines that come twice do so here, too."""
    accounts = {row["email"]: row["account_id"] for row in _table(folder / "web_accounts.csv")}
    listed: dict[str, list[Row]] = defaultdict(list)  # category: what its page shows
    for row in _table(folder / "catalogue.csv"):
        listed[row["category"]].append({"item_id": row["sku"], "price": row["price"]})
    tables: dict[str, list[Row]] = defaultdict(list)
    for event in _lines(folder / "web_events.jsonl"):
        at = datetime.fromisoformat(event["event_time"].replace("Z", "+00:00")).astimezone(UTC)
        category = event.get("item_list_category", "")
        shown = [_item(each, category) for each in event.get("items", listed[category])]
        user = accounts.get(event["user_id"])
        tables[f"events_{at:%Y%m%d}"].append(_ga4_event(event, at, user, shown))
    return dict(tables)


def _item(told: Row, category: str) -> Row:
    """A product as GA4 has it; a list says the category level by level."""
    names = ("item_category", "item_category2")
    path = dict(zip(names, category.split("/"), strict=False)) if category else {}
    return {"item_id": told["item_id"], "price": float(told["price"]), "quantity": 1} | path


def _ga4_event(event: Row, at: datetime, user: str | None, items: list[Row]) -> Row:
    params = [{"key": "ga_session_id", "value": {"int_value": int(at.timestamp())}}]
    params += [
        {"key": name, "value": {"string_value": event[name]}}
        for name in ("search_term", "transaction_id")
        if event.get(name)
    ]
    transaction = event.get("transaction_id")
    return {
        "event_date": f"{at:%Y%m%d}",
        "event_timestamp": int(at.timestamp()) * 1_000_000,
        "event_name": event["event_name"],
        "event_bundle_sequence_id": int(event["event_id"].lstrip("W")),
        "event_params": params,
        "user_id": user,
        "user_pseudo_id": event["client_id"],
        "user_properties": [],
        "platform": "WEB",
        "batch_event_index": 1,
        "batch_page_id": 1,
        "batch_ordering_id": 1,
        "ecommerce": {"transaction_id": transaction} if transaction else None,
        "items": items,
    }
