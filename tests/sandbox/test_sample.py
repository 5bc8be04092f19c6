"""The sample company inside the sandbox: nothing of the files is missing."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import requests

from tests.pipes import ROOT
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.sample import DATA, fill, fill_hubspot, fill_zendesk, ga4_tables
from tests.sandbox.server import Sandbox
from tests.sandbox.zendesk import Zendesk


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def test_hubspot_holds_the_crm(hubspot: HubSpot, http: requests.Session) -> None:
    fill_hubspot(hubspot.world, later=True)
    world = hubspot.world
    deals = {row["id"]: row for row in lines("crm_deals.jsonl") + lines("crm_deals_later.jsonl")}
    counts = {kind: len(world.listed(kind)) for kind in ("companies", "contacts", "deals")}
    assert counts == {
        "companies": len(lines("crm_companies.jsonl")),
        "contacts": len(lines("crm_contacts.jsonl")),
        "deals": len(deals),
    }
    for shop_id, row in deals.items():
        deal = world.objects["deals"][int(shop_id[1:])]
        history = [(each["value"], each["timestamp"]) for each in deal.history["dealstage"]]
        assert history[::-1] == [
            (each["stage"], each["entered_at"].replace("Z", ".000Z"))
            for each in row["stage_history"]
        ]
        won = str(row["properties"]["hs_is_closed_won"]).lower()
        assert deal.properties["hs_is_closed_won"] == won
        for key in ("closed_lost_reason", "amount"):
            assert deal.properties.get(key) == row["properties"][key]
        people = world.associations["deals", "contacts"][deal.id]
        names = {number: name for name, number in world.labels["deals", "contacts"].items()}
        assert {f"P{one}": names.get(types[-1]) for one, types in people.items()} == {
            each["id"]: each["role"] for each in row["contacts"]
        }
        items = world.associations["deals", "line_items"][deal.id]
        skus = [world.objects["line_items"][one].properties["hs_sku"] for one in items]
        assert skus == [each["sku"] for each in row["line_items"]]


def test_zendesk_holds_every_change_of_a_ticket(zendesk: Zendesk, http: requests.Session) -> None:
    fill_zendesk(zendesk.world)
    zendesk.clock.set("2026-07-01T00:00:00Z")
    auth = (f"{zendesk.email}/token", zendesk.api_token)
    url = f"{zendesk.url}/api/v2/incremental/ticket_events?start_time=0"
    events = http.get(url, auth=auth).json()["ticket_events"]
    found = Counter(
        (f"T{event['ticket_id']}", child["status"], event["created_at"])
        for event in events
        for child in event["child_events"]
        if "status" in child
    )
    with (DATA / "tickets.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert found == Counter((row["ticket_id"], row["status"], row["changed_at"]) for row in rows)
    users = zendesk.world.tables["users"].values()
    assert {user["email"] or "" for user in users} == {row["requester"] for row in rows}
    assert {user["external_id"] or "" for user in users} == {row["requester_id"] for row in rows}


def test_web_events_are_in_the_table_of_their_day() -> None:
    tables, events = ga4_tables(), lines("web_events.jsonl")
    assert sum(map(len, tables.values())) == len(events)
    for name, rows in tables.items():
        assert {f"events_{row['event_date']}" for row in rows} == {name}
    row = tables["events_20260106"][-1]
    assert row["event_timestamp"] % 1_000_000 == 0
    told = [row for rows in tables.values() for row in rows]
    own = [row for row in told if row["event_name"] != "view_item_list"]
    items = Counter(item["item_id"] for row in own for item in row["items"])
    assert items == Counter(
        item["item_id"]
        for event in events
        if event["event_name"] != "view_item_list"
        for item in event.get("items", [])
    )


def test_google_is_told_accounts_and_categories_level_by_level() -> None:
    rows = [row for rows in ga4_tables().values() for row in rows]
    with (DATA / "web_accounts.csv").open(encoding="utf-8", newline="") as file:
        emails = {row["account_id"]: row["email"] for row in csv.DictReader(file)}
    assert Counter(emails.get(row["user_id"]) for row in rows) == Counter(
        event["user_id"] for event in lines("web_events.jsonl")
    )
    assert "@" not in json.dumps(rows)
    lists = [row["items"] for row in rows if row["event_name"] == "view_item_list"]
    (printers,) = {
        tuple(item["item_id"] for item in items)
        for items in lists
        if items[0].get("item_category2") == "printers"
    }
    assert printers == ("PRN-INKWELL-200", "PRN-INKWELL-400", "PRN-LASERA-10", "PRN-LASERA-30")


def test_bigquery_holds_the_web_events() -> None:
    with Sandbox("bigquery") as sandbox:
        assert fill(sandbox) == ["bigquery"]
        (export,) = sandbox.bigquery.exports.values()
        stored = Counter((row["event_name"], row["event_timestamp"]) for row in export.events())
    assert stored == Counter(
        (row["event_name"], row["event_timestamp"])
        for rows in ga4_tables().values()
        for row in rows
    )


def test_the_sandbox_runs_by_hand_until_it_is_asked_to_end() -> None:
    command = [sys.executable, "-m", "tests.sandbox", "hubspot", "zendesk", "--sample"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    with process.stdout as said:
        introduction = ""
        while not introduction.endswith("}\n\n"):
            introduction += said.readline()
        sources = json.loads(introduction.partition("A configuration is told:")[2])["sources"]
        deals = requests.get(
            f"{sources['hubspot']['base_url']}/crm/v3/objects/deals",
            headers={"Authorization": f"Bearer {sources['hubspot']['access_token']}"},
            timeout=5,
        ).json()
        me = requests.get(
            f"{sources['zendesk']['base_url']}/api/v2/users/me.json",
            auth=(f"{sources['zendesk']['email']}/token", sources["zendesk"]["api_token"]),
            timeout=5,
        ).json()
        process.send_signal(signal.SIGINT)
        farewell = said.read()
    assert process.wait(10) == 0
    assert len(deals["results"]) == 10
    assert me["user"]["email"] == sources["zendesk"]["email"]
    assert "hubspot burst: 1 requests" in farewell
