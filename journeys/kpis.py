"""What is watched: conversion, retention, NPS, CSAT and effort, each with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from journeys.measures import GOOD_ENDS
from journeys.statistics import CONFIDENCE, Interval, mean, nps, wilson
from journeys.tallies import HIGHEST_DETRACTOR, LOWEST_PROMOTER, is_good, score_of

NAMES = ("stay", "waiting", "left", "journeys", "nps", "csat", "ces")  # the counters that it takes
BOUGHT = "bought"  # in the bucket of `journeys`: it came past the purchase


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure: of how many, and between which bounds it lies."""

    n: int
    found: Interval


@dataclass(slots=True)
class _Sums:
    """What the counters of one place come to."""

    entered: int = 0
    left: int = 0
    progress: int = 0
    journeys: int = 0
    bought: int = 0
    kept: int = 0
    answers: dict[str, dict[str, int]] = field(default_factory=dict)


Place = tuple[str, str]  # stage, persona; "" is the whole journey, and everybody


def kpis(
    counters: Iterable[tuple[Sequence[str], int]], confidence: float = CONFIDENCE
) -> dict[Place, dict[str, Kpi]]:
    """(stage, persona) → figure by name, of one category's counters: (key, n).

    `conversion` of a stage: of the stays that ended, those from which the journey came further; of
    the whole: of the journeys, those that came past the purchase. `retention` of the whole: of the
    journeys that came past it, those that did not end badly after it. `nps`, `csat` and `ces`: by
    the stage at the time of the answer; `satisfied` is the share of good answers of `csat`.
    """
    sums: dict[Place, _Sums] = {}
    for (_, name, bucket, persona, stage, channel, product, *_), n in counters:
        if product:
            continue
        for place in places(name, stage, persona, channel):
            _take(sums.setdefault(place, _Sums()), name, bucket, n)
    return {place: dict(_figures(found, confidence)) for place, found in sorted(sums.items())}


def places(name: str, stage: str, persona: str, channel: str) -> Iterable[Place]:
    """The places that a counter belongs to; answers count in their stage and in the whole."""
    if name == "left" and channel:
        return  # `stay` has those of all channels
    for each in {stage, ""} if name in ("nps", "csat", "ces") else {stage}:
        for who in {persona, ""}:
            yield each, who


def _take(found: _Sums, name: str, bucket: str, n: int) -> None:
    first, _, rest = bucket.partition("|")
    if name in ("stay", "waiting"):
        found.entered += n
        if name == "stay":
            found.left += n
            found.progress += n * first.startswith("progress")
    elif name == "journeys":
        found.journeys += n
        if rest == BOUGHT:
            found.bought += n
            found.kept += n * (first == "open" or first in GOOD_ENDS)
    elif name in ("nps", "csat", "ces"):
        of = found.answers.setdefault(name, {})
        of[bucket] = of.get(bucket, 0) + n


def _figures(found: _Sums, confidence: float) -> Iterable[tuple[str, Kpi]]:
    if found.left:
        yield "conversion", Kpi(found.left, wilson(found.progress, found.left, confidence))
    if found.journeys:
        yield "conversion", Kpi(found.journeys, wilson(found.bought, found.journeys, confidence))
    if found.bought:
        yield "retention", Kpi(found.bought, wilson(found.kept, found.bought, confidence))
    for name, buckets in sorted(found.answers.items()):
        yield from _answered(name, buckets, confidence)


def _answered(
    name: str, buckets: Mapping[str, int], confidence: float
) -> Iterable[tuple[str, Kpi]]:
    given = [(found[0], n) for text, n in buckets.items() if (found := score_of(text))]
    n = sum(count for _, count in given)
    if not n:
        return
    if name == "nps":
        up = sum(count for score, count in given if score >= LOWEST_PROMOTER)
        down = sum(count for score, count in given if score <= HIGHEST_DETRACTOR)
        yield name, Kpi(n, nps(up, down, n, confidence))
        return
    middle = mean(given, confidence)
    if middle is not None:
        yield name, Kpi(n, middle)
    if name == "csat":
        good = sum(count for text, count in buckets.items() if is_good(name, text))
        yield "satisfied", Kpi(n, wilson(good, n, confidence))
