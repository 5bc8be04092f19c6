"""Gaps of a store: found in its counters or between two moments, kept, and traced to journeys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from journeys.gaps import Gap, Rules, gap_id, gaps, ranked
from journeys.measures import PARTS, Counters, add, counting, measures, window
from journeys.model import StageModel
from journeys.tallies import NAMES, tallies
from target_journeys.counting import journeys_of
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import GAP_COLUMNS

DIGITS = 6  # of what is stored and shown
INSIDE = "inside"  # the period that a window calls its own


@dataclass(frozen=True, slots=True)
class Money:
    """What journeys of a category are worth."""

    currency: str | None  # None where there are several, or it is not known
    mean: float  # of the journeys whose value is known


def find(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    category: str,
    periods: Sequence[str],
) -> list[tuple[object, ...]]:
    """The gaps of a category in some periods, beside all others, in the order of GAP_COLUMNS."""
    counted = store.experience.inside_and_outside(category, NAMES, periods)
    found = gaps(tallies(counted), rules_of(model, settings, category))
    money = money_of(store.experience.worth(category))
    return [gap_row(category, shown(periods), gap, money) for gap in found]


def between(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    category: str,
    moments: tuple[datetime, datetime],
) -> list[tuple[object, ...]]:
    """As :func:`find`, for what happened from one moment up to another; reads all journeys."""
    sums = list(sums_between(store, model, category, moments))
    found = gaps(
        tallies(sums),
        rules_of(model, settings, category),
    )
    money = money_of(
        (key[2], n + out, total + rest) for key, n, total, out, rest in sums if key[1] == "value"
    )
    first, beyond = (f"{moment:%Y-%m-%d}" for moment in moments)
    return [gap_row(category, f"{first}..{beyond}", gap, money) for gap in found]


def sums_between(
    store: SQLiteStore, model: StageModel, category: str, moments: tuple[datetime, datetime]
) -> Iterator[tuple[tuple[str, ...], int, int, int, int]]:
    """(key without its period, n and total between two moments, n and total of the rest)."""
    how = counting(model, window(*moments))
    counters: Counters = {}
    for journey in journeys_of(store.experience.journeys(category)):
        add(counters, measures(journey, how), 1)
    sums: dict[tuple[str, ...], list[int]] = {}
    for (*key, period), (n, total) in counters.items():
        place = 0 if period == INSIDE else 2
        counts = sums.setdefault(tuple(key), [0, 0, 0, 0])
        counts[place] += n
        counts[place + 1] += total
    for name, (n, total, out, rest) in sums.items():
        yield name, n, total, out, rest


def with_ranks(
    rows: Iterable[Sequence[object]], worths: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Gaps as mappings, ranked, the worst first."""
    found: dict[str, dict[str, Any]] = {
        str(row[0]): dict(zip(GAP_COLUMNS, row, strict=True)) for row in rows
    }
    excesses = [(name, each["category"], each["excess"]) for name, each in found.items()]
    return [
        found[name] | {"rank": rank, "score": round(score, DIGITS)}
        for name, rank, score in ranked(excesses, worths)
    ]


def rules_of(model: StageModel, settings: ExperienceSettings, category: str) -> Rules:
    """When a difference is a gap, and what was promised in a category."""
    promises: Any = getattr(model.category(category or None), "promises", {})
    targets = {name: each.share for name, each in promises.items() if each.share is not None}
    return Rules(settings.minimum, settings.confidence, targets)


def money_of(counted: Iterable[tuple[str, int, int]]) -> Money:
    """From (currency, journeys, their value in ten-thousandths)."""
    given = [(currency, n, total) for currency, n, total in counted if n]
    if len({currency for currency, _, _ in given}) != 1:
        return Money(None, 0.0)  # amounts of several currencies do not add up
    ((currency, n, total),) = given
    return Money(currency, total / PARTS / n)


def shown(periods: Sequence[str]) -> str:
    """Periods in one text: ``2026-01..2026-03``."""
    return "..".join(sorted({min(periods), max(periods)})) if periods else ""


def gap_row(category: str, period: str, gap: Gap, money: Money) -> tuple[object, ...]:
    """A gap in the order of GAP_COLUMNS, not ranked yet."""
    spot = gap.spot
    return (
        gap_id(category, spot),
        None,
        category,
        spot.stage,
        spot.channel,
        spot.persona,
        spot.product,
        period,
        spot.type,
        spot.topic,
        gap.owner,
        gap.kind,
        gap.reach,
        gap.hits,
        *(round(value, DIGITS) for value in gap.rate),
        round(gap.reference, DIGITS),
        gap.reference_from,
        round(gap.severity, DIGITS),
        round(gap.severity_low, DIGITS),
        gap.p_adjusted,
        gap.simpson,
        round(gap.excess, DIGITS),
        None if money.currency is None else round(gap.value, 2),
        money.currency,
        None,
    )
