"""Snapshots become history: one inferred change where two looks differ, none where they agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.event import JourneyEvent, Scope
from journeys.fold import fold, in_order
from journeys.snapshots import SNAPSHOTS, history
from journeys.vocabulary import EVENT_TYPES
from tests.journeys.test_fold import MODEL

START = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCT = (Scope("product", "P"),)


def event(day: int, kind: str, **properties: Any) -> JourneyEvent:
    return JourneyEvent(
        f"{day:03}-{kind}",
        kind,
        START + timedelta(days=day),
        "deals",
        "7",
        subject="email:ana@acme.test",
        scopes=PRODUCT,
        properties=properties,
    )


def seen(*events: JourneyEvent) -> list[tuple[int, str, str | None, str | None]]:
    """(day, type, stage or status, changed_after) of what the snapshots come to."""
    return [
        (
            (each.occurred_at - START).days,
            each.event_type,
            each.properties.get("stage") or each.properties.get("status"),
            each.properties.get("changed_after"),
        )
        for each in history(events)
    ]


def test_a_deal_that_moved_between_two_syncs():
    assert seen(
        event(1, "opportunity_observed", stage="qualified"),
        event(3, "opportunity_observed", stage="qualified"),
        event(9, "opportunity_observed", stage="contract"),
    ) == [
        (1, "opportunity_stage_changed", "qualified", None),
        (9, "opportunity_stage_changed", "contract", "2026-01-04T00:00:00Z"),
    ]


def test_what_the_source_reported_itself_is_not_inferred_again():
    assert seen(
        event(1, "opportunity_stage_changed", stage="qualified"),
        event(2, "opportunity_observed", stage="qualified"),
        event(5, "opportunity_won"),
        event(6, "opportunity_observed", stage="closedwon"),
    ) == [(1, "opportunity_stage_changed", "qualified", None), (5, "opportunity_won", None, None)]


def test_a_look_has_seen_what_the_source_reports_of_the_same_moment():
    looks = [
        event(1, "ticket_observed", status="open"),
        event(1, "ticket_opened"),
        event(4, "ticket_observed", status="solved"),
        event(4, "ticket_resolved", status="solved"),
    ]
    assert seen(*looks) == [
        (1, "ticket_opened", None, None),
        (4, "ticket_resolved", "solved", None),
    ]


@pytest.mark.parametrize("snapshot", sorted(SNAPSHOTS))
def test_a_look_ranks_behind_all_that_its_object_does_at_the_same_instant(snapshot):
    kind = snapshot.partition("_")[0]
    others = sorted(name for name in EVENT_TYPES - {snapshot} if name.startswith(f"{kind}_"))
    events = [event(1, snapshot), *(event(1, name) for name in others)]
    assert [each.event_type for each in in_order(MODEL, events)][-1] == snapshot


def test_an_inferred_change_does_not_precede_a_reported_one_of_the_same_instant():
    looks = [
        event(1, "opportunity_observed", stage="contract"),
        event(1, "opportunity_reopened"),
        event(1, "opportunity_lost"),
    ]
    assert seen(*in_order(MODEL, looks)) == [
        (1, "opportunity_lost", None, None),
        (1, "opportunity_reopened", None, None),
        (1, "opportunity_stage_changed", "contract", "2026-01-02T00:00:00Z"),
    ]


def test_a_deal_that_was_opened_again_is_looked_at_again():
    assert seen(
        event(1, "opportunity_lost"),
        event(2, "opportunity_reopened"),
        event(3, "opportunity_observed", stage="qualified"),
    )[-1] == (3, "opportunity_stage_changed", "qualified", "2026-01-03T00:00:00Z")


def test_a_ticket_is_opened_worked_on_solved_and_opened_again():
    statuses = ["new", "open", "pending", "solved", "open", "closed"]
    events = [event(n, "ticket_observed", status=s) for n, s in enumerate(statuses)]
    assert [(each[0], each[1]) for each in seen(*events)] == [
        (0, "ticket_opened"),
        (2, "ticket_updated"),
        (3, "ticket_resolved"),
        (4, "ticket_reopened"),
        (5, "ticket_closed"),
    ]


def test_an_inferred_change_moves_the_stage_and_names_its_evidence():
    contract = event(4, "opportunity_observed", stage="contractsent")
    (record,) = fold(MODEL, [event(1, "opportunity_opened"), contract])
    assert (record.stage, record.path[-1].event_id) == ("buying", contract.event_id)
    changed = history([contract])[0]
    assert (changed.observability, changed.event_id) == ("inferred", "004-opportunity_observed")


@given(st.permutations(range(6)))
def test_the_order_of_arrival_does_not_matter(order):
    stages = ["a", "a", "b", "b", "a", "c"]
    events = [event(n, "opportunity_observed", stage=s) for n, s in enumerate(stages)]
    assert fold(MODEL, [events[n] for n in order]) == fold(MODEL, events)
