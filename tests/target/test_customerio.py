"""Customer.io: one outcome per operation, and nobody is told of people it cannot know."""

from __future__ import annotations

import json
import string

import pytest
import responses
from pydantic import ValidationError

from target_journeys import sending
from target_journeys.destinations.base import Delivery
from target_journeys.destinations.customerio import ALPHABET, CustomerIO, ulid
from target_journeys.requirements import missing
from tests.target.messages import SCHEMA, record, sync
from tests.target.vendors import receiving, storm

HOST = "https://track-eu.customer.io"
URL = f"{HOST}/api/v2/batch"
OWN = {"site_id": "s", "api_key": "k", "region": "eu", "object_type_id": "2"}


def told(**more) -> dict:
    return {"customerio": OWN | more}


def operations(call: int = -1) -> list[dict]:
    return json.loads(responses.calls[call].request.body)["batch"]


def viewed(number: int, name: str, **more) -> dict:
    return record(number, scopes=[{"grain": "product", "id": name}], **more)


@responses.activate
def test_a_207_refuses_the_rows_that_it_names_and_no_others(kept):
    error = {"batch_index": 1, "reason": "invalid", "field": "attributes", "message": "no"}
    responses.post(URL, status=207, json={"errors": [error]})
    target = sync(kept, SCHEMA, *map(viewed, range(3), "ABC"), destinations=told())
    assert (target.sent.sent, target.sent.refused, target.exit_code) == (2, 1, 3)
    ((key, answer),) = kept.ask("select record_key, answer from outbox where status = 'refused'")
    assert '"B"' in key and answer == "attributes: invalid: no"


@responses.activate
def test_a_207_that_names_nobody_is_no_success(kept):
    responses.post(URL, status=207, json={})
    responses.post(URL, json={})
    target = sync(kept, SCHEMA, viewed(1, "A"), destinations=told())
    assert (target.sent.sent, len(responses.calls)) == (1, 2)


@responses.activate
def test_an_event_has_a_ulid_and_who_cannot_be_known_there_is_not_told_of(kept):
    responses.post(URL, json={})
    events = [viewed(1, "A"), viewed(2, "B", subject="ga4_client:4711.1")]
    target = sync(kept, SCHEMA, *events, destinations=told(rows="both"))
    assert target.sent.summary() == "3 sent, 0 waiting, 0 refused"
    found = [each for call in range(len(responses.calls)) for each in operations(call)]
    (event,) = (each for each in found if each["action"] == "event")
    assert event["identifiers"] == {"email": "ana@acme.test"}
    assert event["attributes"]["stage"] == "considering"
    assert len(event["id"]) == 26 and set(event["id"]) <= set(ALPHABET)
    stranger = next(
        each
        for each in found
        if each["action"] == "identify" and each["attributes"]["subject"] == "ga4_client:4711.1"
    )
    assert "cio_relationships" not in stranger
    assert kept.ask("select kind, count(*) from outbox where status = 'suppressed' group by 1") == [
        ("transition", 1)
    ]


@responses.activate
def test_members_of_a_team_are_related_with_their_roles_if_they_consent(kept):
    responses.post(URL, json={})
    people = [("email:ana@acme.test", "Champion"), ("email:bo@acme.test", "Legal")]
    roles = [
        record(
            n,
            "contact_role_added",
            subject=who,
            account="crm:acme",
            properties={"role": role},
        )
        for n, (who, role) in enumerate(people)
    ]
    given = {"purpose": "marketing"}
    consent = record(5, "consent_given", subject=people[0][0], scopes=[], properties=given)
    events = [
        *roles,
        *(record(7 + n, subject=who, account="crm:acme") for n, (who, _) in enumerate(people)),
        consent,
    ]
    sync(kept, SCHEMA, *events, destinations=told(rows="record"))
    team = next(each for each in operations() if each["attributes"]["subject"] == "crm:acme")
    assert [each["identifiers"]["email"] for each in team["cio_relationships"]] == [
        "ana@acme.test",
        "bo@acme.test",
    ]
    (first, _) = team["cio_relationships"]
    assert first["relationship_attributes"]["role"].lower() == "champion"
    assert team["attributes"]["team_members"] == 2
    sync(kept, destinations=told(purpose="marketing"))
    team = next(
        each
        for each in operations()
        if each["action"] == "identify" and each["attributes"]["subject"] == "crm:acme"
    )
    assert [each["identifiers"]["email"] for each in team["cio_relationships"]] == ["ana@acme.test"]


