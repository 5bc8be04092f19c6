"""`journeys gaps` and `journeys explain --gap`, from messages to words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.target.messages import SCHEMA, record, sync

MANY = 60  # journeys of each month
LOST = {"2026-01": 12, "2026-02": 48}  # of these


def shop() -> Iterator[dict[str, Any]]:
    """Journeys that look at a product and put it into the cart, or turn away."""
    number = 0
    for month, lost in LOST.items():
        for n in range(MANY):
            subject = f"email:{month}-{n}@acme.test"
            kind = "lead_disqualified" if n < lost else "cart_added"
            for event_type, hour in (("product_viewed", 8), (kind, 9)):
                number += 1
                at = f"{month}-03T{hour:02}:00:00Z"
                more = {"subject": subject, "channel": "web", "occurred_at": at}
                yield record(number, event_type, value="20", currency="EUR", **more)


@pytest.fixture
def store(kept, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"store": f"sqlite:///{kept}"} | SETTINGS))
    sync(kept, SCHEMA, *shop(), as_of="2026-02-03T12:00:00Z", **SETTINGS)
    return kept


SETTINGS: dict[str, Any] = {"experience": {"recent": 1}}


def asked(tmp_path, *words: str) -> Any:
    config = ["--config", str(tmp_path / "config.json")]
    return CliRunner().invoke(main, [*words, *config], catch_exceptions=False)


def listed(tmp_path, *words: str) -> list[dict[str, Any]]:
    return json.loads(asked(tmp_path, "gaps", "--json", *words).output)


def test_what_the_last_run_found_is_listed_and_kept(store, tmp_path):
    found = listed(tmp_path)
    stage = next(gap for gap in found if not gap["topic"])
    assert (stage["type"], stage["stage"], stage["period"]) == (
        "drop_off",
        "considering",
        "2026-02",
    )
    assert (stage["reach"], stage["hits"]) == (MANY, LOST["2026-02"])
    assert stage["reference"] == LOST["2026-01"] / MANY
    assert [gap["rank"] for gap in found] == list(range(1, len(found) + 1))
    assert "48 of 60, 80%" in asked(tmp_path, "gaps").output
    assert store.ask("select count(*) from experience_gaps") == [(len(found),)]


def test_any_time_can_be_asked_for(store, tmp_path):
    as_kept = {gap["gap_id"]: gap["hits"] for gap in listed(tmp_path)}
    for words in (["--period", "2026-02"], ["--from", "2026-02-01", "--to", "2026-03-01"]):
        assert {gap["gap_id"]: gap["hits"] for gap in listed(tmp_path, *words)} == as_kept
    assert listed(tmp_path, "--period", "2026-01") == []
    assert listed(tmp_path, "--category", "another") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--period", "2020-01"], "Known: 2026-01 to 2026-02"),
        (["--from", "2026-02-01"], "give both"),
        (["--period", "2026-01", "--from", "2026-02-01"], "leave it out"),
    ],
)
def test_a_time_that_makes_no_sense_is_named(store, tmp_path, words, said):
    result = asked(tmp_path, "gaps", *words)
    assert result.exit_code == 2
    assert said in result.output


def test_feasibility_is_shown_apart_and_multiplied_last(store, tmp_path):
    (first, *_) = listed(tmp_path)
    asked(tmp_path, "gaps", "--feasibility", first["gap_id"], "0.5", "--note", "next quarter")
    (again, *_) = listed(tmp_path)
    assert (again["score"], again["feasibility"]) == (first["score"], 0.5)
    assert again["priority"] == pytest.approx(first["score"] / 2)
    assert store.ask("select note from gaps where rank = 1") == [("next quarter",)]
    sync(store, SCHEMA, *shop(), as_of="2026-02-03T12:00:00Z", **SETTINGS)
    assert listed(tmp_path)[0]["feasibility"] == 0.5  # people's word outlives a run


def test_a_gap_leads_to_its_journeys_and_events(store, tmp_path):
    gap = next(gap for gap in listed(tmp_path) if not gap["topic"])
    words = ["explain", "--gap", gap["gap_id"]]
    found = json.loads(asked(tmp_path, *words, "--json", "--limit", "0").output)
    assert found["total"] == len(found["journeys"]) == gap["hits"]
    assert {each["outcome"] for each in found["journeys"]} == {"disqualified"}
    types = {event["event_type"] for each in found["journeys"] for event in each["events"]}
    assert types == {"product_viewed", "lead_disqualified"}
    assert "20 of 48 journeys shown" in asked(tmp_path, *words).output
    unknown = asked(tmp_path, "explain", "--gap", "none")
    assert unknown.exit_code == 1
    assert "there is no gap none" in unknown.output
