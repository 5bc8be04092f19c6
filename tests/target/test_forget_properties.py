"""Whatever somebody did: once forgotten they are gone, and the same events change nothing more."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from target_journeys.experience import Experience
from target_journeys.forget import forget
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.proof import holds
from target_journeys.stores.sqlite import SQLiteStore
from tests.target.test_ledger_properties import AS_OF, MODEL, PEOPLE, TABLES, histories

COMPARED = (*TABLES, "event_log", "facts", "stage_visits", "scope_names", "pairs", "forgotten")


@contextmanager
def opened() -> Iterator[SQLiteStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(str(Path(folder) / "journeys.db"))
        yield store
        store.close()


def take(store: SQLiteStore, messages: Sequence[dict[str, Any]]) -> None:
    ledger = Ledger(store, MODEL, Outbox({}), AS_OF)
    for message in messages:
        add = ledger.add_product if "product_id" in message else ledger.add_event
        add(json.dumps(message).encode())
    ledger.close_run()


def held(store: SQLiteStore) -> dict[str, list[str]]:
    return {
        table: sorted(map(repr, store.connection.execute(f"select * from {table}")))
        for table in COMPARED
    }


def once(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One version of each event, and no account that has a person's id."""
    events = {each["event_id"]: each for each in messages if "event_id" in each}
    kept = [each for each in events.values() if each["account"] not in PEOPLE]
    linked = [each.get("properties", {}).get("linked") for each in kept]
    kept = [
        each
        for each, name in zip(kept, linked, strict=True)
        if each["subject"] or name not in PEOPLE
    ]
    return [*kept, *(each for each in messages if "product_id" in each)]


@given(histories(), st.sampled_from(PEOPLE), st.randoms())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_who_is_forgotten_is_gone_and_does_not_come_back(messages, name, random):
    messages = once(messages)
    with opened() as store:
        take(store, messages)
        group = store.identities.canonical("people", [name]).get(name, name)
        ids = {name, *(each for _, each in store.identities.group("people", [group]))}
        receipt = forget(
            Ledger(store, MODEL, Outbox({}), AS_OF), name, Experience(store, MODEL, AS_OF)
        )
        assert set(receipt.found.values()) == {0}
        assert not [each for each in ids if holds(store, each)]
        before = held(store)
        random.shuffle(messages)
        take(store, messages)
        assert held(store) == before


@given(histories(), st.sampled_from(PEOPLE))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_others_are_what_their_own_events_come_to(messages, name):
    """A store that is computed anew from what is left holds the same."""
    messages = once(messages)
    with opened() as store, opened() as anew:
        take(store, messages)
        forget(Ledger(store, MODEL, Outbox({}), AS_OF), name, Experience(store, MODEL, AS_OF))
        left = [
            json.loads(body) for (body,) in store.connection.execute("select body from event_log")
        ]
        # what is corrected stays so, also when who corrected it is forgotten
        gone = {
            event_id
            for (event_id,) in store.connection.execute(
                "select id from facts where kind = 'superseded' and event_id not in "
                "(select event_id from event_log)"
            )
        }
        assume(not gone)
        take(anew, [*left, *(each for each in messages if "product_id" in each)])
        tables = ("journey_stages", "buying_teams", "customers", "identities", "unresolved")
        assert {each: held(store)[each] for each in tables} == {
            each: held(anew)[each] for each in tables
        }
