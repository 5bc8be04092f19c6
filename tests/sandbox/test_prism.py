"""Requests and answers of the sandbox, held against the vendors' official descriptions by Prism.

Prism stands between a test and the sandbox and turns what the description forbids into an error.
Rows are filled in completely: where recorded answers show null, the descriptions know none.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from tests.pipes import ROOT, SHARED
from tests.sandbox.base import Vendor
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.zendesk import Zendesk

PRISM = ROOT / ".prism" / "node_modules" / ".bin" / "prism"
SPECS = SHARED / "specs"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SPECS.is_dir(), reason="needs the vendors' descriptions"),
    pytest.mark.skipif(not PRISM.exists(), reason="needs `make .prism/.installed`"),
]
PAST = "2026-01-05T00:00:00Z"
STARTS_WITHIN_S = 60


@contextmanager
def prism(spec: str, vendor: Vendor) -> Iterator[str]:
    """The address of a proxy that checks what goes through it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(PRISM), "proxy", "--host", "127.0.0.1", "--port", str(port), "--errors"]
    process = subprocess.Popen(
        [*command, str(SPECS / spec), vendor.url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "Prism has ended"
                assert time.monotonic() < until, "Prism does not start"
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def violations(answer: requests.Response) -> list[str]:
    """What Prism found wrong, as places and reasons."""
    try:
        told = answer.json()
    except ValueError:
        return []
    found = told.get("validation", []) if isinstance(told, dict) else []
    return [f"{'.'.join(each['location'])}: {each['message']}" for each in found]


# -- HubSpot -------------------------------------------------------------------------------------

PROPERTY = {
    "name": "journey_stage",
    "label": "Stage",
    "type": "enumeration",
    "fieldType": "select",
    "groupName": "contactinformation",
    "options": [{"label": "Using", "value": "using", "displayOrder": 0, "hidden": False}],
}
SEARCH = {
    "filterGroups": [
        {
            "filters": [
                {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "1767571200000"}
            ]
        }
    ],
    "sorts": ["hs_object_id"],
    "properties": ["dealname"],
    "limit": 1,
    "after": "0",
}
UPSERT = [
    {"id": "a@x.test", "idProperty": "email", "objectWriteTraceId": "1", "properties": {}},
    {
        "id": "x",
        "idProperty": "email",
        "objectWriteTraceId": "2",
        "properties": {"email": "no address"},
    },
]
PAIR = {"from": {"id": "7001"}, "to": {"id": "501"}}
USER_LABEL = {"associationCategory": "USER_DEFINED", "associationTypeId": 101}
READ = {"properties": ["email"], "propertiesWithHistory": []}
Call = tuple[str, str, Any, int]

HUBSPOT: dict[str, list[Call]] = {
    "crm-objects.v3.json": [
        ("GET", "/crm/v3/objects/deals?limit=1&properties=dealname", None, 200),
        ("GET", "/crm/v3/objects/deals?propertiesWithHistory=dealstage", None, 200),
        ("GET", "/crm/v3/objects/deals?associations=contacts", None, 200),
        ("GET", "/crm/v3/objects/contacts?archived=true", None, 200),
        ("GET", "/crm/v3/objects/contacts/501", None, 200),
        ("POST", "/crm/v3/objects/deals/search", SEARCH, 200),
        ("POST", "/crm/v3/objects/contacts/batch/read", READ | {"inputs": [{"id": "501"}]}, 200),
        ("POST", "/crm/v3/objects/contacts/batch/read", READ | {"inputs": [{"id": "9"}]}, 207),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": UPSERT[:1]}, 200),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": UPSERT}, 207),
        (
            "POST",
            "/crm/v3/objects/contacts/batch/create",
            {"inputs": [{"properties": {"email": "new@x.test"}, "associations": []}]},
            201,
        ),
        (
            "POST",
            "/crm/v3/objects/contacts/batch/update",
            {"inputs": [{"id": "501", "properties": {"firstname": "Ana"}}]},
            200,
        ),
        ("POST", "/crm/v3/objects/contacts/batch/archive", {"inputs": [{"id": "502"}]}, 204),
        ("POST", "/crm/v3/objects/deals/search", SEARCH | {"limit": 201}, 400),
    ],
    "crm-associations.v4.json": [
        (
            "POST",
            "/crm/v4/associations/deals/contacts/batch/read",
            {"inputs": [{"id": "7001"}]},
            200,
        ),
        ("GET", "/crm/v4/objects/deals/7001/associations/contacts", None, 200),
        (
            "POST",
            "/crm/v4/associations/deals/contacts/batch/create",
            {"inputs": [PAIR | {"types": [USER_LABEL]}]},
            201,
        ),
        (
            "POST",
            "/crm/v4/associations/deals/contacts/batch/create",
            {"inputs": [PAIR | {"to": {"id": "9"}, "types": [USER_LABEL]}]},
            207,
        ),
        (
            "POST",
            "/crm/v4/associations/deals/contacts/batch/associate/default",
            {"inputs": [PAIR]},
            200,
        ),
        ("PUT", "/crm/v4/objects/deals/7001/associations/default/contacts/501", None, 200),
        (
            "POST",
            "/crm/v4/associations/deals/contacts/batch/archive",
            {"inputs": [{"from": {"id": "7001"}, "to": [{"id": "501"}]}]},
            204,
        ),
    ],
    "crm-properties.v3.json": [
        ("GET", "/crm/v3/properties/contacts", None, 200),
        ("GET", "/crm/v3/properties/contacts/email", None, 200),
        ("GET", "/crm/v3/properties/contacts/groups", None, 200),
        ("POST", "/crm/v3/properties/contacts", PROPERTY, 201),
        ("POST", "/crm/v3/properties/contacts", PROPERTY, 409),
        (
            "POST",
            "/crm/v3/properties/contacts/batch/create",
            {"inputs": [PROPERTY | {"name": "other"}]},
            201,
        ),
    ],
    "crm-pipelines.v3.json": [
        ("GET", "/crm/v3/pipelines/deals", None, 200),
        ("GET", "/crm/v3/pipelines/deals/default", None, 200),
    ],
    "crm-owners.v3.json": [("GET", "/crm/v3/owners?limit=1", None, 200)],
    "marketing-forms.v3.json": [("GET", "/marketing/v3/forms?limit=1", None, 200)],
}


