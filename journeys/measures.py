"""What one journey adds to the counters of its category: additive, so that it can be taken back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from journeys.model import StageModel

UNKNOWN = "unknown"  # the channel of a touch that names none
PER_DECADE = 10  # log-spaced buckets of a duration; neighbours differ by a quarter
PARTS = 10_000  # of one unit of money: sums of whole numbers lose nothing
LONGEST_PATH = 12  # stages of a variant; what is longer ends in "…"


class Journey(NamedTuple):
    """The fields of a stage record that are counted; times as ISO text, as the store has them."""

    subject: str
    scope_grain: str
    scope_id: str
    episode: int
    product: str | None
    category: str | None
    stage: str
    path: Sequence[Sequence[Any]]  # [stage, entered at, event id, cycle]
    condition: str | None
    outcome: str | None
    ended_at: str | None
    first_event_at: str
    persona: str | None
    roadblocks: Sequence[Mapping[str, Any]] = ()
    detours: Mapping[str, Any] | None = None
    promises: Sequence[Mapping[str, Any]] = ()
    goal: Mapping[str, Any] | None = None
    visibility: Mapping[str, Any] | None = None
    touches: Mapping[str, Mapping[str, Mapping[str, int]]] = {}
    feedback: Sequence[Mapping[str, Any]] = ()
    repeats: Sequence[Mapping[str, Any]] = ()
    last_step: Mapping[str, Any] | None = None
    value: Mapping[str, Any] | None = None


class Key(NamedTuple):
    """What a counter counts; the name first, so that a reader takes only what it needs.

    ``channel`` "" is all channels, where a journey or stay is counted once whatever channels it
    used; "unknown" is a touch that names none. A key with a ``product`` belongs to a second sum of
    the same journeys, over all personas and channels. ``period`` is that of the moment.
    """

    category: str
    name: str
    bucket: str
    persona: str
    stage: str
    channel: str
    product: str
    period: str


Counters = dict[tuple[str, ...], list[int]]  # key → [n, total]
Period = Callable[[str], str]  # ISO moment → the period that it belongs to


@dataclass(frozen=True, slots=True)
class Counting:
    """What must be known to count: the order of stages, and where a moment belongs."""

    order: Mapping[str, int]  # stage → rank
    after: frozenset[str]  # stages after the purchase
    period: Period


def counting(model: StageModel, period: Period) -> Counting:
    """How journeys of this model are counted."""
    return Counting(
        {stage.name: rank for rank, stage in enumerate(model.stages)},
        frozenset(stage.name for stage in model.stages if stage.side == "after"),
        period,
    )


def measures(journey: Journey, how: Counting) -> tuple[dict[tuple[str, ...], int], int]:
    """Counter → how often this journey counts in it, and what the journey is worth.

    The worth, in ten-thousandths of its currency, counts once in each counter that the journey
    counts in at all; so that the total of the counter of a mishap is the value at risk. Equal
    journeys give equal counts, and what a journey added is taken back by subtracting the same.
    """
    count = _Count(journey, how.period)
    _stays(count, journey, how)
    _journey(count, journey, how)
    _touches(count, journey, how)
    _occasions(count, journey)
    return count.found, worth(journey.value)


def add(counters: Counters, counted: tuple[Mapping[tuple[str, ...], int], int], sign: int) -> None:
    """Add what a journey counts (sign 1), or take it back (-1)."""
    found, total = counted
    total *= sign
    for key, n in found.items():
        counter = counters.get(key)
        if counter is None:
            counters[key] = [n * sign, total]
        else:
            counter[0] += n * sign
            counter[1] += total


class _Count:
    """Collects the counters of one journey."""

    __slots__ = ("category", "found", "period", "persona", "product", "since")

    def __init__(self, journey: Journey, period: Period) -> None:
        self.category = journey.category or ""
        self.persona = journey.persona or ""
        self.product = journey.product or ""
        self.period = period
        self.since: dict[str, str] = {}  # stage → period of its last entry
        self.found: dict[tuple[str, ...], int] = {}

    def one(self, name: str, bucket: str, stage: str, channel: str, period: str) -> None:
        """Count one of many."""
        key = (self.category, name, bucket, self.persona, stage, channel, "", period)
        self.found[key] = self.found.get(key, 0) + 1

    def many(self, name: str, bucket: str, stage: str, channel: str, period: str, n: int) -> None:
        """Count several at once."""
        key = (self.category, name, bucket, self.persona, stage, channel, "", period)
        self.found[key] = self.found.get(key, 0) + n

    def of_product(self, name: str, bucket: str, stage: str, period: str) -> None:
        """Count in the product's own sum."""
        if self.product:
            key = (self.category, name, bucket, "", stage, "", self.product, period)
            self.found[key] = self.found.get(key, 0) + 1


