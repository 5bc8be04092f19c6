"""Looking at what waits and mending it; guards; destinations that do not wait for each other."""

from __future__ import annotations

import json
import logging
import time

import pytest
import requests
import responses
from click.testing import CliRunner

from target_journeys.cli import main
from target_journeys.outbox import Outbox
from tests.target.messages import SCHEMA, record, sync
from tests.target.watch import Watch

URL = "https://cdp.test/journeys"
SEGMENT_URL = "https://api.segment.io/v1/batch"
SEGMENT = {"segment": {"write_key": "wk", "region": "us"}}


@pytest.fixture(autouse=True)
def watch(monkeypatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(Outbox, "now", staticmethod(watch.now))
    monkeypatch.setattr(Outbox, "sleep", staticmethod(watch.sleep))
    return watch


def webhook(**more) -> dict:
    return {"webhook": {"url": URL, **more}}


def many(count: int) -> list[dict]:
    return [record(n, scopes=[{"grain": "product", "id": f"P{n}"}]) for n in range(count)]


def ask(kept, destinations, *arguments):
    path = kept.path.parent / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{kept}", "destinations": destinations}))
    done = CliRunner().invoke(main, [*arguments, "--config", str(path)])
    return done.exit_code, done.stdout


@responses.activate
def test_deletes_that_would_empty_a_destination_are_held_back(kept):
    responses.post(URL)
    sync(kept, SCHEMA, *many(30), destinations=webhook())
    gone = [record(100 + n, "record_corrected", supersedes=f"{n:032x}") for n in range(25)]
    target = sync(kept, SCHEMA, *gone, destinations=webhook())
    assert (target.sent.sent, target.sent.waiting, target.exit_code) == (0, 25, 3)
    changed = record(200, "cart_added", scopes=[{"grain": "product", "id": "P29"}])
    assert sync(kept, SCHEMA, changed, destinations=webhook()).sent.sent == 1
    code, said = ask(kept, webhook(), "deliver", "--allow-deletes")
    assert (code, said) == (0, "25 sent, 0 waiting, 0 refused\n")


@responses.activate
def test_max_deletes_counts(kept):
    responses.post(URL)
    sync(kept, SCHEMA, *many(3), destinations=webhook())
    gone = record(100, "record_corrected", supersedes=f"{1:032x}")
    assert sync(kept, SCHEMA, gone, destinations=webhook(max_deletes=0)).sent.waiting == 1
    assert sync(kept, destinations=webhook(max_deletes=1)).sent.sent == 1


@responses.activate
def test_a_plan_counts_and_shows_and_asks_nobody(kept):
    sync(kept, SCHEMA, *many(2), destinations=webhook(dry_run=True))
    code, said = ask(kept, webhook(), "deliver", "--plan", "--json")
    (planned,) = json.loads(said)
    assert code == 0 and planned["counts"]["create"] == 2
    assert planned["samples"][0]["url"] == URL
    responses.post(URL)
    ask(kept, webhook(), "deliver")
    changed = record(9, "cart_added", scopes=[{"grain": "product", "id": "P0"}])
    gone = record(100, "record_corrected", supersedes=f"{1:032x}")
    sync(kept, SCHEMA, changed, gone, destinations=webhook(dry_run=True))
    calls = len(responses.calls)
    counts = json.loads(ask(kept, webhook(), "deliver", "--plan", "--json")[1])[0]["counts"]
    assert (counts["create"], counts["update"], counts["delete"]) == (0, 1, 1)
    assert len(responses.calls) == calls


@responses.activate
def test_refused_rows_are_listed_shown_retried_and_dropped(kept):
    responses.post(URL, status=422, body="no such field")
    sync(kept, SCHEMA, *many(2), destinations=webhook())
    _, said = ask(kept, webhook(), "refused", "--json")
    rows = json.loads(said)
    assert [row["answer"] for row in rows] == ["HTTP 422: no such field"] * 2
    code, said = ask(kept, webhook(), "refused", "show", rows[0]["record_key"], "--json")
    (shown,) = json.loads(said)
    assert code == 0 and '"scope_id":"P0"' in shown["request"]["body"]
    assert ask(kept, webhook(), "refused", "drop", rows[0]["record_key"]) == (0, "1 suppressed\n")
    assert ask(kept, webhook(), "refused", "retry") == (0, "1 waiting\n")
    responses.reset()
    responses.post(URL)
    assert ask(kept, webhook(), "deliver")[1] == "1 sent, 0 waiting, 0 refused\n"
    changed = record(9, "cart_added", scopes=[{"grain": "product", "id": "P0"}])
    assert sync(kept, SCHEMA, changed, destinations=webhook()).sent.sent == 1


@responses.activate
def test_a_stage_that_begins_earlier_than_was_told_is_marked(kept):
    responses.post(URL)
    sync(kept, SCHEMA, record(9), destinations=webhook())
    sync(kept, SCHEMA, record(5), destinations=webhook())
    told = [json.loads(call.request.body)["data"] for call in responses.calls]
    assert [each["is_correction"] for each in told] == [False, True]
    assert told[1]["stage_entered_at"] < told[0]["stage_entered_at"]


@responses.activate
def test_only_categories_that_are_named_are_told(kept):
    responses.post(URL)
    sync(kept, SCHEMA, record(1), destinations=webhook(categories=["electronics"]))
    assert kept.ask("select count(*) from outbox") == [(0,)]


@responses.activate
def test_every_run_leaves_a_line(kept):
    responses.post(URL, status=401)
    sync(kept, SCHEMA, record(1), destinations=webhook())
    sql = "select destination, sent, waiting, refused, unknown, stopped from deliveries"
    ((name, *counts, stopped),) = kept.ask(sql)
    assert (name, counts) == ("webhook", [0, 1, 0, 0]) and stopped.startswith("HTTP 401")
    assert kept.ask("select oldest_waiting from deliveries")[0][0]


@responses.activate
def test_a_destination_that_is_slow_or_down_holds_up_no_other(kept):
    def slow(_):
        time.sleep(0.3)
        raise requests.ConnectionError

    responses.add_callback(responses.POST, URL, callback=slow)
    arrived = []

    def fast(request):
        arrived.append(time.monotonic())
        return (200, {}, '{"success": true}')

    responses.add_callback(responses.POST, SEGMENT_URL, callback=fast)
    people = [record(n, subject=f"email:p{n}@x.test") for n in range(300)]
    began = time.monotonic()
    target = sync(kept, SCHEMA, *people, destinations=webhook() | SEGMENT)
    assert (target.sent.sent, target.sent.waiting) == (300, 300)
    assert max(arrived) - min(arrived) < 0.3 < time.monotonic() - began


@responses.activate
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_no_secret_and_no_person_in_any_log(kept, caplog, status):
    caplog.set_level(logging.DEBUG)
    responses.post(URL, status=status, body="ana@acme.test tok-1234")
    sync(kept, SCHEMA, record(1), destinations=webhook(token="tok-1234"))
    assert "ana@acme.test" not in caplog.text and "tok-1234" not in caplog.text
