"""The sandbox beside recorded answers: the same fields, and every recorded request is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.pipes import SHARED
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.zendesk import Zendesk

FIXTURES = SHARED / "fixtures"
WIRE = SHARED / "wire" / "hubspot"
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the recorded answers")
PAST = "2026-01-05T00:00:00Z"


def recorded(vendor: str, name: str) -> dict[str, Any]:
    """The first recorded answer of a method and path."""
    path = min((FIXTURES / vendor).glob(f"*/{name}"))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))[0]
    return found


ZENDESK = {
    "incremental/tickets/cursor.json": "GET_api-v2-incremental-tickets-cursor.json_200.json",
    "incremental/tickets.json": "GET_api-v2-incremental-tickets.json_200.json",
    "incremental/users/cursor.json": "GET_api-v2-incremental-users-cursor.json_200.json",
    "incremental/users.json": "GET_api-v2-incremental-users.json_200.json",
    "organizations.json?page[size]=100": "GET_api-v2-organizations.json_200.json",
    "users.json?page[size]=100": "GET_api-v2-users.json_200.json",
    "tickets/1.json": "GET_api-v2-tickets-id.json_200.json",
    "ticket_audits.json?page[size]=100": "GET_api-v2-ticket-audits.json_200.json",
}


def shape(value: Any) -> Any:
    """The names of an answer and of its first row: values and their types are left out."""
    if isinstance(value, dict):
        rows = {name: value[name] for name in value if isinstance(value[name], list | dict)}
        inner = {name: sorted(_first(rows[name])) for name in rows}
        return sorted(value), inner
    return None


def _first(value: Any) -> Any:
    while isinstance(value, list):
        value = value[0] if value else {}
    return value if isinstance(value, dict) else {}


@pytest.mark.parametrize("path", ZENDESK)
def test_zendesk_answers_have_the_recorded_fields(path: str, zendesk: Zendesk) -> None:
    world = zendesk.world
    world.add("users", {"name": "Ana"}, at=PAST)
    world.add("organizations", {"name": "Acme"}, at=PAST)
    world.add("tickets", {"subject": "x", "requester_id": 5}, at=PAST)
    asked = path if "?" in path or "incremental" not in path else f"{path}?start_time=0"
    auth = (f"{zendesk.email}/token", zendesk.api_token)
    answer = requests.get(f"{zendesk.url}/api/v2/{asked}", auth=auth, timeout=5).json()
    assert shape(answer) == shape(recorded("zendesk", ZENDESK[path])["response"])


def test_zendesk_tells_the_recorded_headers(zendesk: Zendesk) -> None:
    name = "GET_api-v2-incremental-tickets-cursor.json_200.json"
    auth = (f"{zendesk.email}/token", zendesk.api_token)
    url = f"{zendesk.url}/api/v2/incremental/tickets/cursor.json?start_time=0"
    answer = requests.get(url, auth=auth, timeout=5)
    assert recorded("zendesk", name)["response_headers"].keys() <= set(
        map(str.lower, answer.headers)
    ) | {"Content-Type", "Date"}


HUBSPOT = {
    "POST_crm-v3-objects-COMPANY-search_200.json": 200,
    "POST_crm-v3-objects-COMPANY-batch-create_201.json": 201,
    "POST_crm-v3-objects-COMPANY-batch-archive_204.json": 204,
}


@pytest.mark.parametrize("name", HUBSPOT)
def test_hubspot_answers_a_recorded_request_as_it_was_answered(name: str, hubspot: HubSpot) -> None:
    if "create" not in name:
        hubspot.world.add("companies", {"domain": "bossa.grouparoo.com"}, at=PAST)
    told = recorded("hubspot", name)
    path = told["url"].removeprefix("https://api.hubapi.com")
    answer = requests.post(
        hubspot.url + path,
        json=told["request_body"],
        headers={"Authorization": f"Bearer {hubspot.token}"},
        timeout=5,
    )
    assert answer.status_code == HUBSPOT[name]
    limits = {key for key in told["response_headers"] if key.startswith("X-HubSpot")}
    assert {key for key in answer.headers if key.startswith("X-HubSpot")} == limits
    if told["response"]:
        ours, theirs = answer.json(), told["response"]
        assert shape(ours) == shape(theirs)
        # `website` is filled in by the vendor when a company has a domain
        asked = set(theirs["results"][0]["properties"]) - {"website"}
        assert asked <= set(ours["results"][0]["properties"])


REQUESTS = sorted(WIRE.glob("*.json")) if WIRE.is_dir() else []
EXPECTED = {  # others are a success
    "contacts_batch_upsert_207": 400,  # its property does not exist; the answer there is invented
    "contacts_batch_upsert_429": 200,
}


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_hubspot_takes_what_its_official_client_sends(path: Path, hubspot: HubSpot) -> None:
    world = hubspot.world
    told = json.loads(path.read_text(encoding="utf-8"))
    if "schema" not in path.stem:
        fields = [{"name": "journey_key", "hasUniqueValue": True}]
        fields += [{"name": n} for n in ("customer_id", "product_id", "stage", "entered_at")]
        fields.append({"name": "record_version"})
        world.define_type({"name": "2-journeystage", "labels": {}, "properties": fields})
    kind = "2-journeystage" if "schema" not in path.stem else "deals"
    world.add(kind, id=9001)
    world.add("contacts", {"email": "ada@example.com"}, id=101)
    world.define("companies", "journeys_account_id", unique=True)
    world.define("companies", "journey_crm_suite_stage")
    for name in ("journey_crm_suite_stage", "journey_crm_suite_entered_at", "x"):
        if path.stem != "property_create_unique":
            world.define("contacts", name)
    world.groups["contacts"]["journeys"] = {"name": "journeys"}
    answer = requests.request(
        told["method"],
        hubspot.url + told["path"],
        json=told["body"],
        headers={"Authorization": f"Bearer {hubspot.token}"},
        timeout=5,
    )
    expected = EXPECTED.get(path.stem)
    assert answer.status_code == expected if expected else answer.status_code < 300, answer.text
