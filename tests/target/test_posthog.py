"""PostHog: silence is no success, and each event of the newer endpoint has its outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses
from pydantic import ValidationError

from target_journeys import sending
from target_journeys.destinations.base import Delivery
from target_journeys.destinations.posthog import PostHog
from target_journeys.sending import Sender
from tests.target.messages import SCHEMA, record, sync
from tests.target.vendors import receiving, storm
from tests.target.watch import START

V0, V1 = "https://ph.test/batch/", "https://ph.test/i/v1/analytics/events"
OWN = {"api_key": "phc_k", "base_url": "https://ph.test"}


def told(**more: Any) -> dict[str, Any]:
    return {"posthog": OWN | more}


def people(count: int) -> list[dict[str, Any]]:
    return [record(n, subject=f"email:{n}@acme.test") for n in range(count)]


def events(call: int = -1) -> list[dict[str, Any]]:
    return json.loads(responses.calls[call].request.body)["batch"]


@responses.activate
@pytest.mark.parametrize("silent", [{}, {"status": 0}, {"status": 1, "quota_limited": ["events"]}])
def test_an_answer_that_takes_nothing_is_no_success(kept, silent):
    responses.post(V0, json=silent)
    responses.post(V0, json={"status": 1})
    target = sync(kept, SCHEMA, *people(2), destinations=told())
    assert (target.sent.sent, target.sent.waiting) == (2, 0)
    first, *later = ([each["uuid"] for each in events(n)] for n in range(len(responses.calls)))
    assert sorted(first) == sorted(name for names in later for name in names)


@responses.activate
def test_v1_says_what_became_of_each_event_and_only_what_it_wants_again_is_sent_again(kept):
    results: dict[str, Any] = {}

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        sent = json.loads(request.body)["batch"]
        words = ["ok", "drop", "retry", "warning"] if not results else ["ok"]
        said = {
            e["uuid"]: {"result": w, "details": "why"} for e, w in zip(sent, words, strict=False)
        }
        results.update(said)
        return 200, {}, json.dumps({"results": said})

    responses.add_callback("POST", V1, answer)
    target = sync(kept, SCHEMA, *people(5), destinations=told(endpoint="v1"))
    assert (target.sent.sent, target.sent.refused) == (4, 1)
    assert [len(events(call)) for call in range(2)] == [5, 1]
    assert kept.ask("select answer from outbox where status = 'refused'") == [("why",)]
    assert responses.calls[0].request.headers["Authorization"] == "Bearer phc_k"


@responses.activate
def test_an_event_of_a_stage_names_person_product_and_group(kept):
    responses.post(V0, json={"status": 1})
    event = record(1, account="crm:acme")
    sync(kept, SCHEMA, event, destinations=told(rows="transition", group_type="firm"))
    by_group = {each["distinct_id"]: each for each in events()}
    one = by_group["email:ana@acme.test"]
    assert (one["event"], one["timestamp"]) == ("journey stage changed", "2026-01-01T01:00:00Z")
    assert one["properties"]["product_id"] == "P"
    assert one["properties"]["$groups"] == {"firm": "crm:acme"}
    assert by_group["firm_crm:acme"]["properties"]["$groups"] == {"firm": "crm:acme"}


@responses.activate
def test_an_id_that_would_be_cut_is_refused(kept):
    responses.post(V0, json={"status": 1})
    target = sync(kept, SCHEMA, record(1, subject="crm:" + "x" * 200), destinations=told())
    assert target.sent.refused == 1
    assert kept.ask("select answer from outbox") == [
        ("the distinct id is longer than 200 characters",)
    ]


@responses.activate
def test_who_is_forgotten_is_deleted_there_and_not_told_of_once_more():
    persons = "https://ph.test/api/projects/7/persons/"
    responses.get(persons, json={"results": [{"id": 1, "uuid": "018f"}]})
    responses.delete(f"{persons}018f/", status=202)
    settings = OWN | {"personal_api_key": "phx", "project_id": 7}
    sender = Sender(PostHog.model_validate(settings), lambda: START)
    data = {"subject": "email:ana@acme.test", "journeys": []}
    row = Delivery("d", "record", "delete", "[]", 1, "2026-03-01T00:00:00Z", data, erased=True)
    (verdict,) = sender.tell([row._replace(ids=("email:ana@acme.test",))]).verdicts
    sender.close()
    assert verdict.status == "sent"
    assert [call.request.url for call in responses.calls] == [
        f"{persons}?distinct_id=email%3Aana%40acme.test",
        f"{persons}018f/?delete_events=true",
    ]
    assert {call.request.headers["Authorization"] for call in responses.calls} == {"Bearer phx"}


@responses.activate
def test_a_server_without_the_newer_endpoint_loses_nothing(kept, watch):
    responses.post(V1, status=404)
    assert sync(kept, SCHEMA, record(1), destinations=told(endpoint="v1")).sent.waiting == 1


def test_a_dry_run_shows_no_key(kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sync(kept, SCHEMA, record(1), destinations=told(dry_run=True))
    text = (tmp_path / "posthog.dry-run.jsonl").read_text()
    assert "$set" in text and "phc_k" not in text


@pytest.mark.parametrize(
    "wrong", [{"base_url": None}, {"personal_api_key": "k"}, {"project_id": 7}, {"event": ""}]
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        PostHog.model_validate(OWN | wrong)


def test_each_stage_is_one_event_although_requests_fail(kept, watch, monkeypatch):
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    with receiving("posthog") as kit:
        storm(kit.vendor, seed=2, slow_ms=600)
        kit.vendor.retry_share = 0.3
        own = {"posthog": kit.settings() | {"rows": "both", "endpoint": "v1"}}
        subjects = [f"email:{n}@x.test" for n in range(60)]
        messages = [
            record(n, step, event_id=f"{step} {who}", subject=who)
            for n, step in enumerate(("product_viewed", "order_placed"))
            for who in subjects
        ]
        target = sync(kept, SCHEMA, *messages, destinations=own)
        for _ in range(20):
            if target.sent.left:
                watch.sleep(600)
                target = sync(kept, destinations=own)
        ((visits,),) = kept.ask("select count(*) from stage_visits")
        stages = [e for e in kit.vendor.events.values() if e["event"] == "journey stage changed"]
        assert (target.sent.left, len(stages)) == (0, visits)
        assert kit.vendor.dropped == []
        assert {each["journeys"]["P"]["stage"] for each in kit.vendor.persons.values()} == {
            "receiving"
        }
