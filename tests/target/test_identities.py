"""Who is whom in the store: the same as of all links at once, however they arrive."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from journeys.event import isoformat
from journeys.identity import Link, Rules, canonical_ids
from journeys.shared_ids import SharedIds
from target_journeys.identities import PEOPLE
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.policy import Policy
from target_journeys.stage_model import load
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import migrations

MODEL = load("standard")
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"{kind}:{number}" for kind in ("email", "ga", "crm") for number in (1, 2, 3)]
RULES = st.sampled_from(
    [Rules(), Rules(ids=3), Rules(of_kind={"email": 1}), Rules(ids=4, of_one_kind=2)]
)


def event_of(link: Link, **more: Any) -> bytes:
    kind = "identity_linked" if link.joins else "identity_unlinked"
    event = {
        "event_id": link.event_id,
        "event_type": kind,
        "occurred_at": isoformat(link.at),
        "source": "tests",
        "subject": link.left,
        "properties": {"linked": link.right},
    }
    return json.dumps(event | more).encode()


def take(store: SQLiteStore, batches: list[list[bytes]], rules: Rules) -> None:
    """One run with a commit after each batch."""
    ledger = Ledger(store, MODEL, Outbox({}), START, Policy(identity=rules))
    for batch in batches:
        for event in batch:
            ledger.add_event(event)
        ledger.commit()
    ledger.close_run()


def people(store: SQLiteStore) -> dict[str, str]:
    return store.identities.canonical(PEOPLE, NAMES)


def joined(links: list[Link], rules: Rules) -> dict[str, str]:
    """What the store should hold: everybody who is not alone."""
    found = canonical_ids(links, rules)
    sizes = Counter(found.values())
    return {name: root for name, root in found.items() if sizes[root] > 1}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Opens an empty store; it is copied, because making the tables takes longer than the rest."""
    folder = tmp_path_factory.mktemp("stores")
    SQLiteStore(str(folder / "template.db")).close()

    def opened() -> SQLiteStore:
        for path in folder.glob("journeys.db*"):
            path.unlink()
        shutil.copy(folder / "template.db", folder / "journeys.db")
        return SQLiteStore(str(folder / "journeys.db"))

    return opened


@st.composite
def histories(draw) -> list[Link]:
    count = draw(st.integers(1, 24))
    pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))
    return [
        Link(
            START + timedelta(hours=draw(st.integers(0, 20))),
            f"{number:032x}",
            left,
            right,
            draw(st.integers(0, 3)) > 0,
        )
        for number in range(count)
        for left, right in [draw(pairs.filter(lambda pair: pair[0] != pair[1]))]
    ]


