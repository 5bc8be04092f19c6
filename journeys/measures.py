"""What one journey adds to the counters of its category: additive, so that it can be taken back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from journeys.model import StageModel

UNKNOWN = "unknown"  # the channel of a touch that names none
PER_DECADE = 6  # log-spaced buckets of a duration; neighbours differ by half
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
    funnels: Sequence[Mapping[str, Any]] = ()


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


CONTACTS = frozenset({"ticket_opened", "call_received", "chat_started", "complaint_made"})
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
    if journey.funnels:
        _funnels(count, journey)
    if journey.touches:
        _touches(count, journey, how)
    if journey.promises or journey.feedback or journey.roadblocks or journey.repeats:
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


def told(key: Sequence[str], n: int, total: int) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """What one counter says, in the words of those that are not kept because it holds them.

    ``stay`` and ``waiting`` make up ``entered``, ``left``, ``dwell`` and ``move``; ``step`` holds
    ``reached`` no more than ``left`` of a channel does.
    """
    yield tuple(key), n, total
    category, name, bucket, *place = key
    if name == "waiting":
        yield (category, "entered", "", *place), n, total
    elif name == "stay":
        way, _, length = bucket.rpartition("|")
        kind, _, to = way.partition(">")
        yield (category, "entered", "", *place), n, total
        yield (category, "left", f"loss:{to}" if kind == "loss" else kind, *place), n, total
        yield (category, "dwell", f"{kind}|{length}", *place), n, total
        if kind != "loss" and to not in GOOD_ENDS:
            yield (category, "move", f"{place[1]}>{to}", *place), n, total


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

    def add(
        self, name: str, bucket: str, stage: str, channel: str, period: str, n: int = 1
    ) -> None:
        """Count in the sum of a persona and channel."""
        key = (self.category, name, bucket, self.persona, stage, channel, "", period)
        found = self.found
        found[key] = found.get(key, 0) + n

    def of_product(self, name: str, bucket: str, stage: str, period: str) -> None:
        """Count in the product's own sum."""
        if self.product:
            key = (self.category, name, bucket, "", stage, "", self.product, period)
            self.found[key] = self.found.get(key, 0) + 1


def _stays(count: _Count, journey: Journey, how: Counting) -> None:
    """Every stay in a stage: how, to where and after how long it was left, or that it goes on."""
    order, period_of, touches = how.order, how.period, journey.touches
    following: Sequence[Any] | None = None
    for visit in reversed(journey.path):
        stage, at = visit[0], visit[1]
        period = period_of(at)
        count.since.setdefault(stage, period)
        if following is not None:
            to, until = following[0], following[1]
            onward = to == stage or order.get(to, 0) > order.get(stage, 0)
            kind = "progress" if onward else "back"
        elif journey.outcome is not None and journey.ended_at is not None:
            to, until = journey.outcome, journey.ended_at
            kind = "progress" if to in GOOD_ENDS else "loss"
        else:
            kind, to, until = "open", "", ""
        following = visit
        if until:
            length = (_moment(until) - _moment(at)).total_seconds()
            count.add("stay", f"{kind}>{to}|{bucket_of(length)}", stage, "", period)
        else:
            count.add("waiting", at[:10], stage, "", period)
        ended = f"loss:{to}" if kind == "loss" else kind
        count.of_product("left", ended, stage, period)
        for channel in touches.get(stage, ()):
            count.add("left", ended, stage, channel, period)


def _journey(count: _Count, journey: Journey, how: Counting) -> None:
    """The journey as a whole, in the period in which it began."""
    began = how.period(journey.first_event_at)
    names = [visit[0] for visit in journey.path]
    end = journey.outcome or "open"
    if not how.after.isdisjoint(names):
        end += "|bought"
    count.add("journeys", end, "", "", began)
    count.of_product("journeys", end, "", began)
    count.add("variant", variant(names), "", "", began)
    if journey.condition is not None:
        count.add("condition", journey.condition, journey.stage, "", count.since[journey.stage])
    if journey.value is not None:
        count.add("value", str(journey.value.get("currency") or ""), "", "", began)
    if journey.goal is not None:
        count.add("goal", str(journey.goal.get("state")), "", "", began)
    if journey.detours:
        for kind, found in detours(journey.detours):
            if found:
                count.add("detour", kind, "", "", began)
    if journey.visibility:
        _visibility(count, journey.visibility, began)
    last = journey.last_step
    if last is not None and journey.outcome is not None:
        period = how.period(last["at"])
        bucket = f"{last['event_type']}|{journey.outcome}"
        count.add("last_step", bucket, journey.stage, last.get("channel") or UNKNOWN, period)


