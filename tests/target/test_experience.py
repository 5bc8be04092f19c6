"""Counters and gaps of a store: true after any runs, and traced to journeys."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target_journeys.counting import counted
from target_journeys.experience import Experience
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.stores.sqlite import SQLiteStore
from tests.target.messages import SCHEMA, products_schema, record, sync
from tests.target.test_ledger_properties import AS_OF, MODEL, histories


def after_runs(runs: list[list[dict[str, Any]]], store: SQLiteStore) -> Experience:
    """The analysis after these runs, one after the other."""
    experience = Experience(store, MODEL, AS_OF)
    for messages in runs:
        ledger = Ledger(store, MODEL, Outbox({}), AS_OF)
        for message in messages:
            body = json.dumps(message).encode()
            if "product_id" in message:
                ledger.add_product(body)
            else:
                ledger.add_event(body)
        experience.prepare()
        ledger.close_run()
        experience.update()
    return experience


def kept(store: SQLiteStore) -> dict[tuple[str, ...], tuple[int, int]]:
    """The counters that the store keeps."""
    return {
        key: (n, total)
        for category in store.experience.categories()
        for key, n, total in store.experience.counters(category)
    }


def test_a_category_that_learns_knows_stalled_from_its_own_journeys(kept):
    product = {"type": "RECORD", "stream": "products", "record": {"product_id": "P"}}
    product["record"] |= {"category": "toys"}
    quick = [
        record(2 * n + k, kind, subject=f"email:{n}@acme.test")
        for n in range(40)
        for k, kind in enumerate(("product_viewed", "cart_added"))
    ]
    waiting = record(0, "product_viewed", event_id="w", subject="email:slow@acme.test")
    model = {"categories": {"toys": {"stall_rule": "learned", "cart_abandoned_after": "P90D"}}}
    ask = "select condition from journey_stages where subject = 'email:slow@acme.test'"
    config: dict[str, Any] = {"stage_model": model, "as_of": "2026-01-05T00:00:00Z"}
    messages = [products_schema(), product, SCHEMA, *quick, waiting]
    sync(kept, *messages, **config)
    assert kept.ask(ask) == [("on_track",)]  # after four days, as declared
    sync(kept, SCHEMA, **config)
    assert kept.ask(ask) == [("stalled",)]  # where others take an hour
    before = kept.ask("select * from measures order by 1, 2, 3, 4, 5, 6, 7, 8")
    sync(kept, SCHEMA, **config)
    assert kept.ask("select * from measures order by 1, 2, 3, 4, 5, 6, 7, 8") == before


@given(histories(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_counters_after_any_runs_are_those_from_scratch(events, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=1, max_size=3)))
    runs = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(str(Path(folder) / "journeys.db"))
        experience = after_runs(runs, store)
        scratch = counted(store.experience.journeys(), experience.how)
        assert kept(store) == {key: (n, total) for key, (n, total) in scratch.items()}
        sums: dict[tuple[str, ...], int] = {}
        for key, (n, _) in scratch.items():
            sums[key[:-1]] = sums.get(key[:-1], 0) + n
        stored = store.connection.execute(
            "select category, name, bucket, persona, stage, channel, product, n from measure_sums"
        )
        assert {tuple(key): n for *key, n in stored} == sums
        assert not list(store.experience.changed())
        store.close()
