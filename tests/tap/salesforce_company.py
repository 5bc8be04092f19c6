"""A small company in the sandbox's Salesforce, what is true of it, and the tap that reads it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tap_journeys.sources.salesforce_objects import OBJECTS, stream_name
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_objects import COMPOUND

START = "2026-01-01T00:00:00Z"
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-client-secret"}
SECRETS = ("sandbox-client-secret", "sandbox-salesforce-refresh", "ana@acme.test")


def settings(salesforce: Salesforce, **more: Any) -> dict[str, Any]:
    """Settings that log in and read everything since the year began."""
    given = {"login_url": salesforce.url, "refresh_token": "sandbox-salesforce-refresh"}
    return {"start_date": START, "sources": {"salesforce": CLIENT | given | more}}


def found_company(salesforce: Salesforce, *, deals: int = 12) -> None:
    """Accounts, people, deals and all that hangs on them; every third row shares its second."""
    world, clock = salesforce.world, salesforce.clock
    clock.set("2026-01-05T09:00:00Z")
    product = world.add("Product2", Name="Acme X1", ProductCode="X1", StockKeepingUnit="X1-PRO")
    campaign = world.add("Campaign", Name="Acme X1 launch")
    for number in range(deals):
        clock.advance(3600 if number % 3 == 0 else 0)
        account = world.add("Account", Name=f"Acme {number}", Website=f"acme{number}.test")
        person = {"LastName": "Doe", "Email": "ana@acme.test"}
        contact = world.add("Contact", AccountId=account, **person)
        lead = world.add("Lead", Company="Acme", **person)
        deal = world.add(
            "Opportunity",
            AccountId=account,
            Name="X1",
            StageName="Prospecting",
            CloseDate="2026-06-01",
            Amount=1200.5,
        )
        world.add(
            "OpportunityLineItem", OpportunityId=deal, Product2Id=product, Quantity=2, UnitPrice=600
        )
        world.add("OpportunityContactRole", OpportunityId=deal, ContactId=contact, IsPrimary=True)
        world.add("CampaignMember", CampaignId=campaign, ContactId=contact, HasResponded=True)
        world.add("Task", WhoId=contact, WhatId=deal, TaskSubtype="Call", CallDurationInSeconds=90)
        world.add("Event", WhoId=lead, StartDateTime=clock.now(), DurationInMinutes=30)
        case = world.add("Case", AccountId=account, ContactId=contact, Status="New")
        world.add("Asset", Name="X1", AccountId=account, Product2Id=product)
        order = world.add("Order", AccountId=account, Status="Draft", EffectiveDate="2026-01-05")
        world.add("OrderItem", OrderId=order, Product2Id=product, Quantity=2, UnitPrice=600)
        world.add("Contract", AccountId=account, Status="Draft", ContractTerm=12)
        clock.advance(60)
        world.change("Opportunity", deal, StageName="Qualification")
        world.change("Case", case, Status="Working")
        if number % 4 == 0:
            world.convert(lead, contact=contact, account=account, opportunity=deal)
        if number % 5 == 1:
            world.delete("Opportunity", deal)
        clock.advance(1)


def written(value: Any) -> Any:
    """A value of the sandbox as records hold it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return value.isoformat() if hasattr(value, "isoformat") else value


def truth(salesforce: Salesforce) -> dict[str, dict[str, dict[str, Any]]]:
    """All rows by stream and id, deleted ones among them."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in (each.name for each in OBJECTS):
        if salesforce.world.rows.get(name):
            made = salesforce.world.objects[name]
            fields = [f.name for f in made.fields.values() if f.type not in {*COMPOUND, "base64"}]
            found[stream_name(name)] = {
                key: {field: written(row.get(field)) for field in fields}
                for key, row in salesforce.world.rows[name].items()
            }
    return found


def last_of(messages: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The last record of every key, by stream, without the rows that are read beside them."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for message in messages:
        if message["type"] == "RECORD":
            record = message["record"]
            plain = {k: v for k, v in record.items() if not isinstance(v, dict) and k not in BESIDE}
            found.setdefault(message["stream"], {})[record["Id"]] = plain
    return found


BESIDE = {path.partition(".")[0] for each in OBJECTS for path in each.beside}
