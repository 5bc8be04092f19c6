"""Experience gaps: where more goes wrong than was promised, or than in the same place elsewhere."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from journeys.measures import PARTS
from journeys.statistics import (
    Interval,
    above,
    benjamini_hochberg,
    difference,
    p_above,
    p_larger,
    prior_strength,
    quantile,
    shrunk,
    wilson,
)
from journeys.tallies import Spot, Tallies, Tally
from journeys.vocabulary import FAMILIES

SLOW = 0.9  # what took longer than nine in ten elsewhere is slow
PROMISE, EARLIER = "promise", "other periods"
ELSEWHERE = {"channel": "other channels", "persona": "other personas", "product": "other products"}
SAYS = frozenset({*FAMILIES["discovery"], *FAMILIES["message"], "information_repeated"})
DOES = frozenset(
    {*FAMILIES["purchase"], *FAMILIES["fulfilment"], *FAMILIES["support"], *FAMILIES["return"]}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """When a difference is a gap."""

    minimum: int = 30  # trials on either side
    confidence: float = 0.95
    targets: Mapping[str, float] | None = None  # promise → share that is to be kept


@dataclass(frozen=True, slots=True)
class Gap:
    """One moment where the experience breaks down, and how sure that is."""

    spot: Spot
    reach: int  # journeys, answers or promises that could have met it
    hits: int  # … and that did
    rate: Interval
    reference: float  # the share that would have been no gap
    reference_from: str
    severity: float  # share beyond the reference, drawn towards the parent's
    severity_low: float  # … which it exceeds with the confidence that was asked for
    p_adjusted: float
    value: float  # of the journeys that met it, in their currency
    simpson: str = ""  # "hidden": the pooled figure shows none; "mix": no single product has it
    owner: str | None = None
    kind: str | None = None  # "service" or "communication"

    @property
    def excess(self) -> float:
        """How many fewer would have met it at the reference, at the least."""
        return self.reach * self.severity_low


def gap_id(category: str, spot: Spot) -> str:
    """Names a gap the same in every run and period."""
    text = "\x1f".join((category, *spot))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def gaps(found: Tallies, rules: Rules) -> list[Gap]:
    """The gaps of one category, those that cost most first."""
    tallies = {**found.of, **dict(_dwells(found, rules))}
    compared = list(_compared(tallies, rules))
    adjusted = benjamini_hochberg([each.p for each in compared])
    best: dict[Spot, Gap] = {}
    beside: dict[Spot, set[str]] = {}  # what it is worse than, beyond doubt
    strengths = _strengths(tallies)
    for comparison, p in zip(compared, adjusted, strict=True):
        if p > 1 - rules.confidence:
            continue
        gap = _gap(comparison, p, tallies, strengths, rules)
        if gap.severity_low <= 0:
            continue
        beside.setdefault(gap.spot, set()).add(gap.reference_from)
        known = best.get(gap.spot)
        if known is None or known.severity_low < gap.severity_low:
            best[gap.spot] = gap
    parts = [gap for gap in best.values() if not _is_told_by_whole(gap.spot, beside)]
    explained = {
        whole
        for part in parts
        for whole, _ in parents(part.spot)
        if whole in best and _is_told_by_part(best[whole], part.spot, beside, tallies, rules)
    }
    kept = [gap for gap in parts if gap.spot not in explained]
    judged = [_judged(gap, best, tallies, found.owners) for gap in kept]
    return sorted(judged, key=lambda gap: (-gap.excess, gap.spot))


# -- comparing -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Comparison:
    spot: Spot
    hits: float
    n: float
    other_hits: float  # of a promise: its share times other_n
    other_n: float  # infinite for a promise
    source: str
    p: float


def _compared(tallies: Mapping[Spot, Tally], rules: Rules) -> Iterator[_Comparison]:
    """Every spot with enough trials beside each reference that has enough of them."""
    for spot, tally in tallies.items():
        n, hits = tally.n, min(tally.hits, tally.n)
        if n < rules.minimum:
            continue
        target = (rules.targets or {}).get(spot.topic) if spot.type == "promise" else None
        if target is not None:
            missed = 1 - target
            yield _Comparison(spot, hits, n, missed, math.inf, PROMISE, p_above(hits, n, missed))
        elif tally.n_outside >= rules.minimum:
            yield _beside(spot, hits, n, tally.hits_outside, tally.n_outside, EARLIER)
        if spot.type == "dwell":
            continue  # its threshold is that of the other periods
        for whole, source in parents(spot):
            if whole in tallies:
                rest = tallies[whole].without(tally)
                if rest.n >= rules.minimum:
                    yield _beside(spot, hits, n, rest.hits, rest.n, source)


def _beside(
    spot: Spot, hits: float, n: float, other_hits: float, other_n: float, source: str
) -> _Comparison:
    other_hits = min(other_hits, other_n)
    return _Comparison(
        spot, hits, n, other_hits, other_n, source, p_larger(hits, n, other_hits, other_n)
    )


def parents(spot: Spot) -> Iterator[tuple[Spot, str]]:
    """The wholes that a spot is a part of, and what the rest of each is called."""
    for name, source in ELSEWHERE.items():
        if getattr(spot, name):
            yield spot._replace(**{name: ""}), source


def _strengths(tallies: Mapping[Spot, Tally]) -> dict[tuple[Spot, str], float]:
    """(whole, what the rest is called) → how many trials the whole's share is worth to a part."""
    groups: dict[tuple[Spot, str], list[tuple[float, float]]] = {}
    for spot, tally in tallies.items():
        if tally.n:
            for parent in parents(spot):
                groups.setdefault(parent, []).append((min(tally.hits, tally.n), tally.n))
    return {parent: prior_strength(parts) for parent, parts in groups.items()}