def fill_hubspot(hubspot: HubSpot) -> None:
    world = hubspot.world
    person = {"firstname": "Ana", "lastname": "Solberg"}
    world.add("contacts", person | {"email": "a@x.test"}, id=501, at=PAST)
    world.add("contacts", person | {"email": "b@x.test"}, id=502, at=PAST)
    gone = world.add("contacts", person | {"email": "c@x.test"}, at=PAST)
    world.archive("contacts", gone)
    for number in (7001, 7002):
        world.add(
            "deals",
            {
                "dealname": "X1",
                "amount": 1200,
                "closedate": PAST,
                "dealstage": "qualifiedtobuy",
                "pipeline": "default",
            },
            id=number,
            at=PAST,
        )
    world.update("deals", 7001, {"dealstage": "closedwon"}, at="2026-02-01T00:00:00Z")
    world.associate("deals", 7001, "contacts", 501, label="Champion")
    world.add_owner("rep@us.test", "Rae", "Park")
    world.add_form("f-1", "Contact us")


@pytest.mark.parametrize("spec", HUBSPOT)
def test_hubspot_is_as_described(spec: str, hubspot: HubSpot, http: requests.Session) -> None:
    fill_hubspot(hubspot)
    http.headers["Authorization"] = f"Bearer {hubspot.token}"
    with prism(f"hubspot/{spec}", hubspot) as url:
        for method, path, body, status in HUBSPOT[spec]:
            answer = http.request(method, url + path, json=body)
            assert (violations(answer), answer.status_code) == ([], status), f"{method} {path}"


