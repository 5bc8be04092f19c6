"""Every golden request: rows in, one request out. No network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from target_journeys.destinations import DESTINATIONS
from target_journeys.destinations.base import Delivery, Member

CASES = sorted((Path(__file__).parents[1] / "golden/requests").glob("*/*.json"))


def described(destination: str, case: dict[str, Any]) -> dict[str, Any]:
    member = DESTINATIONS[destination].model_validate(case["settings"])
    request = member.request([delivery(each) for each in case["rows"]])
    prepared = request.prepare()
    headers = {name: value for name, value in prepared.headers.items() if name != "Content-Length"}
    return {
        "method": prepared.method,
        "url": prepared.url,
        "headers": headers,
        "body": [json.loads(line) for line in (prepared.body or b"").splitlines()],
    }


def delivery(row: dict[str, Any]) -> Delivery:
    members = tuple(Member(*each) for each in row.get("members", ()))
    return Delivery(**row | {"members": members})


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_request(path, pytestconfig):
    case = json.loads(path.read_text())
    found = described(path.parent.name, case)
    if pytestconfig.getoption("golden"):
        path.write_text(json.dumps(case | {"request": found}, indent=2) + "\n")
    assert found == json.loads(path.read_text())["request"]


@pytest.mark.parametrize("name", DESTINATIONS)
def test_every_destination_has_a_golden_request_of_each_kind(name):
    wanted = {"person", "account", "team", "delete"}
    if "transition" in DESTINATIONS[name].takes:
        wanted.add("transition")
    found = {path.stem.rpartition("_")[2] for path in CASES if path.parent.name == name}
    assert wanted <= found