def _gap(
    compared: _Comparison,
    p: float,
    tallies: Mapping[Spot, Tally],
    strengths: Mapping[tuple[Spot, str], float],
    rules: Rules,
) -> Gap:
    """The comparison with the part's share drawn towards the whole's, as far as parts are alike."""
    spot, hits, n = compared.spot, compared.hits, compared.n
    drawn, known = hits / n, n
    for parent in parents(spot):
        whole = tallies.get(parent[0])
        if whole is not None and whole.n:
            share = min(whole.hits, whole.n) / whole.n
            strength = min(strengths[parent], whole.n)  # the whole knows no more than that
            towards = shrunk(hits, n, share, strength)
            if towards < drawn:
                drawn, known = towards, n + strength
    if math.isinf(compared.other_n):
        reference = compared.other_hits
        low = wilson(drawn * known, known, rules.confidence).low - reference
    else:
        reference = compared.other_hits / compared.other_n
        low = difference(
            drawn * known, known, compared.other_hits, compared.other_n, rules.confidence
        ).low
    return Gap(
        spot=spot,
        reach=round(n),
        hits=round(hits),
        rate=wilson(hits, n, rules.confidence),
        reference=reference,
        reference_from=compared.source,
        severity=drawn - reference,
        severity_low=low,
        p_adjusted=p,
        value=tallies[spot].value / PARTS,
    )


def _dwells(found: Tallies, rules: Rules) -> Iterator[tuple[Spot, Tally]]:
    """Stays that took longer than nine in ten did in the other periods."""
    for (stage, persona), lengths in found.dwells.items():
        n_outside = sum(counts[1] for counts in lengths.values())
        limit = slow_from(found, stage, persona)
        if limit is None or n_outside < rules.minimum:
            continue
        slow = [
            above(((bucket, counts[index]) for bucket, counts in lengths.items()), limit)
            for index in range(3)
        ]
        n = sum(counts[0] for counts in lengths.values())
        tally = Tally(n, slow[0], slow[2], n_outside, slow[1])
        yield Spot("dwell", "", stage, "", persona, ""), tally


def slow_from(found: Tallies, stage: str, persona: str) -> float | None:
    """From how many seconds on a stay is slow: nine in ten were shorter in the other periods."""
    lengths = found.dwells.get((stage, persona), {})
    return quantile(((bucket, counts[1]) for bucket, counts in lengths.items()), SLOW)


