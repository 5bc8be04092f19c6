"""Rows that a destination accepts are asked for until it says what became of them."""

from __future__ import annotations

import json

import pytest
import responses

from target_journeys import outbox as outbox_module
from target_journeys.lane import LEASE_S
from target_journeys.outbox import Outbox
from target_journeys.sending import Sender
from target_journeys.settings import Settings
from target_journeys.stores.sqlite import SQLiteStore
from tests.target.in_turn import InTurn, Killed
from tests.target.jobs import Jobs
from tests.target.messages import SCHEMA, record, sync
from tests.target.watch import Watch

URL = "https://cdp.test/jobs"
RUNNING = {"state": "running"}


@pytest.fixture(autouse=True)
def watch(monkeypatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(Outbox, "now", staticmethod(watch.now))
    monkeypatch.setattr(Outbox, "sleep", staticmethod(watch.sleep))
    monkeypatch.setattr(Settings, "active_destinations", lambda _: {"jobs": Jobs(url=URL)})
    return watch


def accepts(job: str = "1") -> None:
    responses.post(URL, status=202, json={"job": job})


def told() -> list[list[dict]]:
    """The rows of each request that sent some."""
    posts = [call.request for call in responses.calls if call.request.method == "POST"]
    return [[json.loads(line) for line in each.body.splitlines()] for each in posts]


def asked() -> int:
    return sum(call.request.method == "GET" for call in responses.calls)


def done(rows: list[dict], status: str = "ok") -> dict:
    return {"results": [{"id": row["id"], "status": status} for row in rows]}


def statuses(kept) -> list[str]:
    return [status for (status,) in kept.ask("select status from outbox order by record_key")]


def done_as_told(_request):
    return (200, {}, json.dumps(done(told()[-1])))


@responses.activate
def test_a_job_is_asked_for_until_it_is_done_and_less_often_each_time(kept, watch):
    accepts()
    for _ in range(3):
        responses.get(f"{URL}/1", json=RUNNING)
    responses.add_callback(responses.GET, f"{URL}/1", callback=done_as_told)
    target = sync(kept, SCHEMA, record(1))
    assert (target.sent.sent, target.sent.waiting, target.exit_code) == (1, 0, 0)
    assert (len(told()), asked()) == (1, 4)
    assert watch.slept_s == pytest.approx(5 + 10 + 20 + 40)


@responses.activate
def test_a_long_job_is_left_to_the_next_run(kept, watch):
    accepts()
    responses.get(f"{URL}/1", json=RUNNING)
    target = sync(kept, SCHEMA, record(1))
    assert (target.sent.waiting, target.exit_code, statuses(kept)) == (1, 3, ["accepted"])
    assert 500 < watch.slept_s <= 660
    responses.replace(responses.GET, f"{URL}/1", json=done(told()[0]))
    watch.sleep(3600)
    assert sync(kept).sent.sent == 1
    assert len(told()) == 1


@responses.activate
def test_a_job_may_refuse_a_row(kept):
    accepts()
    responses.add_callback(
        responses.GET,
        f"{URL}/1",
        callback=lambda _: (200, {}, json.dumps(done(told()[0], "drop"))),
    )
    assert sync(kept, SCHEMA, record(1)).sent.refused == 1


@responses.activate
@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_job_that_is_forgotten_is_told_again(kept, status):
    accepts()
    responses.get(f"{URL}/1", status=status)
    accepts("2")
    responses.add_callback(responses.GET, f"{URL}/2", callback=done_as_told)
    assert sync(kept, SCHEMA, record(1)).sent.sent == 1
    first, second = told()
    assert first[0]["id"] == second[0]["id"]


@responses.activate
def test_what_cannot_be_told_twice_is_unknown_when_its_job_is_forgotten(kept, monkeypatch):
    once = Jobs(url=URL, idempotent=False)
    monkeypatch.setattr(Settings, "active_destinations", lambda _: {"jobs": once})
    accepts()
    responses.get(f"{URL}/1", status=404)
    assert sync(kept, SCHEMA, record(1)).sent.unknown == 1
    assert len(told()) == 1


@responses.activate
@pytest.mark.parametrize("status", [401, 429, 500])
def test_who_does_not_answer_for_a_job_is_asked_again(kept, watch, status):
    accepts()
    responses.get(f"{URL}/1", status=status)
    responses.add_callback(responses.GET, f"{URL}/1", callback=done_as_told)
    sync(kept, SCHEMA, record(1))
    watch.sleep(3600)
    sync(kept)
    assert statuses(kept) == ["sent"]
    assert len(told()) == 1


@responses.activate
@pytest.mark.parametrize("dies", ["before it asks", "after it was answered"])
def test_a_kill_between_acceptance_and_outcome_sends_nothing_again(kept, watch, monkeypatch, dies):
    accepts()
    responses.add_callback(responses.GET, f"{URL}/1", callback=done_as_told)

    def die(sender, job, deliveries):
        if dies != "before it asks":
            ask(sender, job, deliveries)
        raise Killed

    ask = Sender.ask
    with monkeypatch.context() as patched:
        patched.setattr(outbox_module, "SideBySide", InTurn)
        patched.setattr(Sender, "ask", die)
        with pytest.raises(Killed):
            sync(kept, SCHEMA, record(1))
    assert statuses(kept) == ["leased"]
    watch.sleep(LEASE_S + 1)
    assert sync(kept).sent.sent == 1
    assert len(told()) == 1


@responses.activate
def test_a_row_that_changes_while_a_job_has_it_is_told_again_afterwards(kept, watch):
    accepts()
    responses.get(f"{URL}/1", json=RUNNING)
    sync(kept, SCHEMA, record(9))
    ((first,),) = told()
    responses.replace(responses.GET, f"{URL}/1", json=done([first]))
    accepts("2")
    responses.add_callback(responses.GET, f"{URL}/2", callback=done_as_told)
    watch.sleep(3600)
    assert sync(kept, SCHEMA, record(5)).sent.sent == 2  # late: the stage began earlier
    _, (second,) = told()
    assert (first["record_version"], second["record_version"]) == (1, 2)
    assert second["data"]["stage_entered_at"] < first["data"]["stage_entered_at"]
    assert second["data"]["is_correction"]


@responses.activate
def test_who_is_forgotten_is_deleted_after_the_job_that_has_them(kept, watch):
    accepts()
    responses.get(f"{URL}/1", json=RUNNING)
    sync(kept, SCHEMA, record(1))
    store = SQLiteStore(str(kept))
    with store.transaction():
        store.erasure.outbox(["email:ana@acme.test"])
    store.close()
    assert statuses(kept) == ["accepted"]
    responses.replace(responses.GET, f"{URL}/1", json=done(told()[0]))
    accepts("2")
    responses.add_callback(responses.GET, f"{URL}/2", callback=done_as_told)
    watch.sleep(3600)
    sync(kept)
    assert [row["type"] for (row,) in told()] == [
        "journey.record.upserted",
        "journey.record.deleted",
    ]
    assert statuses(kept) == []