def test_prism_sees_what_is_wrong(hubspot: HubSpot, http: requests.Session) -> None:
    fill_hubspot(hubspot)
    http.headers["Authorization"] = f"Bearer {hubspot.token}"
    path = "/crm/v4/associations/deals/contacts/batch/read"
    with prism("hubspot/crm-associations.v4.json", hubspot) as url:
        assert http.post(url + path, json={"inputs": [{"id": 7001}]}).status_code == 422
        hubspot.integer_ids = True  # as the older API wrote them
        answer = http.post(url + path, json={"inputs": [{"id": "7001"}]})
        assert [each.partition(":")[0] for each in sorted(violations(answer))] == [
            "response.body.results.0.to.0.associationTypes.0.label",  # null
            "response.body.results.0.to.0.toObjectId",  # a number
        ]


# -- Zendesk -------------------------------------------------------------------------------------

ZENDESK = [
    "/api/v2/incremental/tickets/cursor?start_time=0",
    "/api/v2/incremental/tickets?start_time=0",
    "/api/v2/incremental/users/cursor?start_time=0",
    "/api/v2/incremental/users?start_time=0",
    "/api/v2/incremental/organizations?start_time=0",
    "/api/v2/incremental/ticket_events?start_time=0",
    "/api/v2/incremental/ticket_metric_events?start_time=0",
    "/api/v2/tickets?page[size]=1",
    "/api/v2/tickets?page=1&per_page=1",
    "/api/v2/tickets/1",
    "/api/v2/tickets/1/audits",
    "/api/v2/ticket_audits?page[size]=1",
    "/api/v2/ticket_metrics",
    "/api/v2/ticket_fields",
    "/api/v2/satisfaction_ratings",
    "/api/v2/users?page[size]=1",
    "/api/v2/users/me",
    "/api/v2/organizations",
]
TICKET = {
    "external_id": "x-1",
    "type": "incident",
    "subject": "Broken",
    "priority": "high",
    "recipient": "help@us.test",
    "requester_id": 5,
    "submitter_id": 5,
    "assignee_id": 6,
    "organization_id": 7,
    "group_id": 8,
    "forum_topic_id": 9,
    "problem_id": 10,
    "custom_status_id": 11,
    "ticket_form_id": 12,
    "brand_id": 13,
}
USER = {
    "name": "Ana",
    "email": "a@x.test",
    "phone": "1",
    "shared_phone_number": False,
    "photo": {},
    "organization_id": 7,
    "external_id": "x-1",
    "alias": "a",
    "last_login_at": PAST,
    "two_factor_auth_enabled": False,
    "signature": "A",
    "details": "",
    "notes": "",
    "role_type": 0,
    "custom_role_id": 1,
    "default_group_id": 8,
}


def test_zendesk_is_as_described(zendesk: Zendesk, http: requests.Session) -> None:
    world = zendesk.world
    world.add("users", USER, at=PAST)
    whole = {"external_id": "x-1", "details": "", "notes": "", "group_id": 8}
    world.add("organizations", {"name": "Acme"} | whole, at=PAST)
    world.add("ticket_fields", {"title": "Product"}, at=PAST)
    for _ in range(2):
        ticket = world.add("tickets", TICKET, at=PAST)["id"]
        world.comment(ticket, author_id=6, body="Hello", at=PAST)
        world.update("tickets", ticket, {"status": "solved"}, at="2026-01-06T00:00:00Z")
        world.rate(ticket, "bad", "slow", at="2026-01-06T00:00:00Z")
    reason = {"reason": "It took too long", "reason_id": 5}
    for rating in world.tables["satisfaction_ratings"]:
        world.update("satisfaction_ratings", rating, reason, at="2026-01-06T00:00:00Z")
    http.auth = (f"{zendesk.email}/token", zendesk.api_token)
    with prism("zendesk/support.v2.pruned.json", zendesk) as url:
        wrong = {}
        for path in ZENDESK:
            answer = http.get(url + path)
            if violations(answer) or answer.status_code != 200:
                wrong[path] = violations(answer) or answer.status_code
        assert not wrong, json.dumps(wrong, indent=1)
        assert http.get(f"{url}/api/v2/incremental/tickets?start_time=x").status_code == 422

        world.delete("tickets", ticket, at="2026-01-07T00:00:00Z")
        assert http.get(f"{url}/api/v2/deleted_tickets").status_code == 200
        # Recorded exports show this status, and the description does not know it.
        (mistake,) = violations(http.get(url + ZENDESK[0]))
        assert mistake.startswith("response.body.tickets.1.status: ")