# -- choosing ------------------------------------------------------------------------------------


def _is_told_by_whole(spot: Spot, beside: Mapping[Spot, set[str]]) -> bool:
    """Whether a whole has the gap, too, and this part is no worse than the rest of it."""
    return any(
        whole in beside and source not in beside[spot] and beside[whole] & {PROMISE, EARLIER}
        for whole, source in parents(spot)
    )


def _is_told_by_part(
    gap: Gap,
    part: Spot,
    beside: Mapping[Spot, set[str]],
    tallies: Mapping[Spot, Tally],
    rules: Rules,
) -> bool:
    """Whether a whole is worse than before, or than promised, because of one part alone."""
    if not beside[part] & {PROMISE, EARLIER}:
        return False
    return not _is_gap_without(gap, tallies[gap.spot].without(tallies[part]), rules)


def _is_gap_without(gap: Gap, rest: Tally, rules: Rules) -> bool:
    if gap.reference_from == PROMISE:
        return wilson(min(rest.hits, rest.n), rest.n, rules.confidence).low > gap.reference
    hits, n = min(rest.hits, rest.n), rest.n
    other = min(rest.hits_outside, rest.n_outside)
    return difference(hits, n, other, rest.n_outside, rules.confidence).low > 0


def _judged(
    gap: Gap, best: Mapping[Spot, Gap], tallies: Mapping[Spot, Tally], owners: Mapping[str, str]
) -> Gap:
    """With what can be told of it beside its size."""
    simpson = ""
    pooled = gap.spot._replace(channel="", persona="", product="")
    if gap.spot.product and pooled not in best:
        simpson = "hidden"
    elif gap.spot == pooled and gap.reference_from == EARLIER and _is_mix(pooled, tallies):
        simpson = "mix"
    owner = owners.get(gap.spot.topic) if gap.spot.type == "roadblock" else None
    if gap.spot.type in ("promise", "repeat"):
        owner = "us"
    return replace(gap, simpson=simpson, owner=owner, kind=kind_of(gap.spot))


def _is_mix(pooled: Spot, tallies: Mapping[Spot, Tally]) -> bool:
    """Whether the difference vanishes within products: only their shares have shifted.

    By the risk difference of Mantel and Haenszel over the products that both sides have.
    """
    above_, weights, seen = 0.0, 0.0, 0.0
    for spot, each in tallies.items():
        if spot.product and spot._replace(product="") == pooled and each.n and each.n_outside:
            weight = each.n * each.n_outside / (each.n + each.n_outside)
            above_ += weight * (each.hits / each.n - each.hits_outside / each.n_outside)
            weights += weight
            seen += each.n
    return seen > tallies[pooled].n / 2 and weights > 0 and above_ / weights <= 0


def kind_of(spot: Spot) -> str | None:
    """Whether service or communication falls short; None where it may be either."""
    if spot.type == "repeat":
        return "communication"
    if spot.type in ("promise", "roadblock", "dwell"):
        return "service"
    step = spot.topic.rpartition(": ")[2].removesuffix(" again")
    if step in SAYS:
        return "communication"
    return "service" if step in DOES else None


# -- ranking -------------------------------------------------------------------------------------


def ranked(
    excesses: Sequence[tuple[str, str, float]], worths: Mapping[str, float]
) -> Iterable[tuple[str, int, float]]:
    """(gap, rank, score) from (gap, category, excess), the worst first.

    The score is the excess at the lower bound times what a journey of the category is worth
    beside one of the average category; 1 where that is not known.
    """
    known = [worth for worth in worths.values() if worth > 0]
    average = sum(known) / len(known) if known else 0.0
    scored = [
        (excess * (worths.get(category, 0) / average if worths.get(category, 0) > 0 else 1), gap)
        for gap, category, excess in excesses
    ]
    for rank, (score, gap) in enumerate(sorted(scored, key=lambda each: (-each[0], each[1])), 1):
        yield gap, rank, score
