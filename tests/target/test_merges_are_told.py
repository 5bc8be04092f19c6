"""A destination ends with exactly the records that the store holds, also after merge and split."""

from __future__ import annotations

import json
from typing import Any

from tests.receiver import Receiver, receiver
from tests.target.messages import SCHEMA, record, sync

IDS = ["ga4_client:77.1", "hubspot_contact:501", "zendesk:9001", "segment:u-5"]


def linked(number: int, other: str, kind: str = "identity_linked") -> dict[str, Any]:
    return record(number, kind, subject=IDS[1], scopes=[], properties={"linked": other})


def in_step(kept: Any, told: Receiver) -> bool:
    """What it was told of is what there is, field by field."""
    columns = ("subject", "scope_grain", "scope_id", "episode", "stage", "event_count")
    stored = kept.ask(f"select {', '.join(columns)} from journey_stages order by 1, 2, 3, 4")
    held = [tuple(row[name] for name in columns) for row in told.records.values()]
    return stored == sorted(held)


def test_four_ids_become_one_person_and_four_again_at_the_other_end(kept):
    with receiver() as told:
        webhook = {"destinations": {"webhook": {"url": told.url}}}
        seen = [record(number, subject=name) for number, name in enumerate(IDS)]
        sync(kept, SCHEMA, *seen, **webhook)
        assert told.subjects() == sorted(IDS)
        others = [IDS[0], *IDS[2:]]
        sync(kept, SCHEMA, *(linked(10 + n, name) for n, name in enumerate(others)), **webhook)
        assert told.subjects() == [IDS[1]]
        (merged,) = told.records.values()
        assert merged["event_count"] == 4
        assert in_step(kept, told)
        parted = [linked(20 + n, name, "identity_unlinked") for n, name in enumerate(others)]
        sync(kept, SCHEMA, *parted, **webhook)
        assert told.subjects() == sorted(IDS)
        assert all(row["event_count"] == 1 for row in told.records.values())
        assert in_step(kept, told)


def test_a_merge_and_its_split_in_one_run_tell_nothing(kept):
    with receiver() as told:
        webhook = {"destinations": {"webhook": {"url": told.url}}}
        sync(kept, SCHEMA, *(record(n, subject=name) for n, name in enumerate(IDS)), **webhook)
        before = len(told.lines)
        there_and_back = [linked(10, IDS[0]), linked(11, IDS[0], "identity_unlinked")]
        sync(kept, SCHEMA, *there_and_back, **webhook)
        assert told.subjects() == sorted(IDS)
        assert in_step(kept, told)
        assert len(told.lines) - before <= 1  # the link itself is an event of the contact


def test_an_anonymous_visitor_who_logs_in_brings_the_earlier_events_along(kept):
    browser, ana = "ga4_client:77.1", "email:ana@acme.test"
    sync(kept, SCHEMA, record(1, subject=browser), record(2, "cart_added", subject=browser))
    login = record(3, "identity_linked", subject=ana, scopes=[], properties={"linked": browser})
    sync(kept, SCHEMA, login, record(4, "order_placed", subject=ana))
    ((subject, path),) = kept.ask("select subject, path from journey_stages")
    assert subject == ana
    assert [visit[0] for visit in json.loads(path)] == ["considering", "buying", "receiving"]
