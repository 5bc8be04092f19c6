"""Maps in the store: drawn by a run, compared, reviewed; and what was done about gaps."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.target.messages import SCHEMA, product, products_schema, record, sync

AS_OF = "2026-04-01T00:00:00Z"
START = datetime(2026, 1, 1, tzinfo=UTC)


def visits(month: int, people: int, bought: int, start: int) -> list[str]:
    """People who put a shoe into the cart in a month, some of whom buy it an hour later."""
    found = []
    for person in range(people):
        at = START.replace(month=month) + timedelta(hours=person)
        who = {"subject": f"email:{month}-{person}@acme.test"}
        shoe = {"scopes": [{"grain": "product", "id": "S"}], "channel": "web", **who}
        steps = ["product_viewed", "cart_added", "order_placed"][: 3 if person < bought else 2]
        for n, kind in enumerate(steps):
            moment = (at + timedelta(minutes=n * 30)).strftime("%Y-%m-%dT%H:%M:%SZ")
            found.append(record(start + person * 3 + n, kind, occurred_at=moment, **shoe))
    return found


SHOES = [
    products_schema(),
    product(product_id="S", name="Shoe", category="shoes"),
    SCHEMA,
    *visits(1, 50, 40, 0),
    *visits(2, 50, 40, 1_000),
    *visits(3, 50, 10, 2_000),
]


@pytest.fixture
def ask(kept, tmp_path):
    """Runs `journeys` on the store; (exit code, output)."""
    sync(kept, *SHOES, as_of=AS_OF, experience={"recent": 1})
    config = tmp_path / "config.json"
    settings = {"store": f"sqlite:///{kept}", "as_of": AS_OF, "experience": {"recent": 1}}
    config.write_text(json.dumps(settings))

    def asked(*words: str) -> tuple[int, str]:
        found = CliRunner().invoke(main, [*words, "--config", str(config)])
        return found.exit_code, found.output

    return asked


def as_json(ask, *words: str) -> Any:
    code, said = ask(*words, "--json")
    assert code == 0
    return json.loads(said)


def test_each_period_has_its_map_and_the_latest_is_shown(ask):
    assert as_json(ask, "map")[0]["latest"] == "2026-03"
    latest = as_json(ask, "map", "shoes")
    assert (latest["period"], latest["journeys"]["all"]) == ("2026-03", 50)
    assert latest["journeys"]["bought"] == 10


def test_several_periods_are_drawn_together(ask):
    both = as_json(ask, "map", "shoes", "--period", "2026-01..2026-02")
    assert (both["journeys"]["all"], both["journeys"]["bought"]) == (100, 80)
    code, said = ask("map", "shoes", "--period", "2026-01..2026-02")
    assert code == 0
    assert "100 journeys began" in said


def test_what_changed_since_another_period_is_told_with_its_size(ask):
    words = ("map", "shoes", "--period", "2026-03", "--against", "2026-02")
    found = as_json(ask, *words)
    named = {each["what"]: each for each in found["changes"]}
    assert named["progress of buying"]["difference"] < -0.5
    assert found["drift"]["p"] < 0.001
    assert "progress of buying" in ask(*words)[1]
    assert (
        "no share changed" in ask("map", "shoes", "--period", "2026-02", "--against", "2026-01")[1]
    )


def test_an_unknown_category_or_period_is_answered_with_what_there_is(ask):
    code, said = ask("map", "boots")
    assert code == 1
    assert "There is no map of 'boots'. There are: shoes." in said
    code, said = ask("map", "shoes", "--period", "2025-01")
    assert code == 1
    assert "It has from 2026-01 to 2026-03" in said


def test_a_map_keeps_its_revision_until_its_journeys_change(kept, ask):
    revisions = "select period, revision from journey_maps where persona = '' order by 1"
    ask("map", "shoes")  # older maps are drawn when somebody asks
    sync(kept, *SHOES, as_of=AS_OF, experience={"recent": 1})
    assert kept.ask(revisions) == [("2026-01", 1), ("2026-02", 1), ("2026-03", 1)]
    late = visits(2, 51, 0, 5_000)[-2:]
    sync(kept, SCHEMA, *late, as_of=AS_OF, experience={"recent": 1})
    assert kept.ask("select * from stale_maps") == [("shoes", "2026-02")]
    ask("map", "shoes")
    assert kept.ask("select * from stale_maps") == []
    assert kept.ask(revisions) == [("2026-01", 1), ("2026-02", 2), ("2026-03", 1)]


def test_the_maps_of_many_runs_are_those_of_one(kept, ask, tmp_path):
    whole = "select category, persona, period, body from journey_maps order by 1, 2, 3"
    ask("map", "shoes")
    one = kept.ask(whole)
    kept.path = tmp_path / "many.db"
    for part in (SHOES[:60], SHOES[60:200], SHOES[200:]):
        head = [] if part[0] == SHOES[0] else SHOES[:3]
        sync(kept, *head, *part, as_of=AS_OF, experience={"recent": 1})
    settings = {"store": f"sqlite:///{kept}", "as_of": AS_OF, "experience": {"recent": 1}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    ask("map", "shoes")
    assert kept.ask(whole) == one


def test_a_review_is_due_until_people_have_looked(ask):
    assert as_json(ask, "map")[0]["review_due"] is True
    assert ask("review", "shoes", "--note", "checkout is slow")[0] == 0
    assert as_json(ask, "map")[0]["review_due"] is False
    assert ask("review", "boots")[0] == 1


def test_an_action_is_told_with_what_came_after_it(kept, ask):
    ((gap,),) = kept.ask("select gap_id from experience_gaps where type = 'drop_off' limit 1")
    assert ask("act", gap, "new checkout", "--since", "2026-03-01")[0] == 0
    (found,) = as_json(ask, "actions")
    assert found["what"] == "new checkout"
    assert (found["before"]["n"], found["after"]["n"]) == (100, 50)
    assert found["difference"]["low"] > 0  # it got worse, and that is said
    assert "new checkout" in ask("actions")[1]
    assert ask("act", "nothing", "else") == (
        1,
        "Error: There is no gap 'nothing'. `journeys gaps` lists them.\n",
    )


def test_explain_says_what_came_next_for_those_who_stood_there_as_long(ask):
    who = "email:1-45@acme.test"  # emptied the cart, and has been considering since
    (journey,) = as_json(ask, "explain", who, "S")["journeys"]
    assert journey["stage"] == "considering"
    assert journey["outlook"]["ways"] == []  # all others went on within the hour
    assert "next: too few stays to say" in ask("explain", who, "S")[1]
