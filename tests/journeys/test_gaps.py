"""Gaps from counters: what is found, what is told elsewhere, and how much it counts."""

from __future__ import annotations

import random
from itertools import chain

import pytest

from journeys.gaps import Gap, Rules, gap_id, gaps, ranked
from journeys.measures import bucket_of
from journeys.tallies import Spot, tallies

RULES = Rules(minimum=30)


def counter(name: str, bucket: str, n: int, out: int, **place: str) -> tuple:
    """A counter's sums inside and outside of the period."""
    at = {"persona": "", "stage": "buying", "channel": "", "product": ""} | place
    key = ("shoes", name, bucket, at["persona"], at["stage"], at["channel"], at["product"])
    return key, n, 10_000 * n, out, 10_000 * out


def left(inside: tuple[int, int], outside: tuple[int, int], **place: str) -> list[tuple]:
    """Stays that ended, (all, lost): in the sums of a place."""
    (n, lost), (out, out_lost) = inside, outside
    name = "left" if place.get("channel") or place.get("product") else "stay"
    progress, back = ("progress", "back") if name == "left" else ("progress>x|9", "back>y|9")
    return [
        counter(name, progress, n - lost, out - out_lost, **place),
        counter(name, back, lost, out_lost, **place),
    ]


def found(*counters: list[tuple], rules: Rules = RULES) -> dict[Spot, Gap]:
    return {gap.spot: gap for gap in gaps(tallies(chain(*counters)), rules)}


def spot(kind: str = "drop_off", topic: str = "", **place: str) -> Spot:
    return Spot(
        kind,
        topic,
        *({"stage": "buying", "channel": "", "persona": "", "product": ""} | place).values(),
    )


def test_a_stage_that_loses_more_than_before_is_a_gap():
    (gap,) = found(left((200, 120), (1000, 400))).values()
    assert gap.spot == spot()
    assert (gap.reach, gap.hits, gap.reference, gap.reference_from) == (
        200,
        120,
        0.4,
        "other periods",
    )
    assert 0 < gap.severity_low < gap.severity == pytest.approx(0.2)
    assert gap.excess == pytest.approx(200 * gap.severity_low)
    assert gap.value == 120  # of the journeys that were lost, not of all


def test_what_is_as_before_or_too_small_is_none():
    assert not found(left((200, 82), (1000, 400)))
    assert not found(left((29, 29), (1000, 400)))
    assert not found(left((200, 120), (29, 5)))


def test_one_bad_channel_is_told_where_it_is():
    gaps_ = found(
        left((300, 150), (900, 360)),
        left((100, 80), (300, 120), channel="mobile"),
        left((200, 70), (600, 240), channel="desktop"),
    )
    assert set(gaps_) == {spot(channel="mobile")}


def test_what_strikes_all_channels_is_told_once():
    gaps_ = found(
        left((300, 210), (900, 360)),
        left((150, 105), (450, 180), channel="mobile"),
        left((150, 105), (450, 180), channel="desktop"),
    )
    assert set(gaps_) == {spot()}


def test_a_channel_that_always_frustrates_is_found_beside_the_others():
    answers = [
        counter("csat", "5/5", 190, 0, channel="phone", stage="using"),
        counter("csat", "1/5", 10, 0, channel="phone", stage="using"),
        counter("csat", "5/5", 120, 0, channel="chat", stage="using"),
        counter("csat", "1/5", 80, 0, channel="chat", stage="using"),
    ]
    (gap,) = found(answers).values()
    assert gap.spot == spot("feedback", "csat", stage="using", channel="chat")
    assert (gap.reference, gap.reference_from) == (0.05, "other channels")


def test_a_broken_promise_is_measured_against_what_was_promised():
    kept = [
        counter("promise", "first_reply|kept", 160, 0, stage="using", channel="email"),
        counter("promise", "first_reply|missed", 40, 0, stage="using", channel="email"),
        counter("promise", "first_reply|open", 500, 0, stage="using", channel="email"),
    ]
    rules = Rules(minimum=30, targets={"first_reply": 0.9})
    gap = found(kept, rules=rules)[spot("promise", "first_reply", stage="using")]
    assert (gap.reach, gap.hits) == (200, 40)  # open ones are neither kept nor missed
    assert gap.reference == pytest.approx(0.1)
    assert (gap.reference_from, gap.owner, gap.kind) == ("promise", "us", "service")
    assert not found(kept, rules=Rules(minimum=30, targets={"first_reply": 0.75}))


def test_a_roadblock_counts_among_the_journeys_that_were_there():
    gap = found(
        left((200, 80), (1000, 400)),
        [counter("roadblock", "payment_failed|third_party", 40, 20, channel="web")],
    )[spot("roadblock", "payment_failed")]
    assert (gap.reach, gap.hits, gap.owner) == (200, 40, "third_party")


def test_stays_that_last_longer_than_they_used_to_are_a_gap():
    day, week = bucket_of(86_400), bucket_of(7 * 86_400)
    stays = [
        counter("stay", f"progress>receiving|{day}", 100, 950),
        counter("stay", f"progress>receiving|{week}", 100, 50),
    ]
    gap = found(stays)[spot("dwell")]
    assert (gap.reach, gap.hits) == (200, pytest.approx(100, abs=6))  # buckets are wide
    assert gap.reference == pytest.approx(0.1, abs=0.01)


def test_a_gap_that_the_pooled_figure_hides_is_named():
    gaps_ = found(
        left((2000, 800), (8000, 3200)),
        left((100, 75), (400, 160), product="P"),
        left((1900, 725), (7600, 3040), product="Q"),
    )
    assert gaps_[spot(product="P")].simpson == "hidden"
    assert spot() not in gaps_


def test_a_difference_that_no_product_shows_is_a_mix():
    gaps_ = found(
        left((1000, 620), (1000, 380)),
        left((200, 60), (800, 240), product="easy"),
        left((800, 560), (200, 140), product="hard"),
    )
    assert gaps_[spot()].simpson == "mix"


def test_noise_is_no_gap():
    dice = random.Random(2)

    def some(n: int) -> tuple[int, int]:
        return n, sum(dice.random() < 0.3 for _ in range(n))

    noise = [left(some(80), some(300), channel=f"c{n}", stage=f"s{n % 6}") for n in range(120)]
    assert len(found(*noise)) <= 2  # of 240 comparisons, twelve of which look odd by themselves


def test_a_small_part_is_drawn_towards_the_whole():
    counters = [left((1000, 300), (3000, 600))]
    counters += [left((100, 30), (300, 60), channel=f"c{n}") for n in range(9)]
    counters += [left((32, 22), (300, 60), channel="odd")]
    gap = found(*counters)[spot(channel="odd")]
    assert gap.rate.value == 22 / 32
    assert gap.severity < gap.rate.value - gap.reference


def test_the_id_of_a_gap_does_not_depend_on_its_size_or_period():
    assert gap_id("shoes", spot()) == gap_id("shoes", spot()) != gap_id("hats", spot())


def test_gaps_rank_by_what_they_cost_at_the_least():
    order = ranked([("a", "toys", 10.0), ("b", "cars", 4.0), ("c", "toys", 12.0)], {})
    assert [gap for gap, _, _ in order] == ["c", "a", "b"]
    order = ranked([("a", "toys", 10.0), ("b", "cars", 4.0)], {"toys": 20.0, "cars": 180.0})
    assert list(order) == [("b", 1, pytest.approx(7.2)), ("a", 2, pytest.approx(2.0))]
