"""Without consent a journey stays in the store, or there is none; and it is never written back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from target_journeys.destinations import DESTINATIONS
from tests.receiver import receiver
from tests.target.messages import SCHEMA, record, sync

GOLDEN = Path(__file__).parents[1] / "golden/requests"
ANA, BO = "email:ana@acme.test", "email:bo@acme.test"


def consent(number, kind, purpose="marketing", **more):
    return record(number, f"consent_{kind}", scopes=[], properties={"purpose": purpose}, **more)


@pytest.fixture
def told():
    with receiver() as found:
        yield found


@pytest.fixture
def run(kept, told):
    """A run that tells a destination for marketing."""
    webhook = {"url": told.url, "purpose": "marketing", "rows": ["record", "transition"]}
    return lambda *events, **config: sync(
        kept, SCHEMA, *events, destinations={"webhook": webhook}, **config
    )


def test_only_who_consented_is_written_back(kept, run, told):
    run(record(1), record(2, subject=BO), consent(3, "given", subject=BO))
    assert told.subjects() == [BO]
    assert {line["data"]["subject"] for line in told.lines} == {BO}
    assert kept.ask("select subject from journey_stages order by 1") == [(ANA,), (BO,)]


def test_a_consent_that_comes_later_lets_the_journey_out(run, told):
    run(record(1))
    assert told.lines == []
    run(consent(2, "given", "service"))
    assert told.lines == []
    run(consent(3, "given"))
    assert told.subjects() == [ANA]


def test_a_consent_that_is_withdrawn_takes_the_journey_back(kept, run, told):
    run(record(1), consent(2, "given"))
    run(consent(3, "withdrawn"), record(4, "cart_added"))
    assert told.records == {}
    before = len(told.lines)
    run(record(5, "order_placed"))
    assert len(told.lines) == before
    assert kept.ask("select stage from journey_stages") == [("receiving",)]
    run(consent(6, "given"))
    assert told.subjects() == [ANA]


def test_what_waits_when_consent_is_withdrawn_is_not_sent(kept):
    unreachable = {"url": "http://127.0.0.1:9/", "purpose": "marketing", "dry_run": True}
    unreachable["rows"] = ["record", "transition"]
    config = {"destinations": {"webhook": unreachable}}
    sync(kept, SCHEMA, record(1), consent(2, "given"), **config)
    assert kept.ask("select count(*) from outbox where status = 'waiting'") == [(2,)]
    sync(kept, SCHEMA, consent(3, "withdrawn"), **config)
    assert kept.ask("select count(*) from outbox where status = 'waiting'") == [(0,)]


def test_a_purpose_that_a_destination_gets_later_takes_back_what_was_told(kept, told):
    def run(**more):
        sync(kept, SCHEMA, destinations={"webhook": {"url": told.url} | more})

    sync(kept, SCHEMA, record(1), record(2, subject=BO), consent(3, "given"))
    run()
    assert told.subjects() == [ANA, BO]
    run(purpose="marketing")
    assert told.subjects() == [ANA]
    run()
    assert told.subjects() == [ANA, BO]


def test_without_consent_there_may_be_no_journey_at_all(kept):
    rule = {"consent": {"journeys": "service"}}
    company = {"account": "crm:acme"}
    sync(kept, SCHEMA, record(1, **company), record(2, subject=BO, **company), **rule)
    assert kept.ask("select * from journey_stages") == []
    sync(kept, SCHEMA, consent(3, "given", "service", subject=BO), **rule)
    counts = "select subject, event_count from journey_stages order by 1"
    assert kept.ask(counts) == [("crm:acme", 1), (BO, 1)]
    sync(kept, SCHEMA, consent(4, "withdrawn", "service", subject=BO), **rule)
    assert kept.ask(counts) == []
    assert kept.ask("select * from stage_visits where subject = ?", BO) == []
    sync(kept, SCHEMA)
    assert kept.ask(counts) == [("crm:acme", 2), (ANA, 1), (BO, 1)]


def test_consents_belong_to_the_person_not_to_one_id(kept, run, told):
    browser = "ga4_client:7"
    run(record(1, subject=browser), consent(2, "given"))
    assert told.subjects() == []
    run(record(3, "identity_linked", scopes=[], properties={"linked": browser}))
    assert told.subjects() == [ANA]
    ((consents,),) = kept.ask("select consents from customers where subject = ?", ANA)
    assert json.loads(consents) == {"marketing": True}


def settings_of(name: str, rows: str) -> dict | None:
    """Those of a destination's first golden request, or none where it takes no such rows."""
    case = json.loads(min((GOLDEN / name).glob("*.json")).read_text())
    given = {"purpose": "marketing", "dry_run": True, "rows": rows}
    try:
        DESTINATIONS[name].model_validate(case["settings"] | given)
    except ValidationError:
        return None
    return {"destinations": {name: case["settings"] | given}}


TAKES = [
    (name, rows)
    for name in DESTINATIONS
    for rows in ("record", "transition")
    if settings_of(name, rows)
]


@pytest.mark.parametrize(("name", "rows"), TAKES)
def test_every_destination_is_told_only_of_who_consented(name, rows, kept, tmp_path, monkeypatch):
    """A dry run shows what would be sent."""
    monkeypatch.chdir(tmp_path)
    config = settings_of(name, rows)

    def told(*events: dict) -> set[str]:
        sync(kept, SCHEMA, *events, **config)
        path = tmp_path / f"{name}.dry-run.jsonl"
        said = path.read_text() if path.exists() else ""
        return {who for who in (ANA, BO) if who.partition(":")[2] in said}

    both = record(6, "cart_added"), record(7, "cart_added", subject=BO)
    before = {BO} if rows == "record" else set()  # nobody is told of stages of before a consent
    assert told(record(1), record(2, subject=BO), consent(3, "given", "service")) == set()
    assert told(consent(4, "given", subject=BO)) == before
    assert told(consent(5, "given"), *both) == {ANA, BO}
    assert told(consent(8, "withdrawn", subject=BO)) == {ANA}


def test_no_destination_is_left_out():
    assert {name for name, _ in TAKES} == set(DESTINATIONS)
