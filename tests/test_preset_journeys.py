"""Presets and engine together: what customers went through, told by the golden records."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mapper_journeys.lines import LineMapper
from mapper_journeys.settings import load
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.stage_model import load as load_model
from target_journeys.stores.sqlite import SQLiteStore

GOLDEN = Path(__file__).parent / "golden/rules"
Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def told(tmp_path, request) -> Ask:
    """A store after the golden records of a preset, and how to ask it."""
    lines = (GOLDEN / f"preset_{request.param}/in.jsonl").read_bytes().splitlines()
    out, mapper = bytearray(), LineMapper(load({"presets": [request.param]}), lambda _: None)
    mapper.map_lines(lines, out)
    store = SQLiteStore(str(tmp_path / "journeys.db"))
    request.addfinalizer(store.close)
    ledger = Ledger(store, load_model("standard"), Outbox({}), datetime(2026, 2, 1, tzinfo=UTC))
    for line in bytes(out).splitlines():
        message = json.loads(line)
        add = ledger.add_event if message["stream"] == "journey_events" else ledger.add_product
        add(json.dumps(message["record"]).encode())
    ledger.close_run()
    return lambda sql: store.connection.execute(sql).fetchall()


def outcome(ask: Ask, subject: str, scope: str) -> str | None:
    (found,) = ask(
        f"select outcome from journey_stages where subject = '{subject}' and scope_id = '{scope}'"
    )
    return found[0]


@pytest.mark.parametrize("told", ["segment"], indirect=True)
def test_an_order_that_is_cancelled_without_products_ends_its_products_journeys(told):
    assert outcome(told, "user_id:cust-1", "X1-PRO") == "order_cancelled"
    assert outcome(told, "user_id:cust-1", "508a") == "order_cancelled"
    assert not told("select 1 from unresolved where reason like 'item%' or reason like '%customer'")
    (ids,) = told("select ids from customers where subject = 'user_id:cust-1'")
    assert {"user_id:cust-1", "anonymous_id:anon-0", "anonymous_id:anon-1"} <= set(
        json.loads(ids[0])
    )


@pytest.mark.parametrize("told", ["singer_io_stripe"], indirect=True)
def test_subscriptions_and_invoices_find_product_and_customer(told):
    stages = "select scope_id, stage, outcome from journey_stages where subject = '{}' order by 1"
    assert told(stages.format("email:ana@acme.test")) == [
        ("prod_1", "renewing", None),
        ("prod_2", "receiving", "churned"),
        ("prod_3", "receiving", None),
    ]


@pytest.mark.parametrize("told", ["singer_io_shopify"], indirect=True)
def test_refunds_and_payments_that_name_only_an_order_find_its_customer(told):
    assert outcome(told, "email:ana@acme.test", "gid://shopify/Product/1") == "returned"
    assert outcome(told, "email:guest@shop.test", "Gift wrap") == "order_cancelled"
    assert not told("select 1 from customers where subject like 'shopify_%/Order/%'")
    assert not told("select 1 from unresolved where reason like '%customer'")


@pytest.mark.parametrize("told", ["singer_io_zendesk"], indirect=True)
def test_audits_find_the_requester_and_leave_the_agent_alone(told):
    assert not told("select 1 from customers where subject like 'zendesk_ticket:%'")
    (found,) = told("select ids from customers where subject = 'email:ana@acme.test'")
    ids = json.loads(found[0])
    assert {"zendesk_user:209", "zendesk_ticket:35436"} <= set(ids)
    assert "zendesk_user:235" not in ids


@pytest.mark.parametrize("told", ["singer_io_salesforce"], indirect=True)
def test_stage_history_and_roles_that_name_only_an_opportunity_find_its_account(told):
    assert not told("select 1 from customers where subject like 'salesforce_opportunity:%'")
    account = "select stage, outcome from journey_stages where subject = 'salesforce_account:001A'"
    assert told(account) == [("using", "completed")]
    assert not told("select 1 from unresolved where reason like '%customer'")


@pytest.mark.parametrize("told", ["singer_io_hubspot", "meltanolabs_hubspot"], indirect=True)
def test_a_deal_waits_for_the_rule_that_names_its_product(told):
    assert ("item without product",) in told("select reason from unresolved where stream = 'deals'")
    assert told("select 1 from customers where subject = 'hubspot_company:901'")


@pytest.mark.parametrize("told", ["hubspot"], indirect=True)
def test_a_deal_that_was_lost_reopened_and_won_is_its_products_second_episode(told):
    episodes = (
        "select episode, stage, outcome from journey_stages"
        " where subject = '{}' and scope_id = 'X1-PRO' order by 1"
    )
    for subject in ("hubspot_company:9001", "email:ana@acme.test"):
        assert told(episodes.format(subject)) == [
            (1, "evaluating", "lost_other"),
            (2, "receiving", None),
        ]
    (ids,) = told("select ids from customers where subject = 'email:ana@acme.test'")
    assert {"hubspot_contact:501", "hubspot_contact:400", "email:ana@home.test"} <= set(
        json.loads(ids[0])
    )
    assert not told("select 1 from unresolved where reason like '%customer'")
