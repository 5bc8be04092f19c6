"""From counters to trials and mishaps: how many had the chance, and how many met the trouble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from journeys.measures import UNKNOWN
from journeys.vocabulary import FAMILIES

LOWEST_PROMOTER = 9  # of an NPS; up to 6 is a detractor
HIGHEST_DETRACTOR = 6
SATISFIED = 0.7  # share of the scale from which an answer is a good one: 4 of 5, 5 of 7, 7 of 10
ALL_CHANNELS = frozenset({"stay", "waiting", "left"})  # have their own ""
NAMES = (  # the counters that trials are made of
    "stay",
    "waiting",
    "left",
    "step",
    "contact",
    "promise",
    "nps",
    "csat",
    "ces",
    "roadblock",
    "repeat",
    "funnel",
)
# To use, to buy or to be written to again is no detour.
NATURAL = frozenset({*FAMILIES["use"], *FAMILIES["message"], *FAMILIES["renewal"]}) | {
    "order_placed",
    "contract_signed",
    "opportunity_won",
    "order_updated",
    "ticket_updated",
}
TRIAL, MISHAP, BOTH = (1, 0), (0, 1), (1, 1)
Part = tuple[str, str, tuple[int, int]]  # type, topic, (counts as a trial, counts as a mishap)


class Spot(NamedTuple):
    """Where something may go wrong, and what; "" is all channels, personas or products."""

    type: str
    topic: str
    stage: str
    channel: str
    persona: str
    product: str


@dataclass(slots=True)
class Tally:
    """How often it could have gone wrong and did: inside the period, and outside of it."""

    n: float = 0
    hits: float = 0
    value: float = 0  # of the journeys that met it, in ten-thousandths
    n_outside: float = 0
    hits_outside: float = 0

    def without(self, other: Tally) -> Tally:
        """The rest: this one is the whole of which the other is a part."""
        return Tally(
            max(0, self.n - other.n),
            max(0, self.hits - other.hits),
            max(0, self.value - other.value),
            max(0, self.n_outside - other.n_outside),
            max(0, self.hits_outside - other.hits_outside),
        )


@dataclass(slots=True)
class Tallies:
    """All trials of one category."""

    of: dict[Spot, Tally] = field(default_factory=dict)
    # stage, persona → bucket → [inside, outside, value inside] of stays that went on
    dwells: dict[tuple[str, str], dict[int, list[int]]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # roadblock → whose it is


Counted = Iterable[tuple[Sequence[str], int, int, int, int]]  # key, n and total, inside and outside


def tallies(counted: Counted) -> Tallies:
    """Trials and mishaps of a category from its counters, whose keys begin as a ``Key``."""
    found = Tallies()
    there: dict[tuple[str, str, str, str], list[int]] = {}  # who could have met a roadblock
    for key, n, total, out, _ in counted:
        _, name, bucket, persona, stage, channel, product, *_ = key
        if name == "stay":
            _dwell(found, bucket, stage, persona, (n, out, total))
        elif name == "roadblock":
            kind, _, owner = bucket.partition("|")
            found.owners[kind] = owner
        if name in ("stay", "waiting", "left"):  # of all channels, of one, or of a product
            for place in places(name, persona, channel, product):
                counts = there.setdefault((stage, *place), [0, 0])
                counts[0] += n
                counts[1] += out
        for spot, (trial, mishap) in spots(key):
            tally = found.of.get(spot)
            if tally is None:
                tally = found.of[spot] = Tally()
            if trial:
                tally.n += n
                tally.n_outside += out
            if mishap:
                tally.hits += n
                tally.hits_outside += out
                tally.value += total
    for spot, tally in found.of.items():
        if spot.type == "roadblock":
            tally.n, tally.n_outside = there.get(spot[2:], (0, 0))
    return found


def spots(key: Sequence[str]) -> Iterator[tuple[Spot, tuple[int, int]]]:
    """Of which spots a counter tells trials or mishaps."""
    _, name, bucket, persona, stage, channel, product, *_ = key
    for type_, topic, counts in parts(name, bucket):
        for place in places(name, persona, channel, product):
            yield Spot(type_, topic, stage, *place), counts


def places(name: str, persona: str, channel: str, product: str) -> Iterator[tuple[str, str, str]]:
    """(channel, persona, product) that a counter tells something about, beside its own."""
    if product:
        yield "", "", product
        return
    if name in ALL_CHANNELS or name == "reached":
        channels = [channel] if channel != UNKNOWN else []
    else:
        channels = [""] if channel in ("", UNKNOWN) else ["", channel]
    for each in channels:
        yield each, "", ""
        if persona:
            yield each, persona, ""


def parts(name: str, bucket: str) -> Iterator[Part]:
    """What a counter says: of which trouble it is a trial, a mishap, or both.

    A journey that goes back or in circles between stages is the drop-off of the stage that it left;
    it is not told a second time for the journey as a whole. Circles within a stage are the detours.
    """
    first, _, rest = bucket.partition("|")
    if name in ("stay", "left") and first != "open":
        yield "drop_off", "", TRIAL if first.startswith("progress") else BOTH
    elif name == "step":
        end, _, often = rest.partition("|")
        if first not in NATURAL:
            yield "detour", f"{first} again", BOTH if often == "again" else TRIAL
        if end != "open":
            yield "drop_off", first, TRIAL if end == "progress" else BOTH
    elif name == "promise" and rest != "open":
        yield "promise", first, BOTH if rest == "missed" else TRIAL
    elif name in ("nps", "csat", "ces"):
        good = is_good(name, bucket)
        if good is not None:
            yield "feedback", name, TRIAL if good else BOTH
    elif name == "roadblock":
        yield "roadblock", first, MISHAP
    elif name == "repeat":
        yield "repeat", "", MISHAP
    elif name == "contact":
        yield "repeat", "", TRIAL
    elif name == "funnel":
        _, step, end = rest.split("|")
        if end in ("on", "stop"):
            yield "drop_off", f"{first}: {step}", BOTH if end == "stop" else TRIAL


def _dwell(
    found: Tallies, bucket: str, stage: str, persona: str, counted: tuple[int, int, int]
) -> None:
    """Keep how long a stay took after which the journey came further."""
    way, _, length = bucket.rpartition("|")
    if not way.startswith("progress"):
        return
    for who in {"", persona}:
        lengths = found.dwells.setdefault((stage, who), {})
        counts = lengths.setdefault(int(length), [0, 0, 0])
        for index, value in enumerate(counted):
            counts[index] += value


def score_of(bucket: str) -> tuple[float, float | None] | None:
    """(score, best possible) of an answer's bucket; None where it is no number."""
    first, _, scale = bucket.partition("/")
    try:
        return float(first), float(scale) if scale else None
    except ValueError:
        return None


SCALES: Mapping[str, float] = {"nps": 10, "csat": 5, "ces": 7}  # where an answer names none


def is_good(name: str, bucket: str) -> bool | None:
    """Whether an answer is no mishap; None where it cannot be told."""
    found = score_of(bucket)
    if found is None:
        return None
    score, scale = found
    if name == "nps":
        return score > HIGHEST_DETRACTOR
    return score >= SATISFIED * (scale or SCALES[name])
