"""HubSpot as a destination, against the sandbox: an outcome per row, and nothing else moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.server import Sandbox
from tests.target.messages import SCHEMA, record, sync

ANA = "email:ana@acme.test"


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with Sandbox("hubspot") as sandbox:
        sandbox.hubspot.limits.off = True
        yield sandbox.hubspot


def settings(hubspot: HubSpot, **more: Any) -> dict[str, Any]:
    return {"hubspot": {"access_token": hubspot.token, "base_url": hubspot.url, **more}}


def created(hubspot: HubSpot, folder: Any, **more: Any) -> str:
    """What `journeys check --create` says."""
    path = folder / "config.json"
    config = {"store": f"sqlite:///{folder}/j.db", "destinations": settings(hubspot, **more)}
    path.write_text(json.dumps(config))
    done = CliRunner().invoke(main, ["check", "--create", "--yes", "--config", str(path)])
    return done.stderr


def journeys(hubspot: HubSpot) -> dict[str | None, dict[str, Any]]:
    (kind,) = hubspot.world.schemas
    rows = hubspot.world.listed(kind)
    return {row.properties["journey_key"]: row.properties for row in rows}


def test_it_creates_the_object_then_nothing_then_a_property_of_its_own(hubspot, tmp_path):
    contacts = dict(hubspot.world.definitions["contacts"])
    said = created(hubspot, tmp_path, fields={"stage": "stage"})
    assert "custom object 'journey_stage'" in said
    assert created(hubspot, tmp_path, fields={"stage": "stage"}) == ""
    assert "property 'mood'" in created(hubspot, tmp_path, fields={"headline": "mood"})
    assert hubspot.world.definitions["contacts"] == contacts


def test_a_journey_is_an_object_of_its_contact_and_company(hubspot, kept, tmp_path):
    contact = hubspot.world.add("contacts", {"email": "ana@acme.test"})
    company = hubspot.world.add("companies", {"name": "Acme"})
    created(hubspot, tmp_path)
    events = [
        record(1, "order_placed", account=f"hubspot_company:{company}"),
        record(2, subject="email:b@x.test"),
    ]
    target = sync(kept, SCHEMA, *events, destinations=settings(hubspot))
    assert target.sent.summary() == "3 sent, 0 waiting, 0 refused"  # two people, one account
    found = journeys(hubspot)[f"{ANA}|product|P|1"]
    assert (found["stage"], found["is_correction"]) == ("receiving", "false")
    assert found["stage_entered_at"] == "2026-01-01T01:00:00Z"
    (kind,) = hubspot.world.schemas
    ids = {each.properties["journey_key"]: each.id for each in hubspot.world.listed(kind)}
    assert set(hubspot.world.associations[kind, "contacts"][ids[f"{ANA}|product|P|1"]]) == {
        int(contact)
    }
    assert set(hubspot.world.associations[kind, "companies"][ids[f"{ANA}|product|P|1"]]) == {
        int(company)
    }
    requests = len(hubspot.log)
    assert sync(kept, SCHEMA, *events, destinations=settings(hubspot)).sent.sent == 0
    assert len(hubspot.log) == requests


def test_one_bad_row_is_refused_in_the_vendors_words_and_the_others_are_written(
    hubspot, kept, tmp_path
):
    created(hubspot, tmp_path)
    (kind,) = hubspot.world.schemas
    hubspot.world.definitions[kind]["scope_id"]["type"] = "number"
    scopes = [[{"grain": "product", "id": name}] for name in ("1", "two", "3")]
    messages = [record(n, scopes=each) for n, each in enumerate(scopes)]
    target = sync(kept, SCHEMA, *messages, destinations=settings(hubspot))
    assert (target.sent.sent, target.sent.refused) == (2, 1)
    ((key, answer),) = kept.ask("select record_key, answer from outbox where status = 'refused'")
    assert "two" in key and answer.startswith("VALIDATION_ERROR")


def test_an_object_that_is_not_there_refuses_and_says_so(hubspot, kept):
    target = sync(kept, SCHEMA, record(1), destinations=settings(hubspot))
    assert (target.sent.refused, target.exit_code) == (1, 3)


def test_what_ceases_to_exist_is_archived_once(hubspot, kept, tmp_path):
    created(hubspot, tmp_path)
    sync(kept, SCHEMA, record(1), destinations=settings(hubspot))
    correction = record(2, "record_corrected", supersedes=f"{1:032x}")
    assert sync(kept, SCHEMA, correction, destinations=settings(hubspot)).sent.sent == 1
    assert journeys(hubspot) == {}


def test_the_daily_limit_stops_until_it_is_reset(hubspot, kept, tmp_path):
    created(hubspot, tmp_path)
    hubspot.faults.daily_limit_reached = True
    target = sync(kept, SCHEMA, record(1), destinations=settings(hubspot))
    assert target.sent.waiting == 1
    hubspot.faults.daily_limit_reached = False
    assert sync(kept, destinations=settings(hubspot)).sent.waiting == 1
    assert kept.ask("select attempts from outbox") == [(0,)]


def test_thirty_in_a_hundred_requests_fail_and_all_arrives(hubspot, kept, tmp_path, monkeypatch):
    monkeypatch.setattr("target_journeys.lane.full_jitter", lambda _: timedelta(0))
    created(hubspot, tmp_path)
    hubspot.faults.error_share, hubspot.faults.reset_share = 0.2, 0.1
    messages = [record(n, scopes=[{"grain": "product", "id": f"P{n}"}]) for n in range(300)]
    target = sync(kept, SCHEMA, *messages, destinations=settings(hubspot))
    for _ in range(5):
        if target.sent.waiting:
            target = sync(kept, destinations=settings(hubspot))
    assert len(journeys(hubspot)) == 300
    assert kept.ask("select distinct status from outbox") == [("sent",)]


def test_an_association_that_fails_refuses_its_row_and_no_other(hubspot, kept, tmp_path):
    hubspot.world.add("contacts", {"email": "ana@acme.test"})
    created(hubspot, tmp_path)
    events = [
        record(1, account="hubspot_company:999"),
        record(2, subject="email:b@x.test"),
    ]
    target = sync(kept, SCHEMA, *events, destinations=settings(hubspot))
    assert (target.sent.sent, target.sent.refused, target.exit_code) == (1, 2, 3)
    answers = kept.ask("select distinct answer from outbox where status = 'refused'")
    assert answers == [
        ("not associated to companies: OBJECT_NOT_FOUND: One of the objects does not exist",)
    ]
    assert len(journeys(hubspot)) == 3


@pytest.mark.parametrize("erase", [True, False])
def test_who_is_forgotten_is_deleted_for_good_where_that_is_wanted(hubspot, kept, tmp_path, erase):
    hubspot.world.add("contacts", {"email": "ana@acme.test"})
    created(hubspot, tmp_path, erase_contacts=erase)
    own = settings(hubspot, erase_contacts=erase)
    link = record(2, "identity_linked", scopes=[], properties={"linked": "hubspot_contact:4711"})
    sync(kept, SCHEMA, record(1), link, destinations=own)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{kept}", "destinations": own}))
    done = CliRunner().invoke(main, ["forget", ANA, "--config", str(path)])
    assert done.exit_code == 0, done.output
    assert journeys(hubspot) == {}
    assert len(list(hubspot.requests("gdpr-delete"))) == (2 if erase else 0)
    assert ("ana@acme.test" in hubspot.world.blocked) == erase
    assert len(hubspot.world.listed("contacts")) == (0 if erase else 1)