def delivery(**more) -> Delivery:
    data = {"subject": "email:ana@acme.test", "scope_grain": "product", "scope_id": "P"}
    row = Delivery("d", "record", "delete", "[]", 1, "2026-03-01T00:00:00Z", data | {"episode": 1})
    return row._replace(ids=("email:ana@acme.test",), **more)


@pytest.mark.parametrize(
    ("erase", "actions"), [(True, ["delete", "suppress"]), (False, ["delete"])]
)
def test_who_is_forgotten_is_suppressed_there(erase, actions):
    destination = CustomerIO.model_validate(OWN | {"erase_person": erase})
    body = json.loads(destination.request([delivery(erased=True)]).data)
    assert [each["action"] for each in body["batch"]] == actions
    body = json.loads(destination.request([delivery()]).data)
    assert [each["action"] for each in body["batch"]] == ["delete"]


@responses.activate
def test_what_the_vendor_would_refuse_is_refused_here(kept):
    responses.post(URL, json={})
    long = [viewed(1, "A" * 160), viewed(2, "B", account="crm:" + "x" * 1000), viewed(3, "C")]
    target = sync(kept, SCHEMA, *long, destinations=told())
    answers = kept.ask("select answer from outbox where status = 'refused' order by 1")
    assert [answer for (answer,) in answers][:2] == [
        "the attribute 'account' is longer than 1,000 bytes",
        "the object's id is longer than 150 bytes",
    ]
    assert target.sent.sent == 1


@responses.activate
def test_the_check_says_where_the_workspace_is():
    responses.get(f"{HOST}/api/v1/accounts/region", json={"data_center": "us"})
    (need,) = missing({"customerio": CustomerIO.model_validate(OWN)})
    assert need.lines == ["a workspace in the region 'eu': it is in 'us'"]
    responses.replace("GET", f"{HOST}/api/v1/accounts/region", status=401)
    (need,) = missing({"customerio": CustomerIO.model_validate(OWN)})
    assert need.failure == "HTTP 401; check the URL and credentials of this destination"


def test_a_ulid_sorts_by_time_and_is_the_same_for_the_same_row():
    assert ulid(0, "a") == ulid(0, "a") != ulid(0, "b")
    assert ulid(0, "a") < ulid(1, "a") < ulid(2**40, "a")
    assert len(ulid(2**48 - 1, "a")) == 26 and ulid(2**48 - 1, "a")[0] == "7"
    assert set(ALPHABET) <= set(string.digits + string.ascii_uppercase) - set("ILOU")


@responses.activate
def test_a_moment_is_a_number_under_any_name(kept):
    responses.post(URL, json={})
    fields = {"stage_entered_at": "since", "stage": "where"}
    sync(kept, SCHEMA, viewed(1, "A"), destinations=told(fields=fields))
    (operation,) = operations()
    assert operation["attributes"]["since"] == 1767229200
    assert operation["attributes"]["where"] == "considering"


@pytest.mark.parametrize("wrong", [{"region": None}, {"object_type_id": "journey"}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        CustomerIO.model_validate(OWN | wrong)


def test_each_stage_is_one_event_although_requests_fail(kept, watch, monkeypatch):
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    with receiving("customerio") as kit:
        storm(kit.vendor, seed=2, slow_ms=600)
        own = {"customerio": kit.settings() | {"rows": "both"}}
        steps = ("product_viewed", "cart_added", "order_placed")
        events = [
            record(n, step, event_id=f"{step} {person}", subject=f"email:{person}@x.test")
            for n, step in enumerate(steps)
            for person in range(40)
        ]
        target = sync(kept, SCHEMA, *events, destinations=own)
        for _ in range(20):
            if target.sent.left:
                watch.sleep(600)
                target = sync(kept, destinations=own)
        ((visits,),) = kept.ask("select count(*) from stage_visits")
        assert (target.sent.left, len(kit.vendor.events)) == (0, visits)
        assert len(kit.vendor.relations) == len(kit.vendor.objects) == 40
