"""Gaps of a store: found in its counters or between two moments, kept, and traced to journeys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from journeys.gaps import Gap, Rules, gap_id, gaps, ranked
from journeys.measures import INSIDE, OUTSIDE, PARTS, PERIODS, Period, counting, window
from journeys.model import StageModel
from journeys.tallies import NAMES, Tallies, tallies
from target_journeys.counting import counted
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import GAP_COLUMNS

DIGITS = 6  # of what is stored and shown


@dataclass(frozen=True, slots=True)
class Window:
    """When: some of the counted periods, or any two moments."""

    text: str  # for people: "2026-01..2026-03"
    period: Period  # INSIDE or not
    periods: tuple[str, ...] | None = None  # where counters say it all

    @staticmethod
    def of(settings: ExperienceSettings, text: str) -> Window:
        """The counted periods from one to another, as :func:`shown` writes them."""
        first, _, last = text.partition("..")
        period_of = PERIODS[settings.period]

        def period(moment: str) -> str:
            return INSIDE if first <= period_of(moment) <= (last or first) else OUTSIDE

        return Window(text, period)


def window_of(
    store: SQLiteStore,
    settings: ExperienceSettings,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Window | None:
    """What the options say; None where they say nothing. Raises ``ValueError``."""
    if period is not None and (since or until):
        raise ValueError("--period: leave it out where --from and --to are given.")
    if period is not None:
        known = store.experience.periods()
        if period not in known:
            among = f"{known[0]} to {known[-1]}" if known else "none yet"
            raise ValueError(f"--period: nothing was counted in {period}. Known: {among}.")
        return replace(Window.of(settings, period), periods=(period,))
    if since is None and until is None:
        return None
    if since is None or until is None or since >= until:
        raise ValueError("--from, --to: give both, the earlier one first.")
    text = f"{since:%Y-%m-%dT%H:%M:%S}..{until:%Y-%m-%dT%H:%M:%S}".replace("T00:00:00", "")
    return Window(text, window(since, until))


@dataclass(frozen=True, slots=True)
class Money:
    """What journeys of a category are worth."""

    currency: str | None  # None where there are several, or it is not known
    mean: float  # of the journeys whose value is known


def find_all(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    when: Window | None,
    category: str | None = None,
) -> list[dict[str, Any]]:
    """Gaps as mappings, the worst first: those that are kept, or those of a window."""
    experience = store.experience
    said = experience.feasibility()
    if when is None:
        found = [as_mapping(row) for row in experience.gaps()]
        found = [gap for gap in found if category in (None, gap["category"])]
    else:
        wanted = [each for each in experience.categories() if category in (None, each)]
        rows = [row for each in wanted for row in find(store, model, settings, each, when)]
        worths = {each: money_of(experience.worth(each)).mean for each in wanted}
        found = with_ranks(rows, worths)
    for gap in found:
        feasibility, note = said.get(str(gap["gap_id"]), (None, None))
        priority = None if feasibility is None else round(gap["score"] * feasibility, DIGITS)
        gap |= {"feasibility": feasibility, "note": note, "priority": priority}
    return found


def find(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    category: str,
    when: Window,
) -> list[tuple[object, ...]]:
    """The gaps of a category in a window, beside all other time, in the order of GAP_COLUMNS."""
    found = gaps(
        tallies_of(store, model, settings, category, when), rules_of(model, settings, category)
    )
    money = money_of(store.experience.worth(category))
    return [gap_row(category, when.text, gap, money) for gap in found]


def tallies_of(
    store: SQLiteStore,
    model: StageModel,
    settings: ExperienceSettings,
    category: str,
    when: Window,
) -> Tallies:
    """Trials of a category inside and outside a window: from the counters, else from journeys."""
    if when.periods is not None:
        return tallies(store.experience.inside_and_outside(category, NAMES, when.periods))
    counters = counted(store.experience.journeys(category), counting(model, when.period))
    sums: dict[tuple[str, ...], list[int]] = {}
    for (*key, period), (n, total) in counters.items():
        counts = sums.setdefault(tuple(key), [0, 0, 0, 0])
        place = 0 if period == INSIDE else 2
        counts[place] += n
        counts[place + 1] += total
    return tallies((key, n, total, out, rest) for key, (n, total, out, rest) in sums.items())


def with_ranks(
    rows: Iterable[Sequence[object]], worths: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Gaps as mappings, ranked, the worst first."""
    found = {str(row[0]): as_mapping(row) for row in rows}
    excesses = [(name, each["category"], each["excess"]) for name, each in found.items()]
    return [
        found[name] | {"rank": rank, "score": round(score, DIGITS)}
        for name, rank, score in ranked(excesses, worths)
    ]


def as_mapping(row: Sequence[object]) -> dict[str, Any]:
    """A row of experience_gaps as people see it."""
    return dict(zip(GAP_COLUMNS, row, strict=True))


def rules_of(model: StageModel, settings: ExperienceSettings, category: str) -> Rules:
    """When a difference is a gap, and what was promised in a category."""
    targets = {each.name: each.target for each in model.category(category or None).owed}
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