def _visibility(count: _Count, seen: Mapping[str, Any], period: str) -> None:
    """Who could see its events, how they became known, and how much lies in the dark."""
    for name in SEEN:
        if n := seen.get(name):
            count.add("visibility", name, "", "", period, n)
    if (dark := seen.get("dark_share")) is not None:
        count.add("dark", str(round(dark * 10)), "", "", period)
    if passed := seen.get("jumps"):
        count.add("jumps", "", "", "", period, passed)


def _touches(count: _Count, journey: Journey, how: Counting) -> None:
    """What was done in each stage, in which channel, and how the stage was left after it."""
    stages = [visit[0] for visit in journey.path]
    for stage, channels in journey.touches.items():
        period = count.since.get(stage)
        if period is None:
            continue
        end = how_left(stage, stages, journey.outcome, how)
        for channel, types in channels.items():
            for kind, n in types.items():
                count.add(
                    "step", f"{kind}|{end}|{'again' if n > 1 else 'once'}", stage, channel, period
                )
                if kind in CONTACTS:
                    count.add("contact", kind, stage, channel, period, n)


def _funnels(count: _Count, journey: Journey) -> None:
    """Every step of a funnel that was reached, and how it went on: "open" while it still may."""
    steps = journey.funnels
    following = [*[step["funnel"] for step in steps[1:]], None]
    for step, funnel in zip(steps, following, strict=True):
        if step["is_last"]:
            end = "end"
        elif funnel == step["funnel"]:
            end = "on"
        elif journey.outcome is None and journey.stage == step["stage"]:
            end = "open"
        else:
            end = "stop"
        bucket = f"{step['funnel']}|{step['position']}|{step['step']}|{end}"
        period = count.period(step["at"])
        count.add("funnel", bucket, *_place(step), period)
        count.of_product("funnel", bucket, step["stage"], period)


def _occasions(count: _Count, journey: Journey) -> None:
    """Promises, answers, roadblocks and repeats, each at its own moment."""
    for promise in journey.promises:
        place = _place(promise)
        period = count.period(promise["started_at"])
        bucket = f"{promise['promise']}|{promise['state']}"
        count.add("promise", bucket, *place, period)
        count.of_product("promise", bucket, place[0], period)
        measured = promise.get("measured")
        if promise.get("ended_at") is not None and isinstance(measured, int | float):
            name = f"{promise['promise']}|{bucket_of(measured)}"
            count.add("measured", name, *place, period)
    for answer in journey.feedback:
        if answer.get("score") is None:
            continue
        place = _place(answer)
        period = count.period(answer["at"])
        bucket = scored(answer["score"], answer.get("scale"))
        count.add(answer["kind"], bucket, *place, period)
        count.of_product(answer["kind"], bucket, place[0], period)
    met: set[tuple[str, ...]] = set()
    for block in journey.roadblocks:
        place = _place(block)
        period = count.period(block["since"])
        bucket = f"{block['type']}|{block['owner']}"
        if (bucket, *place, period) in met:
            continue  # the journeys that met it are counted, not how often
        met.add((bucket, *place, period))
        count.add("roadblock", bucket, *place, period)
        count.of_product("roadblock", bucket, place[0], period)
    for repeat in journey.repeats:
        count.add("repeat", "", *_place(repeat), count.period(repeat["at"]))


# What brings a journey to a good end: bought in a category, used up, joined to another record.
GOOD_ENDS = frozenset({"won", "completed", "merged"})
_moment = datetime.fromisoformat
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


def detours(found: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Whether a journey went back, in circles, or by steps that the way does not have."""
    yield "backward", bool(found.get("backward"))
    yield "loop", bool(found.get("loops"))
    yield "extra", bool(found.get("extra_steps"))


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


def bucket_of(length: float) -> int:
    """The log-spaced bucket of a length: 0 up to 1, then six a decade."""
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


INSIDE, OUTSIDE = "inside", "outside"


def window(since: datetime, until: datetime) -> Period:
    """Tells moments from ``since`` up to, not including, ``until`` apart from all others."""
    first, beyond = (f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (since, until))

    def inside(moment: str) -> str:
        return INSIDE if first <= moment < beyond else OUTSIDE

    return inside
