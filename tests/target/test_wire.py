"""Our requests beside those of the vendors' own clients; each difference is on the docs page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

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
