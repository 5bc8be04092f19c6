"""Every change is told once, whatever the destination answers."""

from __future__ import annotations

import json
import re

import pytest
import requests
import responses

from target_journeys.outbox import Outbox
from tests.target.messages import SCHEMA, record, sync
from tests.target.watch import Watch

URL = "https://cdp.test/journeys"
WEBHOOK = {"webhook": {"url": URL}}


@pytest.fixture(autouse=True)
def watch(monkeypatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(Outbox, "now", staticmethod(watch.now))
    monkeypatch.setattr(Outbox, "sleep", staticmethod(watch.sleep))
    return watch


def told(call: int = -1) -> list[dict]:
    """The lines of a request."""
    return [json.loads(line) for line in responses.calls[call].request.body.splitlines()]


def statuses(kept) -> list[tuple]:
    return kept.ask("select status, attempts from outbox order by record_key")


def three(kept, **config):
    """Three journeys, so three rows."""
    scopes = [[{"grain": "product", "id": name}] for name in "ABC"]
    messages = [record(n, scopes=each) for n, each in enumerate(scopes)]
    return sync(kept, SCHEMA, *messages, destinations=WEBHOOK, **config)


@responses.activate
def test_a_change_is_told_once_with_a_stable_id(kept):
    responses.post(URL)
    target = three(kept)
    assert target.summary().endswith("3 sent, 0 waiting, 0 refused")
    first = told()
    assert [each["type"] for each in first] == ["journey.record.upserted"] * 3
    assert [each["data"]["scope_id"] for each in first] == ["A", "B", "C"]
    assert "next_check_at" not in first[0]["data"]
    three(kept)
    assert len(responses.calls) == 1
    assert statuses(kept) == [("sent", 1)] * 3


@responses.activate
def test_only_what_changed_is_told_again(kept):
    responses.post(URL)
    three(kept)
    changed = record(9, "order_placed", scopes=[{"grain": "product", "id": "B"}])
    sync(kept, SCHEMA, changed, destinations=WEBHOOK)
    (line,) = told()
    assert (line["data"]["scope_id"], line["data"]["stage"]) == ("B", "receiving")
    assert line["record_version"] == 2


@responses.activate
def test_a_record_that_ceases_to_exist_is_told(kept):
    responses.post(URL)
    sync(kept, SCHEMA, record(1), destinations=WEBHOOK)
    correction = record(2, "record_corrected", supersedes=f"{1:032x}")
    sync(kept, SCHEMA, correction, destinations=WEBHOOK)
    (line,) = told()
    assert line["type"] == "journey.record.deleted"
    assert line["data"]["scope_id"] == "P"


@responses.activate
def test_a_destination_that_is_down_loses_nothing_and_alerts(kept, watch):
    responses.post(URL, body=requests.ConnectionError("refused"))
    target = three(kept)
    assert target.exit_code == 3
    assert [status for status, _ in statuses(kept)] == ["waiting"] * 3
    assert len(responses.calls) <= 10
    assert watch.slept_s < 30
    responses.reset()
    responses.post(URL)
    watch.sleep(3600)
    assert sync(kept, destinations=WEBHOOK).sent.sent == 3


@responses.activate
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503])
def test_it_tries_again_later(kept, status):
    responses.post(URL, status=status)
    responses.post(URL)
    assert three(kept).sent.sent == 3
    assert statuses(kept) == [("sent", 2)] * 3


@responses.activate
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "7"},
        {"Retry-After": "7.0"},
        {"Retry-After": "Sun, 01 Mar 2026 00:00:07 GMT"},
        {"X-RateLimit-Reset": "7"},
        {"X-RateLimit-Reset": "1772323207"},
        {"RateLimit-Reset": "1772323207000"},
    ],
)
def test_it_waits_as_long_as_it_is_asked_and_that_is_no_attempt(kept, watch, headers):
    responses.post(URL, status=429, headers=headers)
    responses.post(URL)
    assert three(kept).sent.sent == 3
    assert watch.slept_s == pytest.approx(7, abs=0.01)
    assert statuses(kept) == [("sent", 1)] * 3