@given(histories(), RULES, st.randoms(), st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_and_batches_of_links_come_to_the_same_people(fresh, links, rules, random, data):
    store = fresh()
    corrected = data.draw(st.sets(st.sampled_from(links), max_size=2))
    events = [event_of(link) for link in links]
    events += [
        event_of(link, event_id=f"c{n}", event_type="record_corrected", supersedes=link.event_id)
        for n, link in enumerate(corrected)
    ]
    random.shuffle(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    batches = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    take(store, batches, rules)
    counted = [link for link in links if link not in corrected]
    assert people(store) == joined(counted, rules)
    refused = store.connection.execute("select count(*) from links where state = 'refused'")
    assert (refused.fetchone()[0] > 0) == (joined(counted, rules) != joined(counted, Rules()))
    store.close()


def test_a_link_that_a_limit_refused_is_joined_when_the_group_becomes_smaller(fresh):
    """Also when the batch that makes it smaller says something about the refused link itself."""
    store = fresh()

    def link(hour: int, number: int, left: str, right: str, *, joins: bool = True) -> bytes:
        return event_of(Link(START + timedelta(hours=hour), f"{number:032x}", left, right, joins))

    first = [link(0, 1, "email:1", "email:2"), link(0, 3, "email:1", "ga:1")]
    first.append(link(1, 4, "ga:1", "crm:2"))
    apart = [link(0, 2, "email:1", "email:2", joins=False)]
    apart.append(link(0, 0, "ga:1", "crm:2", joins=False))
    take(store, [first, apart], Rules(ids=3))
    states = store.connection.execute("select left, right, state from links order by 1, 2")
    assert states.fetchall() == [
        ("email:1", "email:2", "unlinked"),
        ("email:1", "ga:1", "joined"),
        ("ga:1", "crm:2", "joined"),
    ]
    assert people(store) == dict.fromkeys(("email:1", "ga:1", "crm:2"), "email:1")
    store.close()


def test_a_chain_through_one_shared_id_over_many_batches_stops_and_is_reported(fresh):
    store = fresh()
    links = [
        Link(START + timedelta(minutes=n), f"{n:032x}", f"crm:{n + 1}", "card:shared", True)
        for n in range(3_000)
    ]
    events = [event_of(link) for link in links]
    rules = Rules(ids=20)
    steps = count_steps(store)
    take(store, [events[at : at + 500] for at in range(0, 1_500, 500)], rules)
    first = steps()
    take(store, [events[at : at + 500] for at in range(1_500, 3_000, 500)], rules)
    assert steps() - first < 1.5 * first  # what was refused before is not looked at again
    (group,) = store.connection.execute(
        "select canonical, count(*) from identities group by canonical"
    )
    assert group == ("crm:1", 20)
    unresolved = store.connection.execute("select stream, reason, count from unresolved")
    assert unresolved.fetchall() == [("tests", "link refused: too many ids", 2_981)]
    store.close()


def count_steps(store: SQLiteStore) -> Callable[[], int]:
    """How much SQLite has done since, in hundreds of its instructions: no clock, no noise."""
    steps = 0

    def one() -> int:
        nonlocal steps
        steps += 1
        return 0

    store.connection.set_progress_handler(one, 100)
    return lambda: steps


def test_one_new_link_costs_the_two_people_that_it_joins(fresh):
    def cost(people_in_store: int) -> int:
        store = fresh()
        links = [
            Link(START, f"{n:032x}", f"crm:{n + 1}", f"ga:{n + 1}", True)
            for n in range(people_in_store)
        ]
        take(store, [[event_of(link) for link in links]], Rules())
        ledger = Ledger(store, MODEL, Outbox({}), START)
        steps = count_steps(store)
        ledger.add_event(event_of(Link(START, "f" * 32, "crm:1", "crm:2", True)))
        ledger.commit()
        taken = steps()
        assert len(set(people(store).values())) == 2  # crm:1 with crm:2, and crm:3
        store.close()
        return taken

    assert cost(5_000) < 2 * cost(50)


def test_a_new_policy_is_applied_to_what_is_stored(fresh):
    store = fresh()
    links = [
        Link(START, "1" * 32, "email:1", "ga:1", True),
        Link(START, "2" * 32, "email:2", "ga:1", True),
    ]
    take(store, [[event_of(link) for link in links]], Rules())
    assert set(people(store).values()) == {"email:1"}
    blocking = Rules(shared=SharedIds(["ga:1"]))
    for rules, expected in ((Rules(of_kind={"email": 1}), 2), (blocking, 0), (Rules(), 3)):
        take(store, [], rules)
        assert len(people(store)) == expected
    store.close()


def test_a_store_of_before_is_computed_anew(tmp_path):
    path = str(tmp_path / "journeys.db")
    old = Database(path)
    migrations.apply(old, stop_before="0003 people")
    links = [
        Link(START, "1" * 32, "email:1", "ga:1", True),
        Link(START, "2" * 32, "email:1", "email:info@acme.test", True),
    ]
    for link in links:
        body = event_of(link).decode()
        row = (link.event_id, link.left, body)
        old.execute("insert into event_log values (?, ?, null, ?)", row)
        for name in (link.left, link.right):
            old.execute("insert into facts values ('link', ?, ?)", (name, link.event_id))
            old.execute("insert or ignore into identities values (?, 'email:1')", (name,))
    old.conn.commit()
    old.close()
    store = SQLiteStore(path)
    take(store, [], Rules())
    assert people(store) == {"email:1": "email:1", "ga:1": "email:1"}
    states = store.connection.execute("select state, reason from links order by 1").fetchall()
    assert states == [("joined", None), ("refused", "shared id")]
    store.close()
