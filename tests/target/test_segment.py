"""Segment and its dialects: what the vendor would drop in silence is said here."""

from __future__ import annotations

import json

import pytest
import requests
import responses
from click.testing import CliRunner
from pydantic import ValidationError

from target_journeys.cli import main
from target_journeys.destinations.segment import LONGEST_MESSAGE, Segment
from tests.target.messages import SCHEMA, record, sync

URL = "https://api.segment.io/v1/batch"
US = {"segment": {"write_key": "wk", "region": "us"}}


def messages(call: int = -1) -> list[dict]:
    return json.loads(responses.calls[call].request.body)["batch"]


def product(name: str) -> list[dict]:
    return [{"grain": "product", "id": name}]


@responses.activate
def test_all_journeys_of_a_customer_are_one_trait_and_only_a_change_is_sent(kept):
    responses.post(URL, json={"success": True})
    events = [record(n, scopes=product(name)) for n, name in enumerate("ABC")]
    assert sync(kept, SCHEMA, *events, destinations=US).sent.sent == 1
    (message,) = messages()
    assert (message["type"], message["userId"]) == ("identify", "email:ana@acme.test")
    assert sorted(message["traits"]["journeys"]) == ["A", "B", "C"]
    assert sync(kept, SCHEMA, *events, destinations=US).sent.sent == 0
    sync(kept, SCHEMA, record(9, "order_placed", scopes=product("B")), destinations=US)
    (message,) = messages()
    stages = {name: each["stage"] for name, each in message["traits"]["journeys"].items()}
    assert stages == {"A": "considering", "B": "receiving", "C": "considering"}
    assert len(responses.calls) == 2


@responses.activate
def test_another_mapping_sends_again_and_an_unmapped_change_does_not(kept):
    responses.post(URL, json={"success": True})
    only_stage = {"segment": US["segment"] | {"fields": {"stage": "stage"}}}
    renamed = {"segment": US["segment"] | {"fields": {"stage": "where"}}}
    sync(kept, SCHEMA, record(1), destinations=only_stage)
    sync(kept, SCHEMA, record(2), destinations=only_stage)  # another view: not told
    assert len(responses.calls) == 1
    sync(kept, destinations=renamed)
    assert messages()[0]["traits"]["journeys"] == {"P": {"where": "considering"}}


@responses.activate
def test_a_customer_with_too_many_journeys_is_told_of_the_latest(kept):
    responses.post(URL, json={"success": True})
    events = [record(n, scopes=product(f"P{n:03}")) for n in range(150)]
    assert sync(kept, SCHEMA, *events, destinations=US).sent.sent == 1
    (message,) = messages()
    assert len(json.dumps(message)) < LONGEST_MESSAGE * 1.1
    told, left_out = message["traits"]["journeys"], message["traits"]["journeys_left_out"]
    assert len(told) + left_out == 150 and "P149" in told and "P000" not in told


@responses.activate
def test_an_event_without_an_answer_is_unknown_where_repeats_are_not_dropped(kept):
    settings = {
        "dialect": "rudderstack",
        "write_key": "wk",
        "base_url": "https://data.test",
        "rows": "both",
        "max_requests_per_s": 1000,
    }
    responses.post("https://data.test/v1/batch", body=requests.ReadTimeout())
    responses.post("https://data.test/v1/batch", body="OK")
    target = sync(kept, SCHEMA, record(1), destinations={"segment": settings})
    assert (target.sent.unknown, target.sent.sent, target.exit_code) == (1, 1, 3)
    assert kept.ask("select kind, status from outbox order by kind") == [
        ("record", "sent"),
        ("transition", "unknown"),
    ]


@pytest.mark.parametrize(
    "settings", [{}, {"region": "asia"}, {"dialect": "rudderstack", "region": "eu"}]
)
def test_the_host_is_never_guessed(settings):
    with pytest.raises(ValidationError):
        Segment.model_validate({"write_key": "wk"} | settings)


@responses.activate
def test_who_is_forgotten_is_asked_to_be_deleted_and_suppressed(kept, tmp_path):
    responses.post(URL, json={"success": True})
    responses.post("https://api.segmentapis.com/regulations", json={})
    own = {"segment": US["segment"] | {"public_api_token": "planted"}}
    sync(kept, SCHEMA, record(1), record(2, subject="email:b@x.test"), destinations=own)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{kept}", "destinations": own}))
    done = CliRunner().invoke(main, ["forget", "email:ana@acme.test", "--config", str(path)])
    assert done.exit_code == 0, done.output
    regulation = responses.calls[-1].request
    assert regulation.headers["Authorization"] == "Bearer planted"
    assert json.loads(regulation.body) == {
        "regulationType": "SUPPRESS_WITH_DELETE",
        "subjectType": "USER_ID",
        "subjectIds": ["email:ana@acme.test"],
    }
    last = json.loads(responses.calls[-2].request.body)["batch"][0]["traits"]
    assert last == {"journeys": None}


@pytest.mark.parametrize(
    "settings",
    [
        {"dialect": "rudderstack", "base_url": "https://data.test"},
        {"base_url": "https://proxy.test"},
    ],
)
def test_the_address_of_erasure_is_never_guessed(settings):
    with pytest.raises(ValidationError):
        Segment.model_validate({"write_key": "wk", "public_api_token": "t"} | settings)