@responses.activate
def test_a_long_wait_ends_the_sending_not_the_run(kept, watch):
    responses.post(URL, status=429, headers={"Retry-After": "3600"})
    target = three(kept)
    assert (watch.slept_s, len(responses.calls)) == (0, 1)
    assert (target.exit_code, target.sent.waiting) == (3, 3)
    assert sync(kept, destinations=WEBHOOK).sent.waiting == 3
    assert len(responses.calls) == 1  # the word holds for the next run as well
    responses.reset()
    responses.post(URL)
    watch.sleep(3601)
    assert sync(kept, destinations=WEBHOOK).sent.sent == 3


@responses.activate
def test_one_bad_row_does_not_hold_up_the_others(kept):
    def answer(request):
        if '"scope_id":"B"' in request.body.decode():
            return (400, {}, "unknown product B")
        return (200, {}, "")

    responses.add_callback(responses.POST, URL, callback=answer)
    target = three(kept)
    assert (target.sent.sent, target.sent.refused, target.exit_code) == (2, 1, 3)
    ((status, answer),) = kept.ask("select status, answer from outbox where record_key like '%B%'")
    assert (status, answer) == ("refused", "HTTP 400: unknown product B")


@responses.activate
def test_a_refused_row_is_told_again_after_a_change_or_on_request(kept):
    responses.post(URL, status=400)
    sync(kept, SCHEMA, record(1), destinations=WEBHOOK)
    responses.reset()
    responses.post(URL)
    assert sync(kept, destinations=WEBHOOK).sent.refused == 1
    assert len(responses.calls) == 0
    changed = sync(kept, SCHEMA, record(2, "cart_added"), destinations=WEBHOOK)
    assert (changed.sent.sent, changed.sent.refused) == (1, 0)


@responses.activate
def test_an_answer_may_give_each_row_its_own_outcome(kept):
    words = {"A": ("ok", None), "B": ("drop", "no such person"), "C": ("retry", "busy")}

    def answer(request):
        rows = [json.loads(line) for line in request.body.splitlines()]
        results = [
            dict(
                zip(
                    ("id", "status", "error"),
                    (row["id"], *words[row["data"]["scope_id"]]),
                    strict=True,
                )
            )
            for row in rows
        ]
        return (207, {}, json.dumps({"results": results}))

    responses.add_callback(responses.POST, URL, callback=answer)
    target = three(kept)
    assert (target.sent.sent, target.sent.refused, target.sent.waiting) == (1, 1, 1)
    answers = kept.ask("select status, answer from outbox order by record_key")
    assert answers == [("sent", None), ("refused", "no such person"), ("waiting", "busy")]


@responses.activate
def test_a_row_that_an_answer_does_not_mention_is_not_taken_for_sent(kept):
    responses.post(URL, json={"results": []})
    assert three(kept).sent.waiting == 3


@responses.activate
def test_outcomes_that_were_cut_off_are_not_taken_for_sent(kept):
    responses.post(URL, status=207, body='{"results": [{"id": "0')
    assert three(kept).sent.waiting == 3


@responses.activate
def test_a_redirect_is_not_followed(kept, caplog):
    responses.post(URL, status=302, headers={"Location": "https://elsewhere.test"})
    assert three(kept).sent.waiting == 3
    assert "check the URL of this destination" in caplog.text


@responses.activate
@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410, 415, 421])
def test_an_answer_about_the_whole_destination_is_asked_for_once(kept, status, caplog):
    responses.post(URL, status=status)
    target = three(kept)
    assert (len(responses.calls), target.sent.waiting, target.sent.refused) == (1, 3, 0)
    assert target.exit_code == 3
    assert f"Destination 'webhook' gets no more in this run: HTTP {status}; " in caplog.text


@responses.activate
@pytest.mark.parametrize("max_batch", [1, 100])
def test_settings_that_no_row_can_please_stop_the_destination(kept, max_batch, caplog):
    responses.post(URL, status=422, body="no such field")
    rows = [record(n, scopes=[{"grain": "product", "id": str(n)}]) for n in range(100)]
    settings = {"webhook": {"url": URL, "max_batch": max_batch}}
    target = sync(kept, SCHEMA, *rows, destinations=settings)
    assert (target.sent.refused, target.sent.waiting) == (10, 90)
    assert len(responses.calls) < 50
    assert "HTTP 422 for each of 10 rows that were sent alone" in caplog.text
    responses.reset()
    responses.post(URL)
    assert sync(kept, destinations=settings).sent.sent == 90


