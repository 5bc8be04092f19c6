"""Two maps of one category side by side: what changed, by how much, and whether by chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from journeys.statistics import CONFIDENCE, difference

Map = Mapping[str, Any]
MOST = 20  # changes that are listed


class Change(NamedTuple):
    """One share that moved."""

    what: str  # "conversion", "progress of evaluating", "promise first_reply kept in using" …
    before: float
    after: float
    difference: float
    low: float
    high: float
    n_before: int
    n_after: int


def changes(before: Map, after: Map, confidence: float = CONFIDENCE) -> list[Change]:
    """Shares whose difference is beyond chance, the largest sure difference first."""
    found = []
    earlier = dict(shares(before))
    for what, (value, n) in shares(after):
        value_before, n_before = earlier.get(what, (0.0, 0))
        if not n or not n_before:
            continue
        moved = difference(value * n, n, value_before * n_before, n_before, confidence)
        if moved.low > 0 or moved.high < 0:
            by, low, high = (round(each, 4) for each in moved)
            found.append(Change(what, value_before, value, by, low, high, n_before, n))
    return sorted(found, key=lambda each: (-sure(each), each.what))[:MOST]


def sure(change: Change) -> float:
    """The size of the difference that is beyond chance."""
    return change.low if change.low > 0 else -change.high


def shares(drawn: Map) -> Iterator[tuple[str, tuple[float, int]]]:
    """All shares of a map by name, each with what it is a share of."""
    for name in ("conversion", "retention"):
        yield from _share(name, drawn[name])
    journeys = drawn["journeys"]
    ended = sum(journeys["outcomes"].values())  # how what is still open will end, nobody knows
    for outcome, n in journeys["outcomes"].items():
        yield f"ended as {outcome}", (n / ended, ended)
    for stop in drawn["stages"]:
        stage = stop["stage"]
        yield from _share(f"progress of {stage}", stop["progress"])
        for name, n in stop["conditions"].items():
            total = sum(stop["conditions"].values())
            yield f"{name} in {stage}", (n / total, total)
        for name, promise in stop["promises"].items():
            yield from _share(f"promise {name} kept in {stage}", promise)
        if "csat" in stop["answers"]:
            yield from _share(f"csat in {stage}", stop["answers"]["csat"])


def _share(name: str, found: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, int]]]:
    if found["n"]:
        yield name, (found["value"], found["n"])


class Drift(NamedTuple):
    """How far the ways through a category have moved, effect size first."""

    divergence: float  # Jensen-Shannon, base 2: 0 the same ways, 1 nothing in common
    g: float  # likelihood-ratio statistic of the moves of all stages
    degrees: int
    p: float  # how likely it is by chance alone
    n_before: int
    n_after: int


def drift(before: Map, after: Map) -> Drift | None:
    """The moves out of each stage compared, each stage on its own; None without moves on a side.

    G is the sum over the stages that both maps have left; the divergence is their mean, weighted
    by how often the stage was left.
    """
    rows_before, rows_after = rows(before), rows(after)
    g, degrees, divergence, weight, n_before, n_after = 0.0, 0, 0.0, 0, 0, 0
    for stage in sorted(rows_before.keys() & rows_after.keys()):
        one, other = rows_before[stage], rows_after[stage]
        ways = sorted(one.keys() | other.keys())
        pair = ([one.get(way, 0) for way in ways], [other.get(way, 0) for way in ways])
        n, m = sum(pair[0]), sum(pair[1])
        if not n or not m:
            continue
        g += g_of(pair)
        degrees += len(ways) - 1
        divergence += (n + m) * jensen_shannon(*pair)
        weight += n + m
        n_before += n
        n_after += m
    if not weight:
        return None
    return Drift(
        round(divergence / weight, 6),
        round(g, 6),
        degrees,
        chi_square_tail(g, degrees),
        n_before,
        n_after,
    )


def rows(drawn: Map) -> dict[str, dict[str, int]]:
    """Stage → where it was left to → how often."""
    found: dict[str, dict[str, int]] = {}
    for flow in drawn["flows"]:
        found.setdefault(flow["from"], {})[flow["to"]] = flow["count"]
    for stop in drawn["stages"]:
        for outcome, n in stop["lost"].items():
            found.setdefault(stop["stage"], {})[f"loss:{outcome}"] = n
    return found


def g_of(pair: tuple[Sequence[int], Sequence[int]]) -> float:
    """The likelihood-ratio statistic of a table of two rows."""
    totals = (sum(pair[0]), sum(pair[1]))
    n = sum(totals)
    found = 0.0
    for column in zip(*pair, strict=True):
        for observed, total in zip(column, totals, strict=True):
            if observed:
                found += observed * math.log(observed * n / (total * sum(column)))
    return max(0.0, 2 * found)


def jensen_shannon(one: Sequence[int], other: Sequence[int]) -> float:
    """The divergence of two distributions given as counts, between 0 and 1."""
    n, m = sum(one), sum(other)
    found = 0.0
    for a, b in zip(one, other, strict=True):
        p, q = a / n, b / m
        middle = (p + q) / 2
        found += sum(x * math.log2(x / middle) for x in (p, q) if x) / 2
    return max(0.0, found)


def chi_square_tail(x: float, degrees: int) -> float:
    """P(chi-square > x), by the regularised incomplete gamma function.

    Series below the mean, Lentz's continued fraction above it (Press et al., 6.2).
    """
    if degrees < 1 or x <= 0:
        return 1.0
    a, half = degrees / 2, x / 2
    front = math.exp(a * math.log(half) - half - math.lgamma(a))
    if half < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-16:
            n += 1
            term *= half / n
            total += term
        return max(0.0, 1 - front * total)
    b = half + 1 - a
    c = 1e300
    d = 1 / b
    fraction = d
    for i in range(1, 10_000):
        step = i * (a - i)
        b += 2
        d = 1 / (step * d + b or 1e-300)
        c = b + step / c or 1e-300
        fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return min(1.0, front * fraction)
