"""What comes next: where journeys went from a stage, how soon, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from journeys.measures import bucket_of, edges
from journeys.model import prefixes
from journeys.statistics import CONFIDENCE, wilson

LEAST = 30  # stays that are at least needed; with fewer the next wider group is asked
DAY = 86_400.0


@dataclass(slots=True)
class Stays:
    """How the stays in one stage went, in log-spaced buckets of seconds."""

    ended: Counter[tuple[str, int]] = field(default_factory=Counter)  # where to, bucket
    waiting: Counter[int] = field(default_factory=Counter)  # of those that go on: bucket of age

    @property
    def n(self) -> int:
        """All of them."""
        return self.ended.total() + self.waiting.total()


class Next(NamedTuple):
    """One way on, given that the journey is still here."""

    to: str  # a stage, or an outcome
    probability: float
    low: float
    high: float
    p50_days: float | None  # half of those that go this way have gone by then, from now
    p90_days: float | None


class Outlook(NamedTuple):
    """What may be expected of a journey in a stage."""

    stage: str
    group: str  # whose stays it is learned from: "shoes, regular", "shoes", "" for all
    n: int  # stays that had lasted as long as this one, at the least
    ways: tuple[Next, ...]  # the likeliest first; none where there are too few stays


def outlook(
    stage: str,
    groups: Iterable[tuple[str, Stays]],
    waited: float = 0.0,
    *,
    least: int = LEAST,
    confidence: float = CONFIDENCE,
) -> Outlook:
    """The ways on from a stage after so many seconds in it.

    ``groups`` are (name, stays), the closest first; the first in which enough stays lasted as long
    counts (back-off). The probabilities are those of competing risks: of the stays that are not
    over only their age is known (Aalen-Johansen on buckets; within the time that was observed).
    """
    name, n = "", 0
    for name, stays in groups:
        n = lasted(stays, waited)
        if n >= least:
            return Outlook(stage, name, n, tuple(ways(stays, waited, n, confidence)))
    return Outlook(stage, name, n, ())


def lasted(stays: Stays, waited: float) -> int:
    """How many stays are known to have lasted so long."""
    first = first_bucket(waited)
    over = sum(n for (_, bucket), n in stays.ended.items() if bucket >= first)
    return over + sum(n for bucket, n in stays.waiting.items() if bucket >= first)


def first_bucket(waited: float) -> int:
    """The first bucket whose stays count as longer: the one that the time lies in."""
    return bucket_of(waited) if waited > 0 else 0


def ways(stays: Stays, waited: float, n: int, confidence: float) -> Iterator[Next]:
    """Every way on with its probability and when, the likeliest first."""
    steps = incidence(stays, first_bucket(waited))
    totals: Counter[str] = Counter()
    for each in steps.values():
        totals.update(each)
    for to, probability in sorted(totals.items(), key=lambda each: (-each[1], each[0])):
        sure = wilson(probability * n, n, confidence)
        curve = [(bucket, each[to]) for bucket, each in sorted(steps.items()) if to in each]
        yield Next(
            to,
            round(probability, 4),
            round(sure.low, 4),
            round(sure.high, 4),
            when(curve, 0.5, waited),
            when(curve, 0.9, waited),
        )


def incidence(stays: Stays, first: int) -> dict[int, dict[str, float]]:
    """Bucket → way → how likely a stay that lasted to ``first`` ends so in that bucket.

    Those that are still open in a bucket count as at risk in it, and leave it unseen.
    """
    at_risk = sum(n for (_, bucket), n in stays.ended.items() if bucket >= first)
    at_risk += sum(n for bucket, n in stays.waiting.items() if bucket >= first)
    ended: dict[int, dict[str, int]] = {}
    for (to, bucket), n in stays.ended.items():
        if bucket >= first and n > 0:
            ended.setdefault(bucket, {})[to] = n
    still, found = 1.0, {}
    buckets = sorted({*ended, *(bucket for bucket in stays.waiting if bucket >= first)})
    for bucket in buckets:
        if at_risk <= 0:
            break
        over = ended.get(bucket, {})
        if over:
            found[bucket] = {to: still * n / at_risk for to, n in over.items()}
            still *= 1 - sum(over.values()) / at_risk
        at_risk -= sum(over.values()) + stays.waiting.get(bucket, 0)
    return found


def when(curve: Sequence[tuple[int, float]], share: float, waited: float) -> float | None:
    """Days from now until a share of those that go one way have gone, by (bucket, probability)."""
    total = sum(mass for _, mass in curve)
    wanted, below = share * total, 0.0
    for bucket, mass in curve:
        if mass and below + mass >= wanted:
            low, high = edges(bucket)
            low = max(low, waited)
            high = max(high, low)
            part = (wanted - below) / mass
            length = low * (high / low) ** part if low > 0 else part * high
            return round(max(0.0, length - waited) / DAY, 3)
        below += mass
    return None


# -- from counters ---------------------------------------------------------------------------------


Counted = Iterable[tuple[Sequence[str], int]]  # key in the order of `measures.Key`, n


def stays_of(counted: Counted, as_of: datetime) -> dict[tuple[str, str], Stays]:
    """(stage, persona) → its stays, from the counters of a category; persona "" is everybody."""
    found: dict[tuple[str, str], Stays] = {}
    for (_, name, bucket, persona, stage, *_), n in counted:
        if name == "stay":
            way, _, length = bucket.rpartition("|")
            entry: tuple[str, int] = (way.partition(">")[2], int(length))
        elif name == "waiting":
            entered = datetime.fromisoformat(bucket).replace(tzinfo=as_of.tzinfo)
            entry = ("", bucket_of(max(0.0, (as_of - entered).total_seconds())))
        else:
            continue
        for who in {"", persona}:
            stays = found.setdefault((stage, who), Stays())
            if name == "stay":
                stays.ended[entry] += n
            else:
                stays.waiting[entry[1]] += n
    return found


def groups_of(
    by_category: Mapping[str, Mapping[tuple[str, str], Stays]],
    category: str | None,
    persona: str | None,
    stage: str,
) -> Iterator[tuple[str, Stays]]:
    """(name, stays) of a stage, the closest group first: persona, category, its parents, all."""
    own = by_category.get(category or "", {})
    if persona and (stage, persona) in own:
        yield f"{category or 'no category'}, {persona}", own[stage, persona]
    for path in reversed(prefixes(category)):
        merged = merge(
            stays[stage, ""]
            for name, stays in by_category.items()
            if (name == path or name.startswith(f"{path}/")) and (stage, "") in stays
        )
        if merged.n:
            yield path, merged
    yield "", merge(stays[stage, ""] for stays in by_category.values() if (stage, "") in stays)


def merge(several: Iterable[Stays]) -> Stays:
    """The stays of several groups together."""
    found = Stays()
    for each in several:
        found.ended.update(each.ended)
        found.waiting.update(each.waiting)
    return found
