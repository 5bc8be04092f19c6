"""What comes next: competing risks by hand, conditional on the time waited, with back-off."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from journeys.measures import bucket_of
from journeys.outlook import DAY, Stays, groups_of, outlook, stays_of

ONE, TEN, HUNDRED = bucket_of(DAY), bucket_of(10 * DAY), bucket_of(100 * DAY)
EASY = Stays(Counter({("buying", ONE): 60, ("buying", TEN): 20, ("no_decision", HUNDRED): 20}))


def test_without_open_stays_probabilities_are_shares():
    found = outlook("considering", [("shoes", EASY)])
    assert [(way.to, way.probability) for way in found.ways] == [
        ("buying", 0.8),
        ("no_decision", 0.2),
    ]
    assert (found.group, found.n) == ("shoes", 100)
    buying = found.ways[0]
    assert buying.low < 0.8 < buying.high
    assert buying.p50_days == pytest.approx(1, rel=0.5)
    assert buying.p90_days == pytest.approx(10, rel=0.5)


def test_who_has_waited_is_compared_with_those_who_had_waited_too():
    found = outlook("considering", [("shoes", EASY)], waited=20 * DAY, least=10)
    assert [(way.to, way.probability) for way in found.ways] == [("no_decision", 1.0)]
    assert found.n == 20
    assert found.ways[0].p50_days == pytest.approx(80, rel=0.5)


def test_open_stays_are_no_losses():
    open_too = Stays(EASY.ended, Counter({ONE: 100}))
    found = {way.to: way.probability for way in outlook("considering", [("", open_too)]).ways}
    # 200 at risk on the first day, of whom 60 go on; then 100 leave unseen and 40 remain.
    assert found["buying"] == pytest.approx(60 / 200 + (140 / 200) * 20 / 40, abs=1e-4)
    assert found["no_decision"] == pytest.approx((140 / 200) * (20 / 40) * 20 / 20, abs=1e-4)


def test_too_few_stays_ask_the_wider_group_and_none_at_all_is_said():
    thin = Stays(Counter({("buying", ONE): 5}))
    assert outlook("considering", [("shoes, new", thin), ("shoes", EASY)]).group == "shoes"
    nothing = outlook("considering", [("shoes, new", thin)])
    assert (nothing.n, nothing.ways) == (5, ())


def test_counters_become_stays_and_groups_widen_by_category():
    as_of = datetime(2026, 3, 1, tzinfo=UTC)

    def key(category: str, name: str, bucket: str, persona: str) -> tuple[str, ...]:
        return (category, name, bucket, persona, "considering", "", "", "2026-01")

    found = stays_of(
        [
            (key("shoes/boots", "stay", f"progress>buying|{ONE}", "new"), 3),
            (key("shoes/boots", "waiting", "2026-02-19", "regular"), 2),
            (key("shoes/boots", "value", "EUR", "new"), 9),
        ],
        as_of,
    )
    everybody = found["considering", ""]
    assert everybody.ended == {("buying", ONE): 3}
    assert everybody.waiting == {bucket_of(10 * DAY): 2}
    assert found["considering", "regular"].ended == {}
    other = {("considering", ""): Stays(Counter({("buying", TEN): 1}))}
    names = [
        (name, stays.n)
        for name, stays in groups_of(
            {"shoes/boots": found, "shoes/clogs": other, "hats": other},
            "shoes/boots",
            "new",
            "considering",
        )
    ]
    assert names == [("shoes/boots, new", 3), ("shoes/boots", 5), ("shoes", 6), ("", 7)]
