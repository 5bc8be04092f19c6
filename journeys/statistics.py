"""Intervals and tests for counts: small, exact where that is short, checked against statsmodels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from journeys.measures import edges

NORMAL = NormalDist()
CONFIDENCE = 0.95
NPS_EXTRA = 0.75  # promoters and detractors added each; with 3 answers in all (Rocks 2016)


class Interval(NamedTuple):
    """An estimate, and the bounds between which the truth lies with some confidence."""

    value: float
    low: float
    high: float


def z_of(confidence: float) -> float:
    """How many standard errors a two-sided interval reaches to either side."""
    return NORMAL.inv_cdf((1 + confidence) / 2)


def wilson(hits: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """A share with Wilson's interval; of nothing, anything may be true."""
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    z = z_of(confidence)
    share, square = hits / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return Interval(share, max(0.0, middle - reach), min(1.0, middle + reach))


def nps(promoters: int, detractors: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Net promoter score between -100 and 100, with the adjusted-Wald interval.

    Three answers are added, three quarters of one as a promoter and as a detractor each; the
    interval lies around that adjusted score.
    """
    if n <= 0:
        return Interval(0.0, -100.0, 100.0)
    more = n + 4 * NPS_EXTRA
    up, down = (promoters + NPS_EXTRA) / more, (detractors + NPS_EXTRA) / more
    middle = up - down
    reach = z_of(confidence) * math.sqrt((up + down - middle * middle) / more)
    return Interval(
        100 * (promoters - detractors) / n,
        max(-100.0, 100 * (middle - reach)),
        min(100.0, 100 * (middle + reach)),
    )


def mean(scores: Iterable[tuple[float, int]], confidence: float = CONFIDENCE) -> Interval | None:
    """The mean of (score, how often), with Student's interval; None without two answers."""
    given = [(score, n) for score, n in scores if n > 0]
    n = sum(count for _, count in given)
    if n < 2:
        return None
    middle = sum(score * count for score, count in given) / n
    variance = sum(count * (score - middle) ** 2 for score, count in given) / (n - 1)
    reach = student(confidence, n - 1) * math.sqrt(variance / n)
    return Interval(middle, middle - reach, middle + reach)


def student(confidence: float, degrees: int) -> float:
    """The two-sided quantile of Student's t, by halving; exact for whole degrees of freedom."""
    low, high = 0.0, 1.0
    while student_share(high, degrees) < confidence:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        if student_share(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def student_share(t: float, degrees: int) -> float:
    """P(-t < T < t), Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    term, total = 1.0, 0.0
    if degrees % 2:
        term = math.cos(angle)
        for k in range(1, (degrees - 1) // 2 + 1):
            total += term
            term *= square * 2 * k / (2 * k + 1)
        return 2 / math.pi * (angle + sine * total)
    for k in range(degrees // 2):
        total += term
        term *= square * (2 * k + 1) / (2 * k + 2)
    return sine * total


def difference(
    hits: float, n: float, other_hits: float, other_n: float, confidence: float = CONFIDENCE
) -> Interval:
    """One share less another, with Newcombe's interval from the two Wilson intervals."""
    one, other = wilson(hits, n, confidence), wilson(other_hits, other_n, confidence)
    middle = one.value - other.value
    return Interval(
        middle,
        middle - math.hypot(one.value - one.low, other.high - other.value),
        middle + math.hypot(one.high - one.value, other.value - other.low),
    )


def p_larger(hits: float, n: float, other_hits: float, other_n: float) -> float:
    """How likely a share exceeds another at least so far by chance; pooled z-test, one-sided."""
    if n <= 0 or other_n <= 0:
        return 1.0
    pooled = (hits + other_hits) / (n + other_n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    if error == 0:
        return 1.0
    return upper_tail((hits / n - other_hits / other_n) / error)


def p_above(hits: float, n: float, share: float) -> float:
    """How likely a share exceeds a declared one at least so far by chance; z-test, one-sided."""
    if n <= 0:
        return 1.0
    found = hits / n
    error = math.sqrt(share * (1 - share) / n)
    if error == 0:
        return 0.0 if found > share else 1.0
    return upper_tail((found - share) / error)


def upper_tail(z: float) -> float:
    """P(Z > z), without loss far out."""
    return math.erfc(z / math.sqrt(2)) / 2


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number: those below q hold a share q of false alarms."""
    n = len(p_values)
    adjusted = [1.0] * n
    least = 1.0
    order = sorted(range(n), key=p_values.__getitem__, reverse=True)
    for rank, place in zip(range(n, 0, -1), order, strict=True):
        least = min(least, p_values[place] * n / rank)
        adjusted[place] = least
    return adjusted


def prior_strength(groups: Iterable[tuple[float, float]]) -> float:
    """How many observations the parent's share is worth, by how much its groups differ.

    From (hits, n) of the groups, by the method of moments of a beta-binomial (Kleinman 1973);
    infinite where they differ no more than chance makes them.
    """
    given = [(hits, n) for hits, n in groups if n > 0]
    n = sum(count for _, count in given)
    if len(given) < 2 or n <= len(given):
        return math.inf
    share = sum(hits for hits, _ in given) / n
    noise = share * (1 - share)
    spare = n - sum(count * count for _, count in given) / n - (len(given) - 1)
    if noise == 0 or spare <= 0:
        return math.inf
    spread = sum(count * (hits / count - share) ** 2 for hits, count in given)
    correlation = (spread - noise * (len(given) - 1)) / (noise * spare)
    if correlation <= 0:
        return math.inf
    return max(0.0, (1 - correlation) / correlation)


def shrunk(hits: float, n: float, parent_share: float, strength: float) -> float:
    """The share of a small group, drawn towards its parent's."""
    if math.isinf(strength):
        return parent_share
    return (hits + strength * parent_share) / (n + strength) if n + strength else parent_share


def quantile(buckets: Iterable[tuple[int, int]], share: float) -> float | None:
    """A quantile of lengths from (log-spaced bucket, how many); None of nothing.

    Within a bucket lengths are taken to be evenly spread on the logarithmic scale.
    """
    given = sorted((bucket, n) for bucket, n in buckets if n > 0)
    total = sum(n for _, n in given)
    if not total:
        return None
    wanted, below = share * total, 0
    for bucket, n in given:
        if below + n >= wanted:
            low, high = edges(bucket)
            part = (wanted - below) / n
            return part * high if low == 0 else low * (high / low) ** part
        below += n
    return edges(given[-1][0])[1]


def above(buckets: Iterable[tuple[int, int]], length: float) -> float:
    """How many lengths exceed one, from (log-spaced bucket, how many)."""
    found = 0.0
    for bucket, n in buckets:
        low, high = edges(bucket)
        if low >= length:
            found += n
        elif high > length:
            part = length / high if low == 0 else math.log(length / low) / math.log(high / low)
            found += n * (1 - part)
    return found
