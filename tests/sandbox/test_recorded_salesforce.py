"""The sandbox's Salesforce beside recorded answers, and requests that its client really sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.pipes import SHARED
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_api import Api

FIXTURES = SHARED / "fixtures" / "salesforce"
WIRE = SHARED / "wire" / "salesforce"
CALLS = sorted(FIXTURES.glob("*/*composite*")) + sorted(FIXTURES.glob("*/GET_*query_200.json"))
CALLS += sorted(FIXTURES.glob("*/GET_*-id_*.json"))
SAME = {"state", "success", "created", "numberRecordsProcessed", "numberRecordsFailed"}
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the recorded answers")


@pytest.fixture
def recorded_org(salesforce: Salesforce) -> Salesforce:
    """An organisation with the fields that the recorded one had."""
    for name in ("Account", "Contact"):
        salesforce.world.add_field(name, "Custom_External_ID__c", external_id=True)
        salesforce.world.add_field(name, "email_field__c:email")
    salesforce.world.add_field("Account", "Site")
    salesforce.world.add_field("Account", "Level__c:double")
    return salesforce


def named(path: Path) -> str:
    return f"{path.parent.name.removeprefix('grouparoo-export-')}/{path.name[:40]}"


@pytest.mark.parametrize("path", CALLS, ids=named)
def test_a_recorded_request_is_answered_in_the_same_shape(
    recorded_org: Salesforce, api: Api, path: Path
) -> None:
    """Rows get the recorded ids first, so that the requests find them."""
    for call in json.loads(path.read_text(encoding="utf-8")):
        _make_known(recorded_org, call)
        params = {key: unquote(value) for key, value in call.get("query", {}).items()}
        where = call["url"].partition("/services/data/v42.0/")[2]
        answer = api.send(call["method"], where, params=params, json=call.get("request_body"))
        assert answer.status_code == call["status"]
        assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")
        ours, theirs = answer.json(), call["response"]
        assert type(ours) is type(theirs)
        if isinstance(theirs, list):
            assert [one.keys() for one in ours] == [one.keys() for one in theirs]
            assert [_why(one) for one in ours] == [_why(one) for one in theirs]
        elif "records" in theirs:
            assert ours.keys() == theirs.keys()
            shapes = [list(row) for row in theirs["records"]]
            assert all(list(row) == shapes[0] for row in ours["records"]) or not shapes
        else:
            assert list(ours)[:2] == list(theirs)[:2] == ["attributes", "Id"]
            assert ours["CreatedDate"][10] == "T" and ours["CreatedDate"][19:] == ".000+0000"
            assert theirs["CreatedDate"][19:] == ".000+0000"


def _why(outcome: dict[str, Any]) -> Any:
    """Why a row was refused; the label of a field, which begins the message, is the owner's."""
    if "errors" not in outcome:
        return outcome
    return [error | {"message": error["message"].partition(": ")[2]} for error in outcome["errors"]]


def _make_known(org: Salesforce, call: dict[str, Any]) -> None:
    keys = {row.get("id") for row in (call.get("request_body") or {}).get("records", [])}
    keys |= set(unquote(call.get("query", {}).get("ids", "")).split(","))
    keys |= {row.get("AccountId") for row in (call.get("request_body") or {}).get("records", [])}
    keys |= {call["url"].rpartition("/")[2]} if call["status"] != 404 else set()
    for key in keys:
        name = {"001": "Account", "003": "Contact"}.get((key or "")[:3])
        if name and key not in org.world.rows[name]:
            org.world.add(name, Id=key, **{"LastName" if name == "Contact" else "Name": "x"})


def test_a_request_of_the_wire_is_taken(salesforce: Salesforce, api: Api) -> None:
    world = salesforce.world
    world.add_object("Customer__c")
    world.add_field("Customer__c", "Customer_Key__c", external_id=True)
    world.add("Customer__c", Customer_Key__c="cust-1")
    world.add_object("Journey_Stage__c", "Stage__c! Product_Id__c Customer__c>Customer__c")
    world.add_field("Journey_Stage__c", "Journey_Key__c", external_id=True)
    salesforce.job_polls = 0
    calls = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(WIRE.glob("*.json"))]
    calls.sort(key=lambda call: (call["label"], call["attempt"]))
    assert calls
    job = label = ""
    for call in calls:
        if call["label"] != label:  # each label began with an empty organisation
            world.rows["Journey_Stage__c"].clear()
            label = call["label"]
        path = call["path"].replace("/750", f"/{job}")
        body = call["body"]
        sent = {"data": body.encode()} if isinstance(body, str) else {"json": body}
        answer = api.http.request(call["method"], api.url + path, **sent)
        told = call["answered_with"]
        assert answer.status_code == told["status"], answer.text
        ours: Any = answer.json() if answer.content else ""
        theirs: Any = told["body"]
        if isinstance(theirs, dict):
            assert theirs.keys() <= ours.keys()
            same = {key: theirs[key] for key in SAME & theirs.keys()}
            assert same.items() <= ours.items()
            job = ours["id"] if path.endswith("/ingest") else job
        elif isinstance(theirs, list):
            assert [row["success"] for row in ours] == [row["success"] for row in theirs]
            assert ours[1]["errors"][0]["fields"] == theirs[1]["errors"][0]["fields"]
    kept = {row["Journey_Key__c"] for row in world.visible("Journey_Stage__c")}
    assert kept == {"cust-1|crm-suite"}