@responses.activate
def test_bad_rows_stop_nobody_where_others_are_taken(kept):
    def answer(request):
        bad = any(json.loads(line)["data"]["scope_id"] < "50" for line in request.body.splitlines())
        return (422, {}, "no such product") if bad else (200, {}, "")

    responses.add_callback(responses.POST, URL, callback=answer)
    rows = [record(n, scopes=[{"grain": "product", "id": f"{n:02}"}]) for n in range(100)]
    target = sync(kept, SCHEMA, *rows, destinations=WEBHOOK)
    assert (target.sent.sent, target.sent.refused) == (50, 50)


@responses.activate
def test_an_id_stands_for_one_content_in_every_store(kept, tmp_path):
    responses.post(URL)
    sync(kept, SCHEMA, record(1), destinations=WEBHOOK)
    sync(tmp_path / "same.db", SCHEMA, record(1), destinations=WEBHOOK)
    sync(tmp_path / "other.db", SCHEMA, record(1, "cart_added"), destinations=WEBHOOK)
    first, same, other = (told(n)[0]["id"] for n in range(3))
    assert first == same != other


@responses.activate
def test_a_stage_model_that_changes_no_journey_tells_nobody(kept):
    responses.post(URL)
    sync(kept, SCHEMA, record(1), destinations=WEBHOOK)
    model = {"categories": {"elsewhere": {"episode_gap": "P1D"}}}
    sync(kept, destinations=WEBHOOK, stage_model=model)
    assert len(responses.calls) == 1


@responses.activate
def test_rows_are_sent_in_batches(kept):
    responses.post(URL)
    three_in_twos = {"webhook": {"url": URL, "max_batch": 2}}
    messages = [record(n, scopes=[{"grain": "product", "id": str(n)}]) for n in range(5)]
    sync(kept, SCHEMA, *messages, destinations=three_in_twos)
    assert sorted(len(told(n)) for n in range(3)) == [1, 2, 2]


@responses.activate
def test_a_destination_that_is_new_is_told_everything(kept):
    sync(kept, SCHEMA, record(1))
    responses.post(URL)
    assert sync(kept, destinations=WEBHOOK).sent.sent == 1


@responses.activate
def test_transitions_are_told_one_by_one(kept):
    responses.post(URL)
    events = {"webhook": {"url": URL, "rows": ["transition"]}}
    sync(kept, SCHEMA, record(1), record(2, "order_placed"), destinations=events)
    (first,), (second,) = told(0), told(1)
    assert first["type"] == second["type"] == "journey.stage.changed"
    assert (first["data"]["stage"], second["data"]["stage"]) == ("considering", "receiving")
    assert second["data"]["previous_stage"] == "considering"
    sync(kept, SCHEMA, record(2, "order_placed"), destinations=events)
    assert len(responses.calls) == 2


def test_a_dry_run_writes_the_requests_and_sends_nothing(kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rehearsal = {"webhook": {"url": URL, "dry_run": True}}
    target = sync(kept, SCHEMA, record(1), destinations=rehearsal)
    (line,) = (tmp_path / "webhook.dry-run.jsonl").read_text().splitlines()
    assert json.loads(line)["url"] == URL
    assert target.exit_code == 0
    assert statuses(kept) == [("waiting", 0)]


@responses.activate
def test_secrets_go_to_the_destination_and_nowhere_else(kept, caplog):
    responses.post(URL, status=500)
    secret = "whsec_" + "c2VjcmV0c2VjcmV0"
    settings = {"webhook": {"url": URL, "token": "tok-1234", "secret": secret}}
    target = sync(kept, SCHEMA, record(1), destinations=settings)
    headers = responses.calls[0].request.headers
    assert headers["Authorization"] == "Bearer tok-1234"
    assert re.fullmatch(r"v1,[A-Za-z0-9+/=]{44}", headers["webhook-signature"])
    said = caplog.text + target.summary() + repr(target.settings)
    assert "tok-1234" not in said and secret not in said
    assert "tok-1234" not in kept.path.read_bytes().decode("latin-1")


@responses.activate
def test_rows_that_failed_together_are_tried_again_together(kept, watch):
    responses.post(URL, status=500)
    rows = [record(n, scopes=[{"grain": "product", "id": str(n)}]) for n in range(50)]
    responses.post(URL)
    assert sync(kept, SCHEMA, *rows, destinations=WEBHOOK).sent.sent == 50
    assert [len(told(n)) for n in range(len(responses.calls))] == [50, 50]
