"""What the analysis says of a real export, against the truth that SQL finds in the files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from journeys.kpis import NAMES, kpis
from target_journeys.stores.sqlite import SQLiteStore
from tests.pipes import ROOT, Pipe
from tests.test_real_data import DATA, files, table

RAVEN = DATA / "ravenstack_saas"
pytestmark = pytest.mark.skipif(not RAVEN.is_dir(), reason="needs the public event logs")


@pytest.fixture(scope="module")
def raven(tmp_path_factory) -> Iterator[Pipe]:
    pipe = Pipe(
        tmp_path_factory.mktemp("raven"),
        sources=files(
            raven_subscriptions={"path": str(RAVEN / "subscriptions.csv.gz")},
            raven_tickets={"path": str(RAVEN / "support_tickets.csv.gz")},
        ),
        rules_files=[str(ROOT / "tests/rules/ravenstack_plans.yml")],
    )
    pipe.run()
    yield pipe


def test_conversion_retention_and_csat_of_each_plan_are_those_of_sql(raven):
    truth = table("subscriptions", RAVEN / "subscriptions.csv.gz")
    shares = truth.execute(
        "select plan_tier, count(*), sum(is_trial = 'FALSE'), "
        "sum(is_trial = 'FALSE' and churn_flag = 'FALSE') from subscriptions group by 1"
    ).fetchall()
    tickets = table("tickets", RAVEN / "support_tickets.csv.gz")
    columns = [row[1] for row in tickets.execute("pragma table_info(tickets)")]
    truth.execute(f"create table tickets ({', '.join(columns)})")
    truth.executemany(
        f"insert into tickets values ({', '.join('?' * len(columns))})",
        tickets.execute("select * from tickets"),
    )
    answers = {
        plan: (n, mean)
        for plan, n, mean in truth.execute(
            "select plan_tier, count(*), avg(cast(satisfaction_score as real)) "
            "from subscriptions join tickets using (account_id) "
            "where satisfaction_score <> '' and substr(closed_at, 1, 10) >= start_date group by 1"
        )
    }
    store = SQLiteStore(str(raven.store), create=False)
    assert store.experience.categories() == sorted(plan for plan, *_ in shares)
    for plan, journeys, bought, kept in shares:
        counters = ((key, n) for key, n, _ in store.experience.counters(plan, NAMES))
        found = kpis(counters)["", ""]
        assert found["conversion"].n == journeys
        assert found["conversion"].found.value == pytest.approx(bought / journeys)
        assert found["retention"].n == bought
        assert found["retention"].found.value == pytest.approx(kept / bought)
        n, mean = answers[plan]
        assert (found["csat"].n, found["csat"].found.value) == (n, pytest.approx(mean))
        for figure in found.values():
            assert figure.found.low < figure.found.value < figure.found.high
    store.close()
