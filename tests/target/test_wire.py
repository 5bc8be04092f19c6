"""Our requests beside those of the vendors' own clients; each difference is on the docs page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from target_journeys.destinations.base import Delivery
from target_journeys.destinations.salesforce import Salesforce

TOP = Path(__file__).parents[2]
WIRE = TOP.parent / "shared" / "wire"
GOLDEN = TOP / "tests/golden/requests"
LEFT_OUT = {"anonymousId", "integrations"}  # null or empty with the official clients
ADDED = {"anonymousId"}  # of a group, which else names nobody

pytestmark = pytest.mark.skipif(not WIRE.exists(), reason="the recorded requests are not here")


def theirs(name: str) -> Mapping[str, Any]:
    return json.loads((WIRE / name).read_text())


def ours(name: str) -> Mapping[str, Any]:
    return json.loads((GOLDEN / name).read_text())["request"]


@pytest.mark.parametrize(
    ("dialect", "folder"),
    [
        ("segment", "segment"),
        ("rudderstack", "rudderstack"),
        ("customerio_pipelines", "customerio/pipelines"),
    ],
)
@pytest.mark.parametrize(
    ("case", "recorded"), [("person", "identify"), ("transition", "track_stage_changed")]
)
def test_segment_and_its_dialects(dialect, folder, case, recorded):
    own, client = ours(f"segment/{dialect}_{case}.json"), theirs(f"{folder}/{recorded}.json")
    assert (own["method"], urlsplit(own["url"]).path) == (client["method"], client["path"])
    assert own["headers"]["Content-Type"] == client["headers"]["Content-Type"]
    assert own["headers"]["Authorization"].startswith("Basic ")
    (body,) = own["body"]
    assert set(body) == set(client["body"])
    (message,), (recorded_message,) = body["batch"], client["body"]["batch"]
    assert set(message) - set(recorded_message) <= ADDED
    assert set(recorded_message) - set(message) <= LEFT_OUT
    assert message["type"] == recorded_message["type"]
    assert set(message["context"]) == set(recorded_message["context"])


@pytest.mark.parametrize(
    ("case", "recorded"),
    [
        ("person", "custom_object_batch_upsert"),
        ("account", "custom_object_batch_upsert"),
        ("delete", "contacts_batch_read_by_email"),
    ],
)
def test_hubspot(case, recorded):
    own, client = ours(f"hubspot/{case}.json"), theirs(f"hubspot/{recorded}.json")
    path, theirs_path = urlsplit(own["url"]).path.split("/"), client["path"].split("/")
    assert path[:4] + path[5:] == theirs_path[:4] + theirs_path[5:]  # but for the object's name
    assert own["headers"]["Authorization"].startswith("Bearer ")
    (body,) = own["body"]
    assert set(body) == set(client["body"])
    assert set(body["inputs"][0]) == set(client["body"]["inputs"][0])
    values = body["inputs"][0].get("properties", {}).values()
    assert all(isinstance(value, str) for value in values)


@pytest.mark.parametrize("case", ["person", "account", "external_ids"])
def test_salesforce(case):
    own, client = ours(f"salesforce/{case}.json"), theirs("salesforce/collections_upsert.json")
    versionless = [urlsplit(own["url"]).path.split("/"), client["path"].split("/")]
    assert versionless[0][4:] == versionless[1][4:]
    assert own["method"] == client["method"]
    assert own["headers"]["Authorization"].startswith("Bearer ")
    (body,) = own["body"]
    assert set(body) == set(client["body"])
    assert body["allOrNone"] is client["body"]["allOrNone"]
    (row,), recorded = body["records"], client["body"]["records"][0]
    assert row["attributes"] == recorded["attributes"]
    assert {"Journey_Key__c", "Stage__c"} <= row.keys() & recorded.keys()
    if case == "external_ids":
        assert row["Linked_Contact__r"].keys() == recorded["Customer__r"].keys()


def test_salesforce_jobs():
    recorded = [theirs(f"salesforce/bulk2_upsert{n}.json") for n in ("", ".2", ".3", ".4")]
    settings = {"access_token": "t", "instance_url": "https://acme.my.salesforce.com"}
    destination = Salesforce.model_validate(settings | {"bulk": "always"})
    row = json.loads((GOLDEN / "salesforce/person.json").read_text())["rows"][0]
    steps = destination.steps([Delivery(**row)])
    answer, sent = requests.Response(), [next(steps)]
    answer.status_code, answer._content = 200, b'{"id": "750", "state": "JobComplete"}'
    sent.append(steps.send(answer))
    asked = destination.poll("750", [])
    look = next(asked)
    answer._content = b'{"id": "750", "state": "Open"}'
    sent += [asked.send(answer), look]
    for request, client in zip(sent, recorded, strict=True):
        assert request.method == client["method"]
        path, theirs_path = urlsplit(request.url).path.split("/"), client["path"].split("/")
        assert path[4:] == theirs_path[4:]
    assert sent[0].json == recorded[0]["body"]
    assert sent[1].headers["Content-Type"] == recorded[1]["headers"]["Content-Type"]
    lines = sent[1].data.decode().splitlines()
    assert len(lines) == len(recorded[1]["body"].splitlines())
    assert lines[0].startswith("Journey_Key__c,")
    assert sent[2].json == recorded[2]["body"]


@pytest.mark.parametrize(
    ("case", "kind"), [("person", "object"), ("transition", "person"), ("team", "object")]
)
def test_customerio(case, kind):
    own, client = ours(f"customerio/{case}.json"), theirs("customerio/track/v2_batch.json")
    assert (own["method"], urlsplit(own["url"]).path) == (client["method"], client["path"])
    assert own["headers"]["Authorization"].startswith("Basic ")
    assert own["headers"]["Content-Type"] == client["headers"]["Content-Type"]
    (operation,) = own["body"][0]["batch"]
    action = "event" if case == "transition" else "identify"
    recorded = next(
        each for each in client["body"]["batch"] if (each["type"], each["action"]) == (kind, action)
    )
    assert set(operation) == set(recorded)
    assert set(operation["identifiers"]) == set(recorded["identifiers"])
    shared = operation["attributes"].keys() & recorded["attributes"].keys()
    assert "stage" in shared
    for name in shared:
        assert type(operation["attributes"][name]) is type(recorded["attributes"][name])
    if case == "team":
        (relation, *_), (recorded_relation,) = (
            each["cio_relationships"] for each in (operation, recorded)
        )
        assert relation.keys() == recorded_relation.keys()


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(
    ("case", "event"),
    [
        ("person", "$set"),
        ("transition", "journey stage changed"),
        ("team", "$groupidentify"),
    ],
)
def test_posthog(version, case, event):
    own, client = ours(f"posthog/{version}_{case}.json"), theirs(f"posthog/{version}_batch.json")
    assert (own["method"], urlsplit(own["url"]).path) == (client["method"], client["path"])
    assert set(own["headers"]) >= set(client["headers"]) - {"Accept"}
    (body,) = own["body"]
    assert set(body) == set(client["body"])
    (told,) = body["batch"]
    recorded = next(each for each in client["body"]["batch"] if each["event"] == event)
    assert set(recorded) - set(told) <= {"$set"}  # v0's, which is within `properties` here
    assert set(told) <= set(recorded)
    named = {"$groups", "$group_type", "$group_key", "$group_set"}
    assert told["properties"].keys() & named == recorded["properties"].keys() & named
