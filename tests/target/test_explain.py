"""`journeys explain` and its sisters: the evidence in order, for people and for programs."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.target.messages import SCHEMA, five_products, product, products_schema, record, sync

ANA = "email:ana@acme.test"


@pytest.fixture
def ask(kept, tmp_path):
    """Runs `journeys` on a store with one customer of five products."""
    link = record(18, "identity_linked", scopes=[], properties={"linked": "ga4_client:7"})
    laptop = product(product_id="C", name="Laptop Pro", category="laptops", aliases=["LP"])
    as_of = "2026-01-01T20:00:00Z"
    sync(kept, SCHEMA, *five_products(), link, products_schema(), laptop, as_of=as_of)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}"}))
    return lambda *words: CliRunner().invoke(main, [*words, "--config", str(config)])


def test_a_customer_with_five_products_reads_as_five_headlines(ask):
    said = ask("explain", ANA).output.splitlines()
    assert said[0] == ANA
    headlines = ("Considering", "Buying", "Using", "Returning", "Seeking support")
    for name, headline in zip(["A", "B", "Laptop Pro (C)", "D", "E"], headlines, strict=True):
        (line,) = (line for line in said if f" {name} " in line)
        assert line.split("  ")[1].strip() == headline


def test_any_id_of_a_customer_leads_to_them_and_the_link_is_told(ask):
    said = ask("explain", "ga4_client:7").output
    assert said == ask("explain", ANA).output
    assert f"{ANA} is ga4_client:7, by web_events 18 of 2026-01-01T18:00:00Z" in said


def test_links_that_were_refused_or_taken_back_are_told_with_the_reason(kept, tmp_path):
    def link(number, other, kind="identity_linked"):
        return record(number, kind, scopes=[], properties={"linked": other})

    links = [
        link(1, "email:info@acme.test"),
        link(2, "ga4_client:7"),
        link(3, "ga4_client:8"),
        link(4, "crm:9"),
        link(5, "crm:9", "identity_unlinked"),
    ]
    rules = {"namespaces": {"ga4_client": 1}}
    sync(kept, SCHEMA, *links, identity=rules)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}", "identity": rules}))
    asked = CliRunner().invoke(main, ["explain", ANA, "--config", str(config)])
    said = [line.strip().partition(", by ")[0] for line in asked.output.splitlines()]
    assert said[:5] == [
        ANA,
        f"{ANA} is not joined with email:info@acme.test (shared id)",
        f"{ANA} is ga4_client:7",
        f"{ANA} is not joined with ga4_client:8 (too many ga4_client ids)",
        f"crm:9 is no longer {ANA}",
    ]
    other = CliRunner().invoke(main, ["explain", "ga4_client:8", "--config", str(config)])
    assert "is not joined with ga4_client:8 (too many ga4_client ids)" in other.output


@pytest.mark.parametrize("name", ["C", "LP", "Laptop Pro", "laptops"])
def test_a_product_is_found_by_id_name_alias_and_category(ask, name):
    said = ask("explain", ANA, name).output
    assert "Laptop Pro (C), laptops, episode 1: Using" in said
    steps = [line.split() for line in said.splitlines() if "web_events" in line and "T0" in line]
    assert [step[1:] for step in steps] == [
        ["receiving", "order_placed", "web_events", "4"],
        ["using", "order_delivered", "web_events", "5"],
    ]


def test_programs_get_json(ask):
    found = json.loads(ask("explain", ANA, "E", "--json").output)
    (journey,) = found["journeys"]
    assert journey["regions"]["support"]["open"] == ["9"]
    assert journey["steps"][0]["by"]["source_key"] == "8"


def test_somebody_unknown_has_no_journeys(ask):
    result = ask("explain", "email:nobody@acme.test")
    assert (result.exit_code, "no journeys" in result.output) == (1, True)


def test_deliver_and_refused_say_what_is_left(ask):
    assert ask("deliver").output == "0 sent, 0 waiting, 0 refused\n"
    assert ask("refused", "--json").output == "[]\n"


def test_a_store_that_does_not_exist_is_not_made(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{tmp_path}/none.db"}))
    result = CliRunner().invoke(main, ["explain", ANA, "--config", str(config)])
    assert (result.exit_code, "does not exist. Run a sync first" in result.output) == (2, True)
    assert not (tmp_path / "none.db").exists()


def test_a_wrong_configuration_ends_with_2(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"stroe": 1}')
    result = CliRunner().invoke(main, ["explain", ANA, "--config", str(config)])
    assert (result.exit_code, "Setting 'stroe' is unknown" in result.output) == (2, True)


def test_what_a_journey_was_like_is_told_plainly(kept, tmp_path):
    model = {"defaults": {"promises": {"solved soon": {"metric": "resolution", "within": "PT2H"}}}}
    events = [
        record(1, "cart_added", value="49.90", currency="EUR", channel="web"),
        record(2, "goal_stated", properties={"goal": "a quiet office"}),
        record(3, "ticket_opened", properties={"ticket": "T1"}, channel="email"),
        record(4, "ticket_opened", properties={"ticket": "T2"}, channel="phone"),
        record(9, "ticket_resolved", properties={"ticket": "T2"}),
    ]
    sync(kept, SCHEMA, *events, stage_model=model, as_of="2026-01-01T10:00:00Z")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}"}))
    asked = CliRunner().invoke(main, ["explain", ANA, "P", "--config", str(config)])
    said = [line.strip() for line in asked.output.splitlines()]
    for line in (
        "in the way: ticket since 2026-01-01T03:00:00Z, ours, by web_events 3",
        "was in the way: ticket from 2026-01-01T04:00:00Z to 2026-01-01T09:00:00Z",
        "promise 'solved soon': missed, from 2026-01-01T03:00:00Z, due 2026-01-01T05:00:00Z, "
        "by web_events 3",
        "promise 'solved soon': missed, from 2026-01-01T04:00:00Z, due 2026-01-01T06:00:00Z, "
        "took 5.0 hours, by web_events 9",
        "goal: a quiet office, open, stated 2026-01-01T02:00:00Z",
        "had to say the same again: 1 times",
        "last step: ticket_resolved, 2026-01-01T09:00:00Z",
        "worth 49.90 EUR",
    ):
        assert line in said
    assert any(line.startswith("what moves it next: ticket has to go (ours)") for line in said)