def _stays(count: _Count, journey: Journey, how: Counting) -> None:
    """Every stay in a stage: entered, and how and when it was left."""
    path, order = journey.path, how.order
    last = len(path) - 1
    for place, visit in enumerate(path):
        stage, at = visit[0], visit[1]
        period = how.period(at)
        count.since[stage] = period
        count.one("entered", "", stage, "", period)
        count.of_product("entered", "", stage, period)
        if place < last:
            following, until = path[place + 1][0], path[place + 1][1]
            onward = following == stage or order.get(following, 0) > order.get(stage, 0)
            ended = kind = "progress" if onward else "back"
            count.one("move", f"{stage}>{following}", stage, "", how.period(until))
        elif journey.outcome is not None and journey.ended_at is not None:
            until = journey.ended_at
            won = journey.outcome in GOOD_ENDS
            ended, kind = ("progress", "progress") if won else (f"loss:{journey.outcome}", "loss")
        else:
            count.one("waiting", at[:10], stage, "", period)
            continue
        count.one("dwell", f"{kind}|{bucket_of(seconds(at, until))}", stage, "", period)
        count.one("left", ended, stage, "", period)
        count.of_product("left", ended, stage, period)
        for channel in journey.touches.get(stage, ()):
            count.one("left", ended, stage, channel, period)


def _journey(count: _Count, journey: Journey, how: Counting) -> None:
    """The journey as a whole, in the period in which it began."""
    began = how.period(journey.first_event_at)
    names = [visit[0] for visit in journey.path]
    end = journey.outcome or "open"
    count.one("journeys", end, "", "", began)
    count.of_product("journeys", end, "", began)
    if not how.after.isdisjoint(names):
        kept = journey.outcome is None or journey.outcome in GOOD_ENDS
        bucket = "kept" if kept else str(journey.outcome)
        count.one("sold", bucket, "", "", began)
        count.of_product("sold", bucket, "", began)
    count.one("variant", variant(names), "", "", began)
    if journey.condition is not None:
        count.one("condition", journey.condition, journey.stage, "", count.since[journey.stage])
    if journey.value is not None:
        count.one("value", str(journey.value.get("currency") or ""), "", "", began)
    if journey.goal is not None:
        count.one("goal", str(journey.goal.get("state")), "", "", began)
    for kind, found in zip(("backward", "loop", "extra"), detours(journey.detours), strict=True):
        if found:
            count.one("detour", kind, "", "", began)
    if journey.visibility:
        _visibility(count, journey.visibility, began)


def _visibility(count: _Count, seen: Mapping[str, Any], period: str) -> None:
    """Who could see its events, how they became known, and how much lies in the dark."""
    for name in SEEN:
        if seen.get(name):
            count.many("visibility", name, "", "", period, int(seen[name]))
    if seen.get("dark_share") is not None:
        count.one("dark", str(round(float(seen["dark_share"]) * 10)), "", "", period)
    jumps = seen.get("jumps")
    passed = len(jumps) if isinstance(jumps, list | tuple) else int(jumps or 0)
    if passed:
        count.many("jumps", "", "", "", period, passed)


def _touches(count: _Count, journey: Journey, how: Counting) -> None:
    """What was done in each stage, in which channel, and how the stage was left after it."""
    stages = [visit[0] for visit in journey.path]
    for stage, channels in journey.touches.items():
        period = count.since.get(stage)
        if period is None:
            continue
        end = how_left(stage, stages, journey.outcome, how)
        for channel, types in channels.items():
            count.one("reached", "", stage, channel, period)
            for kind, n in types.items():
                count.many("touch", kind, stage, channel, period, n)
                count.one("step", f"{kind}|{end}", stage, channel, period)
                if n > 1:
                    count.one("again", kind, stage, channel, period)
    last = journey.last_step
    if last is not None:
        bucket = f"{last['event_type']}|{journey.outcome or 'open'}"
        period = count.period(str(last["at"]))
        count.one("last_step", bucket, journey.stage, last.get("channel") or UNKNOWN, period)


