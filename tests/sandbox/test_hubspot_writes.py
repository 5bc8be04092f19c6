"""The sandbox's HubSpot, writing: partial answers, conflicts, rules of keys and definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.hubspot import HubSpot
from tests.sandbox.hubspot_world import Row

OBJECTS = "/crm/v3/objects"


@pytest.fixture
def http(hubspot: HubSpot) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {hubspot.token}"
        yield session


def post(hubspot: HubSpot, http: requests.Session, path: str, body: Any) -> requests.Response:
    return http.post(hubspot.url + path, json=body)


def upsert(hubspot: HubSpot, http: requests.Session, *rows: Row) -> requests.Response:
    keyed = [{"idProperty": "email", **row} for row in rows]
    return post(hubspot, http, f"{OBJECTS}/contacts/batch/upsert", {"inputs": keyed})


def row(key: str, trace: str | None = None, /, **properties: Any) -> Row:
    traced = {"objectWriteTraceId": trace} if trace else {}
    return {"id": key, "properties": properties, **traced}


def names(hubspot: HubSpot) -> dict[str | None, str | None]:
    """What is stored: first names by e-mail."""
    rows = hubspot.world.listed("contacts")
    return {each.properties["email"]: each.properties.get("firstname") for each in rows}


def test_an_upsert_tells_new_from_known_and_again_changes_nothing(
    hubspot: HubSpot, http: requests.Session
) -> None:
    for new in (True, False):
        answer = upsert(hubspot, http, row("a@x.test", firstname="Ana"))
        assert answer.status_code == 200
        (result,) = answer.json()["results"]
        assert result["new"] is new
    assert names(hubspot) == {"a@x.test": "Ana"}
    assert len(hubspot.world.listed("contacts")[0].versions) == 1


def test_a_bad_row_is_told_by_its_trace_id_and_the_others_are_written(
    hubspot: HubSpot, http: requests.Session
) -> None:
    rows = [row("a@x.test", "t-1", firstname="Ana"), row("x", "t-2", email="no address")]
    answer = upsert(hubspot, http, *rows)
    assert answer.status_code == 207
    assert [each["objectWriteTraceId"] for each in answer.json()["results"]] == ["t-1"]
    assert answer.json()["errors"][0]["context"] == {"objectWriteTraceId": ["t-2"]}
    assert names(hubspot) == {"a@x.test": "Ana"}


def test_without_trace_ids_one_bad_row_refuses_the_batch(
    hubspot: HubSpot, http: requests.Session
) -> None:
    answer = upsert(hubspot, http, row("a@x.test"), row("x", email="no address"))
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert names(hubspot) == {}


def test_an_unknown_property_refuses_the_request(hubspot: HubSpot, http: requests.Session) -> None:
    answer = upsert(hubspot, http, row("a@x.test", "t-1", no_such_property="x"))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"


def test_an_address_of_a_merged_contact_conflicts_with_the_whole_batch(
    hubspot: HubSpot, http: requests.Session
) -> None:
    one, two = (hubspot.world.add("contacts", {"email": f"{name}@x.test"}) for name in "ab")
    hubspot.world.merge("contacts", one, two)
    answer = upsert(hubspot, http, row("c@x.test", "t-1"), row("a@x.test", "t-2"))
    assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")
    assert names(hubspot) == {"b@x.test": None}


def test_the_rules_of_keys(hubspot: HubSpot, http: requests.Session) -> None:
    assert upsert(hubspot, http, row("a@x.test"), row("a@x.test")).status_code == 400
    assert upsert(hubspot, http, *[row(f"{n}@x.test") for n in range(101)]).status_code == 400
    by_domain = {"inputs": [{"id": "x.test", "idProperty": "domain", "properties": {}}]}
    assert post(hubspot, http, f"{OBJECTS}/companies/batch/upsert", by_domain).status_code == 400
    upsert(hubspot, http, row("a@x.test"))
    by_email = {"inputs": [{"id": "a@x.test", "idProperty": "email", "properties": {}}]}
    answer = post(hubspot, http, f"{OBJECTS}/contacts/batch/update", by_email)
    assert (answer.status_code, "non-unique" in answer.json()["message"]) == (400, True)


def test_an_empty_text_clears_and_an_absent_property_stays(
    hubspot: HubSpot, http: requests.Session
) -> None:
    upsert(hubspot, http, row("a@x.test", firstname="Ana", lastname="Sol"))
    upsert(hubspot, http, row("a@x.test", firstname=""))
    (stored,) = hubspot.world.listed("contacts")
    assert (stored.properties["firstname"], stored.properties["lastname"]) == (None, "Sol")


def test_an_erased_address_cannot_come_back(hubspot: HubSpot, http: requests.Session) -> None:
    upsert(hubspot, http, row("a@x.test"))
    body = {"objectId": "a@x.test", "idProperty": "email"}
    assert post(hubspot, http, f"{OBJECTS}/contacts/gdpr-delete", body).status_code == 204
    assert names(hubspot) == {}
    assert upsert(hubspot, http, row("a@x.test")).status_code == 400


def test_archiving_is_soft_and_harmless_when_repeated(
    hubspot: HubSpot, http: requests.Session
) -> None:
    contact = hubspot.world.add("contacts", {"email": "a@x.test"})
    for _ in range(2):
        body = {"inputs": [{"id": contact}, {"id": "404"}]}
        assert post(hubspot, http, f"{OBJECTS}/contacts/batch/archive", body).status_code == 204
    assert names(hubspot) == {}
    assert len(hubspot.world.listed("contacts", archived=True)) == 1


def test_single_objects_are_created_changed_and_archived(
    hubspot: HubSpot, http: requests.Session
) -> None:
    answer = post(hubspot, http, f"{OBJECTS}/contacts", {"properties": {"email": "a@x.test"}})
    assert answer.status_code == 201
    url = f"{hubspot.url}{OBJECTS}/contacts/{answer.json()['id']}"
    assert http.patch(url, json={"properties": {"firstname": "Ana"}}).status_code == 200
    assert names(hubspot) == {"a@x.test": "Ana"}
    again = post(hubspot, http, f"{OBJECTS}/contacts", {"properties": {"email": "a@x.test"}})
    assert (again.status_code, again.json()["category"]) == (409, "CONFLICT")
    assert http.delete(url).status_code == 204
    assert http.get(url).status_code == 404


def test_a_type_of_ones_own_is_defined_written_and_associated(
    hubspot: HubSpot, http: requests.Session
) -> None:
    schema = {
        "name": "journey_stage",
        "labels": {"singular": "Journey stage", "plural": "Journey stages"},
        "primaryDisplayProperty": "journey_key",
        "requiredProperties": ["journey_key"],
        "properties": [
            {
                "name": "journey_key",
                "label": "Key",
                "type": "string",
                "fieldType": "text",
                "hasUniqueValue": True,
            }
        ],
        "associatedObjects": ["CONTACT"],
    }
    made = post(hubspot, http, "/crm-object-schemas/v3/schemas", schema)
    assert made.status_code == 201
    assert post(hubspot, http, "/crm/v3/schemas", schema).status_code == 409
    kind = made.json()["objectTypeId"]
    body = {"inputs": [{"id": "c-1|x1", "idProperty": "journey_key", "properties": {}}]}
    (written,) = post(hubspot, http, f"{OBJECTS}/{kind}/batch/upsert", body).json()["results"]
    contact = hubspot.world.add("contacts")

    label = post(hubspot, http, f"/crm/v4/associations/{kind}/contacts/labels", {"label": "Buyer"})
    number = label.json()["results"][0]["typeId"]
    spec = {"associationCategory": "USER_DEFINED", "associationTypeId": number}
    pair = {"from": {"id": written["id"]}, "to": {"id": contact}, "types": [spec]}
    path = f"/crm/v4/associations/{kind}/contacts/batch/create"
    answer = post(hubspot, http, path, {"inputs": [pair, pair | {"to": {"id": "404"}}]})
    assert (answer.status_code, answer.json()["numErrors"]) == (207, 1)
    assert answer.json()["results"][0]["labels"] == ["Buyer"]
    default = f"/crm/v4/objects/{kind}/{written['id']}/associations/default/contacts/{contact}"
    assert http.put(hubspot.url + default).status_code == 200
    read = post(
        hubspot,
        http,
        f"/crm/v4/associations/{kind}/contacts/batch/read",
        {"inputs": [{"id": written["id"]}]},
    )
    assert [each["toObjectId"] for each in read.json()["results"][0]["to"]] == [contact]


@pytest.mark.parametrize("body", [{}, {"inputs": []}, {"inputs": [{"from": {}}]}, [], "x"])
def test_a_body_of_another_shape_is_refused(
    body: Any, hubspot: HubSpot, http: requests.Session
) -> None:
    path = "/crm/v4/associations/deals/contacts/batch/associate/default"
    assert post(hubspot, http, path, body).status_code == 400


PROPERTY = {
    "name": "journey_stage",
    "label": "Stage",
    "type": "enumeration",
    "fieldType": "select",
    "groupName": "contactinformation",
    "options": [{"label": "Using", "value": "using", "displayOrder": 0, "hidden": False}],
}
BAD_PROPERTIES = [
    {"name": "Journey Stage"},
    {"label": ""},
    {"groupName": "nowhere"},
    {"type": "colour"},
    {"options": []},
]


def test_a_property_is_defined_once_and_takes_its_options_only(
    hubspot: HubSpot, http: requests.Session
) -> None:
    path = "/crm/v3/properties/contacts"
    assert post(hubspot, http, path, PROPERTY).status_code == 201
    again = post(hubspot, http, path, PROPERTY)
    assert (again.status_code, again.json()["category"]) == (409, "OBJECT_ALREADY_EXISTS")
    assert upsert(hubspot, http, row("a@x.test", journey_stage="using")).status_code == 200
    refused = upsert(hubspot, http, row("a@x.test", journey_stage="flying"))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "INVALID_OPTION")
    batch = post(
        hubspot, http, f"{path}/batch/create", {"inputs": [PROPERTY, PROPERTY | {"name": "two"}]}
    )
    assert (batch.status_code, batch.json()["errors"][0]["context"]) == (
        207,
        {"name": ["journey_stage"]},
    )


@pytest.mark.parametrize("change", BAD_PROPERTIES, ids=lambda each: next(iter(each)))
def test_a_bad_definition_is_refused(change: Row, hubspot: HubSpot, http: requests.Session) -> None:
    answer = post(hubspot, http, "/crm/v3/properties/contacts", PROPERTY | change)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("name", "value"), [("amount", "much"), ("closedate", "soon"), ("hs_is_closed", "maybe")]
)
def test_a_value_of_another_type_is_refused(
    name: str, value: str, hubspot: HubSpot, http: requests.Session
) -> None:
    body = {"inputs": [{"properties": {name: value}}]}
    assert post(hubspot, http, f"{OBJECTS}/deals/batch/create", body).status_code == 400
    assert hubspot.world.listed("deals") == []


def test_an_answer_that_is_lost_leaves_the_row_written(
    hubspot: HubSpot, http: requests.Session
) -> None:
    hubspot.faults.cut_share, hubspot.faults.in_a_row = 1.0, 1
    with pytest.raises(requests.RequestException):
        upsert(hubspot, http, row("a@x.test"))
    (result,) = upsert(hubspot, http, row("a@x.test")).json()["results"]
    assert result["new"] is False
