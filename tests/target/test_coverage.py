"""`journeys check` on a store: what is doubted is one line with the next thing to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys import coverage
from target_journeys.check import of_store
from target_journeys.cli import main
from target_journeys.settings import read_settings
from target_journeys.stage_model import load
from target_journeys.stores import open_store
from tests.target.messages import SCHEMA, product, products_schema, record, sync

OFTEN = coverage.ENOUGH


@pytest.fixture
def warned(kept):
    """Runs the messages, then tells the warnings of a check."""

    def run(*messages: dict[str, Any], **config: Any) -> list[str]:
        sync(kept, SCHEMA, *messages, **config)
        settings = read_settings({"store": f"sqlite:///{kept}"} | config)
        store = open_store(settings.store, create=False, migrate=False)
        before = store.connection.total_changes, kept.ask("pragma data_version")
        found = list(of_store(store, load(settings.stage_model), settings))
        assert before == (store.connection.total_changes, kept.ask("pragma data_version"))
        store.close()
        return [text for level, text in found if level == "warning"]

    return run


def test_a_store_without_doubts_has_no_warnings(warned):
    assert warned(record(1), record(2, "order_placed")) == []


def test_maps_are_due_for_a_review_some_time_after_the_last(kept, tmp_path):
    laptop = product(product_id="P", name="Laptop", category="laptops")
    sync(kept, products_schema(), laptop, SCHEMA, record(1))
    config = tmp_path / "config.json"

    def ask(day: str, *words: str) -> str:
        at = f"{day}T00:00:00Z"
        config.write_text(json.dumps({"store": f"sqlite:///{kept}", "as_of": at}))
        return CliRunner().invoke(main, [*words, "--config", str(config)]).output

    assert "ok      maps: never reviewed: laptops; look with" in ask("2026-03-01", "check")
    ask("2026-03-01", "review", "laptops")
    assert "laptops" not in ask("2026-05-01", "check")
    assert "warning maps: due for a review: laptops; look with" in ask("2026-07-01", "check")


def test_records_without_a_rule_are_counted_by_stream(warned):
    other = SCHEMA | {"stream": "tickets", "key_properties": ["id"]}
    rows = [{"type": "RECORD", "stream": "tickets", "record": {"id": each}} for each in range(3)]
    assert warned(other, *rows) == [
        "tickets: no rule reads this stream (3); write a rule for it, or deselect it in the tap"
    ]


def test_records_that_a_rule_could_not_read_are_counted_apart_from_events(warned):
    refused = SCHEMA | {"stream": "unmapped_records", "key_properties": ["stream", "rule", "key"]}
    row = {"stream": "web_events", "rule": "r", "key": "7", "reason": "`occurred_at` is no time"}
    said = {"type": "RECORD", "stream": "unmapped_records", "record": row}
    assert warned(record(1), refused, said) == [
        "web_events: `occurred_at` is no time (1); `unmapped_records` names its records and rules"
    ]


def test_events_without_a_product_are_counted_of_all_of_their_stream(warned):
    (line,) = warned(record(1), record(2, scopes=[]))
    assert line == "web_events: no product (1 of 2 events); give its rule `scopes`"


def test_a_stage_of_the_crm_that_means_nothing_is_named_with_its_pipeline(warned):
    said = warned(
        record(1, "opportunity_stage_changed", properties={"pipeline": "p1", "stage": "Legal"}),
        record(2, "opportunity_stage_changed", properties={"stage": "contractsent"}),
    )
    assert said[-1] == (
        "stage_model: CRM stage 'Legal' of pipeline 'p1' means no stage (1 events); "
        "add it under stage_model.defaults.pipelines"
    )
    assert not any("contractsent" in line for line in said)


def test_a_promise_and_an_own_stage_without_events_are_named(warned):
    model = {
        "defaults": {"promises": {"quick": {"metric": "first_reply", "within": "PT4H"}}},
        "event_types": {"demo_given": None},
    }
    (line,) = warned(record(1), stage_model=model)
    assert line.startswith("stage_model: promise 'quick' never fell due, for no `ticket_opened`")
    assert warned(record(2, "ticket_opened"), stage_model=model) == []


def test_events_ahead_of_the_clock_are_named_by_stream(warned):
    later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (line,) = warned(record(1), record(2, occurred_at=later))
    assert line.startswith(
        "web_events: 1 of 2 events lie in the future; check this machine's clock"
    )


def test_a_clock_that_went_back_is_said(warned, kept):
    warned(record(1))
    columns = "run, destination, started_at, ended_at, sent, refused, waiting, unknown"
    store = open_store(f"sqlite:///{kept}")
    store.connection.execute(
        f"insert into deliveries ({columns}) values ('r', 'd', 'x', '2999-01-01T00:00:00Z', "
        "0, 0, 0, 0)"
    )
    store.close()
    assert any("the last delivery ended 2999-01-01T00:00:00Z; set the clock" in x for x in warned())


@pytest.mark.parametrize(
    ("minute", "words"), [("00:00", "at midnight UTC"), ("13:00", "at whole hours")]
)
def test_a_stream_that_is_cut_to_days_or_hours_is_doubted(warned, minute, words):
    days = [f"2026-01-{day:02}T{minute}:00Z" for day in range(1, OFTEN + 1)]
    events = [record(number, occurred_at=at) for number, at in enumerate(days)]
    (line,) = warned(*events)
    assert words in line
    assert "state `timezone`" in line
    assert warned(record(99, occurred_at="2026-01-01T10:15:00Z")) == []


def test_a_subject_with_extremely_many_events_is_named(warned, monkeypatch):
    monkeypatch.setattr(coverage, "BUSY_EVENTS", 10)
    monkeypatch.setattr(coverage, "BUSY_TIMES_MEAN", 1)
    bot = [record(each, subject="ip:203.0.113.9") for each in range(12)]
    (line,) = warned(record(20), record(21), *bot)
    assert line.startswith("ip:203.0.113.9: 12 events of one person; if it is a bot")


def test_a_forgotten_as_of_is_told_without_a_warning(kept):
    sync(kept, SCHEMA, record(1))
    settings = read_settings({"store": f"sqlite:///{kept}", "as_of": "2026-01-05T00:00:00Z"})
    store = open_store(settings.store, migrate=False)
    found = list(of_store(store, load(settings.stage_model), settings))
    store.close()
    told = [level for level, text in found if text.startswith("as_of: conditions are judged at")]
    assert told == ["ok"]
