"""What holds for every destination there is, against receivers that answer as its vendor does."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from target_journeys import sending
from target_journeys.destinations import DESTINATIONS, salesforce
from target_journeys.outbox import Outbox
from target_journeys.stores.sqlite import SQLiteStore
from tests.sandbox.base import Answer, Delivery
from tests.sandbox.faults import Fault
from tests.target.messages import SCHEMA, record, sync
from tests.target.vendors import KITS, Kit, receiving, storm
from tests.target.watch import Watch

PEOPLE = 300  # of the convergence; bench/convergence.py has 100,000
ANA = "email:ana@acme.test"
ANSWERS = (200, 202, 207, 400, 401, 403, 404, 409, 413, 429, 500, 502, 503, "reset", "time-out")
PLANTED = {"webhook": {"token": "tok-1234", "secret": "whsec_c2VjcmV0LXNlY3JldA=="}}


@pytest.fixture(autouse=True)
def watch(monkeypatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(Outbox, "now", staticmethod(watch.now))
    monkeypatch.setattr(Outbox, "sleep", staticmethod(watch.sleep))
    return watch


@pytest.fixture(params=sorted(DESTINATIONS))
def name(request) -> str:
    assert request.param in KITS, "give it a receiver: a line in KITS of tests/target/vendors.py"
    return str(request.param)


@pytest.fixture
def kit(name) -> Iterator[Kit]:
    with receiving(name) as kit:
        yield kit


def told(kept, name: str, kit: Kit, *messages: dict[str, Any], **more: Any) -> Any:
    return sync(kept, SCHEMA, *messages, destinations={name: kit.settings() | more})


def known(kept) -> dict[tuple[str, str], tuple[str, str]]:
    """What the store says: (subject, product) → (stage, since)."""
    sql = "select subject, scope_id, stage, stage_entered_at from journey_stages"
    return {(subject, product): (*rest,) for subject, product, *rest in kept.ask(sql)}


def arrived(kit: Kit) -> dict[tuple[str, str], tuple[str, str]]:
    return {key: (seen.stage, seen.entered_at) for key, seen in kit.journeys().items()}


def test_it_converges_although_three_requests_of_ten_fail(kept, name, kit, watch, monkeypatch):
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(salesforce, "ROWS", 20)  # else there are hardly any requests that may fail
    storm(kit.vendor, seed=1, slow_ms=600)
    told(kept, name, kit, *of_people("product_viewed", PEOPLE))
    target = told(kept, name, kit, *of_people("order_placed", PEOPLE // 2))
    for hour in range(2, 22):  # a few large requests may all have been lucky
        if kit.vendor.faults.happened:
            break
        target = told(kept, name, kit, record(hour, "ticket_opened", subject="email:p0@x.test"))
    for _ in range(20):
        if not target.sent.left:
            break
        watch.sleep(600)
        target = told(kept, name, kit)
    assert target.sent.left == 0
    assert arrived(kit) == known(kept)
    assert len(arrived(kit)) == PEOPLE
    assert kit.vendor.faults.happened


def of_people(event_type: str, count: int) -> list[dict[str, Any]]:
    """One event of each of these people."""
    return [
        record(1, event_type, event_id=f"{event_type} {n}", subject=f"email:p{n}@x.test")
        for n in range(count)
    ]


def test_five_changes_while_waiting_are_one_request(kept, name, kit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a dry run writes
    told(kept, name, kit, record(1, subject="email:bob@acme.test"))
    once = [line.path for line in kit.vendor.requests()]
    steps = ("product_viewed", "cart_added", "order_placed", "order_delivered", "ticket_opened")
    for number, event_type in enumerate(steps):
        told(kept, name, kit, record(number, event_type), dry_run=True)
    kit.vendor.forget_requests()
    assert told(kept, name, kit).sent.sent == 1
    assert [line.path for line in kit.vendor.requests()] == once
    assert arrived(kit) == known(kept)


def test_what_did_not_change_is_not_told_again(kept, name, kit):
    told(kept, name, kit, record(1), record(2, "order_placed"))
    kit.vendor.forget_requests()
    assert told(kept, name, kit, record(1), record(2, "order_placed")).sent.sent == 0
    assert list(kit.vendor.requests()) == []


def test_a_stage_begins_earlier_than_was_told_only_as_a_correction(kept, name, kit):
    def since_and_corrected(*messages):
        told(kept, name, kit, *messages)
        seen = kit.journeys()[ANA, "P"]
        return seen.entered_at, seen.corrected

    assert since_and_corrected(record(9)) == ("2026-01-01T09:00:00Z", False)
    assert since_and_corrected(record(5)) == ("2026-01-01T05:00:00Z", True)
    assert since_and_corrected(record(20, "order_placed")) == ("2026-01-01T20:00:00Z", False)


def test_no_secret_and_no_person_in_any_log(
    kept, name, kit, watch, monkeypatch, caplog, capfd, tmp_path
):
    monkeypatch.chdir(tmp_path)  # where a dry run writes
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.1)
    caplog.set_level(logging.DEBUG)
    settings = kit.settings() | PLANTED.get(name, {})
    member = DESTINATIONS[name].model_validate(settings)
    secrets = [each.get_secret_value() for _, each in member if isinstance(each, SecretStr)]
    planted = [ANA, "ana@acme.test", "ana%40acme.test", *secrets]
    planted += [base64.b64encode(f"{each}:".encode()).decode() for each in secrets]
    assert secrets
    asked = []

    def respond(request):
        asked.append(answer)
        body = Answer(answer if isinstance(answer, int) else 200, " ".join(planted))
        late_s = 0.2 if answer == "time-out" else 0.0
        time.sleep(late_s)
        return Delivery(body, Fault(reset=answer == "reset"))

    monkeypatch.setattr(kit.vendor, "respond", respond)
    sync(kept, SCHEMA, record(1), destinations={name: settings | {"dry_run": True}})
    store = SQLiteStore(str(kept))
    for answer in ANSWERS:
        Outbox({name: member}).deliver(store)
        said = caplog.text + "".join(capfd.readouterr())
        assert [each for each in planted if each in said] == [], answer
        assert "please report it" not in said, answer  # every answer is one to be expected
        if answer == 400:
            ((start,),) = store.connection.execute("select answer from outbox").fetchall()
            assert start.startswith(f"HTTP 400: {ANA}")
        store.connection.execute("update outbox set status = 'waiting', next_attempt_at = null")
        watch.sleep(100_000)
    store.close()
    assert set(asked) == set(ANSWERS)
