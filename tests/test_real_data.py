"""Real exports through all three plugins, against the truth that SQL finds in the files."""

from __future__ import annotations

import csv
import gzip
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipes import ROOT, SHARED, Pipe

DATA = SHARED / "data"
RETAIL = DATA / "online_retail_uci"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the public event logs")


def files(**streams: Any) -> dict[str, Any]:
    listed = [{"name": name, **settings} for name, settings in streams.items()]
    return {"files": {"streams": listed}}


def retail(path: Path | str) -> dict[str, Any]:
    return {
        "sources": files(retail_lines={"path": str(path)}),
        "rules_files": [str(ROOT / "tests/rules/online_retail.yml")],
    }


def table(name: str, *paths: Path) -> sqlite3.Connection:
    """The files as a table without exact duplicates, read by nothing of ours."""
    database = sqlite3.connect(":memory:")
    for number, path in enumerate(sorted(paths)):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        columns = ", ".join(f'"{column}"' for column in header)
        if number == 0:
            database.execute(f"create table every ({columns})")
        database.executemany(f"insert into every values ({', '.join('?' * len(header))})", rows)
    database.execute(f"create table {name} as select distinct * from every")
    return database


@pytest.fixture(scope="module")
def truth() -> sqlite3.Connection:
    return table("lines", *RETAIL.glob("*.csv.gz"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path_factory.mktemp("retail"), **retail(RETAIL / "*.csv.gz"))
    pipe.run()
    yield pipe


def counted(database: sqlite3.Connection, sql: str) -> int:
    return database.execute(f"select count(*) from ({sql})").fetchone()[0]


def test_every_line_is_one_event_and_duplicates_have_no_effect(whole, truth):
    assert whole.ask("select count(*) from events") == [(counted(truth, "select * from lines"),)]


def test_there_is_one_journey_per_customer_and_item(whole, truth):
    pairs = "select distinct CustomerID, StockCode from lines where CustomerID <> ''"
    ours = whole.ask(
        "select distinct substr(subject, length('customer:') + 1), scope_id from journey_stages"
    )
    assert sorted(ours) == sorted(truth.execute(pairs).fetchall())


def test_items_bought_on_two_or_more_days(whole, truth):
    bought = """select CustomerID, StockCode from lines
        where CustomerID <> '' and InvoiceNo not like 'C%'
        group by 1, 2 having count(distinct substr(InvoiceDate, 1, 10)) >= 2"""
    ours = """select substr(subject, length('customer:') + 1), scope_id from stage_visits
        where stage = 'receiving' and retracted_at is null
        group by 1, 2 having count(distinct substr(entered_at, 1, 10)) >= 2"""
    assert sorted(whole.ask(ours)) == sorted(truth.execute(bought).fetchall())


def test_items_whose_latest_event_is_a_cancellation_are_returned(whole, truth):
    cancelled = """select CustomerID, StockCode from (
            select *, row_number() over (partition by CustomerID, StockCode
                order by InvoiceDate desc, InvoiceNo like 'C%' desc) as latest
            from lines where CustomerID <> '')
        where latest = 1 and InvoiceNo like 'C%'"""
    ours = """select substr(subject, length('customer:') + 1), scope_id from (
            select *, max(episode) over (partition by subject, scope_id) as last
            from journey_stages)
        where episode = last and outcome = 'returned'"""
    assert sorted(whole.ask(ours)) == sorted(truth.execute(cancelled).fetchall())


def test_lines_without_a_customer_are_counted(whole, truth):
    lost = counted(truth, "select * from lines where CustomerID = ''")
    assert whole.ask("select * from unresolved") == [("retail_lines", "no customer", lost)]


def test_a_second_run_has_nothing_to_do(whole):
    before = whole.export()
    assert "0 events (0 new), 0 stages changed" in whole.run()
    assert whole.export() == before


def test_shuffled_lines_give_the_same_journeys(whole, truth, tmp_path):
    lines = truth.execute("select * from lines").fetchall()
    random.Random(7).shuffle(lines)
    header = [column[0] for column in truth.execute("select * from lines").description]
    with (tmp_path / "shuffled.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    pipe = Pipe(tmp_path, **retail("shuffled.csv"))
    pipe.run()
    assert pipe.export() == whole.export()


def test_a_run_per_month_gives_the_same_journeys(whole, tmp_path):
    pipe = Pipe(tmp_path, **retail("*.csv.gz"))
    for month in sorted(RETAIL.glob("*.csv.gz")):
        (tmp_path / month.name).symlink_to(month)
        pipe.run()
    assert pipe.export() == whole.export()


def test_a_run_killed_twenty_times_gives_the_same_journeys(whole, tmp_path):
    with (tmp_path / "lines.csv").open("wb") as joined:  # unzipped, so that it resumes inside
        for number, month in enumerate(sorted(RETAIL.glob("*.csv.gz"))):
            content = gzip.decompress(month.read_bytes())
            joined.write(content if number == 0 else content.split(b"\n", 1)[1])
    pipe = Pipe(tmp_path, **retail("lines.csv"))
    moments = random.Random(11)
    for _ in range(20):
        pipe.run_for(moments.uniform(0.4, 2.5))
    pipe.run()
    assert pipe.export() == whole.export()


@pytest.fixture(scope="module")
def sales(tmp_path_factory) -> Pipe:
    folder = DATA / "crm_sales_opportunities"
    pipe = Pipe(
        tmp_path_factory.mktemp("sales"),
        sources=files(
            crm_products={"path": str(folder / "products.csv.gz"), "primary_keys": ["product"]},
            crm_pipeline={
                "path": str(folder / "sales_pipeline.csv.gz"),
                "primary_keys": ["opportunity_id"],
            },
        ),
        rules_files=[str(ROOT / "tests/rules/crm_sales.yml")],
    )
    pipe.run()
    return pipe


@pytest.fixture(scope="module")
def deals() -> sqlite3.Connection:
    database = table("deals", DATA / "crm_sales_opportunities/sales_pipeline.csv.gz")
    database.execute("update deals set product = 'GTX Pro' where product = 'GTXPro'")
    return database


def test_each_account_has_one_journey_per_product_that_it_was_engaged_with(sales, deals):
    pairs = """select distinct 'crm:' || account, product from deals
        where account <> '' and engage_date <> ''"""
    ours = "select distinct subject, scope_id from journey_stages"
    assert sorted(sales.ask(ours)) == sorted(deals.execute(pairs).fetchall())


def test_an_alias_leads_to_the_product(sales):
    assert sales.ask("select 1 from journey_stages where scope_id = 'GTXPro'") == []
    events = "select count(*) from events where scopes like '%GTXPro%'"
    assert sales.ask(events)[0][0] > 700


def test_account_and_product_pairs_with_a_won_deal(sales, deals):
    won = """select distinct 'crm:' || account, product from deals
        where account <> '' and deal_stage = 'Won'"""
    ours = """select distinct subject, scope_id from stage_visits
        where stage = 'receiving' and retracted_at is null"""
    assert sorted(sales.ask(ours)) == sorted(deals.execute(won).fetchall())


def test_deals_without_an_account_are_counted(sales, deals):
    nobody = """select opportunity_id from deals where account = '' and engage_date <> ''
        union all select opportunity_id from deals where account = '' and close_date <> ''"""
    assert sales.ask("select * from unresolved") == [
        ("crm_pipeline", "no customer", counted(deals, nobody))
    ]


def test_usage_that_names_only_a_subscription_finds_account_and_plan(tmp_path):
    folder = DATA / "ravenstack_saas"
    streams = {
        "raven_accounts": "accounts",
        "raven_subscriptions": "subscriptions",
        "raven_usage": "feature_usage",
        "raven_tickets": "support_tickets",
    }
    pipe = Pipe(
        tmp_path,
        sources=files(
            **{name: {"path": str(folder / f"{file}.csv.gz")} for name, file in streams.items()}
        ),
        rules_files=[str(ROOT / "tests/rules/ravenstack.yml")],
    )
    pipe.run()
    truth = table("subscriptions", folder / "subscriptions.csv.gz")
    truth.execute("alter table every rename to old")
    usage = table("usage", folder / "feature_usage.csv.gz")
    plans = dict(
        truth.execute("select subscription_id, account_id || ' ' || plan_tier from subscriptions")
    )
    used = {plans[name] for (name,) in usage.execute("select distinct subscription_id from usage")}
    ours = pipe.ask(
        "select distinct subject || ' ' || scope_id from journey_stages "
        "where json_extract(regions, '$.engagement.state') is not null or outcome is not null"
    )
    engaged = {f"raven:{name}" for name in used}
    assert engaged <= {name for (name,) in ours}
    assert not pipe.ask("select 1 from journey_stages where subject like 'subscription:%'")
    tickets = table("tickets", folder / "support_tickets.csv.gz")
    reasons = dict(pipe.ask("select stream || ': ' || reason, count from unresolved"))
    assert reasons["raven_tickets: no product"] == counted(tickets, "select * from tickets")
