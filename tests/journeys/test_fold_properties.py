"""Order, repetition, splitting and corrections: the same events give the same records."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.event import JourneyEvent, Scope
from journeys.fold import fold
from journeys.vocabulary import EVENT_TYPES, ROLES
from target_journeys.stage_model import load
from tests.journeys.events import START, day

PROMISES = {
    "reply": {"metric": "first_reply", "within": "P2D", "scope": {"priority": "high"}},
    "solved": {"metric": "resolution", "within": "P10D"},
    "delivered": {"metric": "delivery", "within": "P20D"},
    "at once": {"metric": "contacts_to_resolve", "at_most": 1},
    "once": {"metric": "no_repeat"},
    "liked": {"metric": "csat", "at_least": 4},
    "bought": {"from": "cart_added", "to": "order_placed", "within": "P30D"},
    "used": {"from": "feature_used", "to": "feature_used", "within": "P9D"},
}
MODEL = load({"defaults": {"promises": PROMISES}})
EVERY_TYPE = sorted(EVENT_TYPES)
TICKETS = [name for name in EVERY_TYPE if name.startswith("ticket_")]
AS_OF = day(400)

scopes = st.builds(
    Scope, st.sampled_from(["product", "category"]), st.sampled_from("AB"), st.sampled_from(ROLES)
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "ticket": st.sampled_from(["T1", "T2"]),
        "status": st.sampled_from(["pending", "hold", "open", "solved"]),
        "stage": st.sampled_from(["contractsent", "qualifiedtobuy", "Parked"]),
        "opportunity": st.sampled_from(["d1", "d2"]),
        "reason": st.sampled_from(["price", "competitor", "timing"]),
        "score": st.integers(0, 10),
        "partial": st.booleans(),
        "payment": st.just("invoice"),
        "priority": st.sampled_from(["high", "low"]),
        "promised_on": st.sampled_from(["2026-02-01", "2026-06-30", "soon"]),
        "first_reply_minutes": st.integers(0, 9000),
        "goal": st.sampled_from(["repair", "learn"]),
    },
)


@st.composite
def histories(draw) -> list[JourneyEvent]:
    """Events of one customer, some of which correct others or repeat an id with new content."""
    count = draw(st.integers(1, 25))
    ids = [f"{number:032x}" for number in range(count)]
    return [
        JourneyEvent(
            event_id=draw(st.sampled_from(ids)),
            event_type=draw(st.sampled_from(EVERY_TYPE) | st.sampled_from(TICKETS)),
            occurred_at=START + timedelta(hours=draw(st.integers(0, 24 * 300))),
            source=draw(st.sampled_from(["web", "crm"])),
            source_key=str(number % 5),
            recorded_at=draw(st.none() | st.just(day(1)) | st.just(day(2))),
            subject="email:ana@acme.test",
            scopes=tuple(draw(st.lists(scopes, max_size=3))),
            channel=draw(st.sampled_from([None, "web", "phone"])),
            value=draw(st.none() | st.sampled_from(["10", "2.50", "much"])),
            properties=draw(properties),
            supersedes=draw(st.none() | st.none() | st.none() | st.sampled_from(ids)),
        )
        for number in range(count)
    ]


@given(histories(), st.randoms())
@settings(max_examples=300, deadline=None)
def test_order_and_repetition_do_not_matter(events, random):
    shuffled = [*events, *random.choices(events, k=3)]
    random.shuffle(shuffled)
    assert fold(MODEL, shuffled, as_of=AS_OF) == fold(MODEL, events, as_of=AS_OF)


@given(histories())
@settings(max_examples=200, deadline=None)
def test_every_record_is_whole(events):
    for record in fold(MODEL, events, as_of=AS_OF):
        assert record.stage == record.path[-1].stage
        assert record.stage_entered_at == record.path[-1].entered_at
        assert record.first_event_at <= record.last_event_at <= record.valid_as_of <= AS_OF
        assert (record.outcome is None) == (record.condition is not None)
        assert record.next_check_at is None or record.next_check_at > AS_OF
        counts = [
            count
            for channels in record.touches.values()
            for types in channels.values()
            for count in types.values()
        ]
        assert sum(counts) == record.event_count
        assert set(record.touches) <= {visit.stage for visit in record.path}
        assert 0 <= record.visibility["dark_share"] <= 1
        assert all(
            each["until"] is None or each["until"] >= each["since"] for each in record.roadblocks
        )
        for each in record.promises:
            assert each["state"] in ("kept", "missed", "open")
            assert each["event_ids"]
            if each["state"] == "open" and each["due_at"] is not None:
                assert each["due_at"] >= record.next_check_at > AS_OF
        moments = [visit.entered_at for visit in record.path]
        assert moments == sorted(moments)


@given(histories(), st.integers(0, 600))
@settings(max_examples=200, deadline=None)
def test_nothing_changes_before_the_next_check(events, days):
    """``next_check_at`` is the promise that lets the target leave a journey alone."""
    early = max(event.occurred_at for event in events)
    late = early + timedelta(days=days)
    for before, after in zip(
        fold(MODEL, events, as_of=early), fold(MODEL, events, as_of=late), strict=True
    ):
        if before.next_check_at is None or before.next_check_at > late:
            assert before == after
