"""`journeys explain` tells what moved no journey and why, and what would move it next."""

from __future__ import annotations

import json

from click.testing import CliRunner

from target_journeys.cli import main
from tests.target.messages import SCHEMA, record, sync

ANA = "email:ana@acme.test"


def ask(kept, tmp_path, *words, **config):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{kept}"} | config))
    return CliRunner().invoke(main, ["explain", *words, "--config", str(path)])


def events():
    return [
        record(1, "product_viewed"),
        record(2, "ad_seen"),
        record(3, "ad_seen"),
        record(4, "cart_added", scopes=[]),
        record(5, "order_placed"),
        record(6, "product_viewed", supersedes=f"{5:032x}"),
    ]


def test_what_was_ignored_is_told_with_the_reason_and_the_latest_record(kept, tmp_path):
    sync(kept, SCHEMA, *events())
    for words in ([ANA], [ANA, "P"]):
        said = ask(kept, tmp_path, *words).output
        assert (
            "  ignored: 2 ad_seen of web_events, last 3 of 2026-01-01T03:00:00Z: an impression "
            "opens no journey\n"
        ) in said
        assert (
            "  ignored: 1 order_placed of web_events, last 5 of 2026-01-01T05:00:00Z: another "
            "event corrects it\n"
        ) in said
        assert "  ignored: 1 events of web_events: it names no product\n" in said
        assert said.count("ignored:") == 3


def test_the_next_stages_are_told_with_what_enters_them(kept, tmp_path):
    sync(kept, SCHEMA, record(1))
    said = ask(kept, tmp_path, ANA, "P").output
    assert "  to evaluating: " in said
    assert "  to buying: cart_added" in said
    assert "to aware" not in said
    (journey,) = json.loads(ask(kept, tmp_path, ANA, "--json").output)["journeys"]
    ahead = {each["stage"]: each["entered_by"] for each in journey["next_stages"]}
    assert "order_placed" in ahead["receiving"]
    assert "considering" not in ahead


def test_only_the_stages_of_the_category_lie_ahead(kept, tmp_path):
    model = {"defaults": {"stages": ["considering", "receiving", "using"]}}
    sync(kept, SCHEMA, record(1), stage_model=model)
    found = json.loads(ask(kept, tmp_path, ANA, "--json", stage_model=model).output)
    ahead = [each["stage"] for each in found["journeys"][0]["next_stages"]]
    assert ahead == ["receiving", "using"]


def test_a_journey_that_ended_has_nothing_ahead(kept, tmp_path):
    sync(kept, SCHEMA, record(1), record(2, "opportunity_lost", properties={"reason": "price"}))
    found = json.loads(ask(kept, tmp_path, ANA, "--json").output)
    assert [each["next_stages"] for each in found["journeys"]] == [[]]


def test_events_of_a_type_that_the_model_does_not_know_are_told(kept, tmp_path):
    sync(kept, SCHEMA, record(1), record(2, "lamp_rubbed"))
    said = ask(kept, tmp_path, ANA).output
    assert "ignored: 1 lamp_rubbed of web_events, last 2 of " in said
    assert "the stage model does not know this event type" in said


def test_an_id_without_a_namespace_is_asked_for_one(kept, tmp_path):
    sync(kept, SCHEMA, record(1))
    asked = ask(kept, tmp_path, "ana@acme.test")
    assert asked.exit_code == 1
    assert "SUBJECT has no namespace; write email:" in asked.output
    assert "namespace" not in ask(kept, tmp_path, "email:nobody@acme.test").output


def test_a_stage_model_that_cannot_be_used_ends_with_2(kept, tmp_path):
    sync(kept, SCHEMA, record(1))
    asked = ask(kept, tmp_path, ANA, stage_model="nowhere.yml")
    assert asked.exit_code == 2
    assert "stage_model: nowhere.yml cannot be read" in asked.output