def _occasions(count: _Count, journey: Journey) -> None:
    """Promises, answers, roadblocks and repeats, each at its own moment."""
    for promise in journey.promises:
        place = _place(promise)
        period = count.period(str(promise["started_at"]))
        bucket = f"{promise['promise']}|{promise['state']}"
        count.one("promise", bucket, *place, period)
        count.of_product("promise", bucket, place[0], period)
        measured = promise.get("measured")
        if promise.get("ended_at") is not None and isinstance(measured, int | float):
            name = f"{promise['promise']}|{bucket_of(float(measured))}"
            count.one("measured", name, *place, period)
    for answer in journey.feedback:
        place = _place(answer)
        period = count.period(str(answer["at"]))
        if answer.get("score") is None:
            continue
        bucket = scored(answer["score"], answer.get("scale"))
        count.one(str(answer["kind"]), bucket, *place, period)
        count.of_product(str(answer["kind"]), bucket, place[0], period)
    met: set[tuple[str, ...]] = set()
    for block in journey.roadblocks:
        place = _place(block)
        period = count.period(str(block["since"]))
        bucket = f"{block['type']}|{block['owner']}"
        if (bucket, *place, period) in met:
            continue  # the journeys that met it are counted, not how often
        met.add((bucket, *place, period))
        count.one("roadblock", bucket, *place, period)
        count.of_product("roadblock", bucket, place[0], period)
    for repeat in journey.repeats:
        count.one("repeat", "", *_place(repeat), count.period(str(repeat["at"])))


# What brings a journey to a good end: bought in a category, used up, joined to another record.
GOOD_ENDS = frozenset({"won", "completed", "merged"})
SEEN = (
    "owned",
    "partner",
    "earned",
    "third_party",
    "buyer_internal",
    "observed",
    "reported",
    "inferred",
)


def _place(occasion: Mapping[str, Any]) -> tuple[str, str]:
    return str(occasion.get("stage") or ""), str(occasion.get("channel") or UNKNOWN)


def how_left(stage: str, stages: Sequence[str], outcome: str | None, how: Counting) -> str:
    """How a journey left a stage in the end: progress, back, loss, or open while it stands there.

    Coming further once is progress, whatever happened before and after.
    """
    rank = how.order.get(stage, 0)
    first = stages.index(stage)
    if any(how.order.get(name, 0) > rank for name in stages[first + 1 :]):
        return "progress"
    if outcome is None:
        return "open" if stages[-1] == stage else "back"
    return "progress" if outcome in GOOD_ENDS else "loss"


def variant(stages: Iterable[str]) -> str:
    """The stages in order, in one text."""
    names = list(stages)
    cut = [*names[:LONGEST_PATH], "…"] if len(names) > LONGEST_PATH else names
    return ">".join(cut)


def detours(found: Mapping[str, Any] | None) -> tuple[bool, bool, bool]:
    """Whether a journey went back, in circles, or by steps that the way does not have."""
    if not found:
        return False, False, False
    return bool(found.get("backward")), bool(found.get("loops")), bool(found.get("extra_steps"))


def scored(score: float, scale: float | None) -> str:
    """An answer in one text: ``4/5``, ``9``."""
    return f"{score:g}" if scale is None else f"{score:g}/{scale:g}"


def worth(value: Mapping[str, Any] | None) -> int:
    """What a journey is worth, in ten-thousandths; 0 where it is not known."""
    if not value:
        return 0
    try:
        return int(Decimal(str(value.get("amount"))) * PARTS)
    except (InvalidOperation, ValueError, OverflowError):
        return 0


def seconds(since: str, until: str) -> float:
    """The time between two moments."""
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def bucket_of(length: float) -> int:
    """The log-spaced bucket of a length: 0 up to 1, then ten a decade."""
    return 0 if length <= 1 else 1 + int(math.log10(length) * PER_DECADE)


def edges(bucket: int) -> tuple[float, float]:
    """The lengths between which a bucket lies."""
    if bucket <= 0:
        return 0.0, 1.0
    return 10 ** ((bucket - 1) / PER_DECADE), 10 ** (bucket / PER_DECADE)


# -- periods -------------------------------------------------------------------------------------


def month(moment: str) -> str:
    """``2026-03``."""
    return moment[:7]


def quarter(moment: str) -> str:
    """The quarter by its first month: ``2026-01``."""
    return f"{moment[:5]}{(int(moment[5:7]) - 1) // 3 * 3 + 1:02}"


def week(moment: str) -> str:
    """The week by its Monday: ``2026-03-02``."""
    day = datetime.fromisoformat(moment[:10]).toordinal()
    return datetime.fromordinal(day - (day - 1) % 7).date().isoformat()


PERIODS: Mapping[str, Period] = {"week": week, "month": month, "quarter": quarter}


def window(since: datetime, until: datetime) -> Period:
    """Tells moments from ``since`` up to, not including, ``until`` apart from all others."""
    first, beyond = (f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (since, until))

    def inside(moment: str) -> str:
        return "inside" if first <= moment < beyond else "outside"

    return inside
