"""All products at a glance: where their journeys stand, how they are doing and how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from target_journeys.stores.sqlite_report import Standing

HEADLINES = ("Considering", "Buying", "Using", "Returning", "Seeking support")
NO_CATEGORY = "no category"


@dataclass(slots=True)
class Row:
    """One category, or one product, in numbers."""

    category: str
    product: str | None  # None: the whole category
    journeys: int = 0
    open: int = 0
    headlines: Counter[str] = field(default_factory=Counter)
    conditions: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    inferred: int = 0  # endings that nobody said, only silence

    def add(self, standing: Standing) -> None:
        """Count journeys that stand in one way."""
        count = standing.journeys
        self.journeys += count
        if standing.headline is not None:
            self.headlines[standing.headline] += count
        if standing.outcome is None:
            self.open += count
            self.conditions[standing.condition or "on_track"] += count
        else:
            self.outcomes[standing.outcome] += count
            self.inferred += count if standing.evidence == "inferred" else 0


def portfolio(standings: Iterable[Standing]) -> list[Row]:
    """Categories with their products behind them, each sorted by name."""
    rows: dict[tuple[str, str | None], Row] = {}
    for standing in standings:
        category = standing.category or NO_CATEGORY
        for product in dict.fromkeys((None, standing.product)):
            key = (category, product)
            rows.setdefault(key, Row(category, product)).add(standing)
    return sorted(rows.values(), key=lambda row: (row.category, row.product or ""))


def as_mapping(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    """A row for the page's search; short keys, because there may be thousands."""
    return {
        "c": row.category,
        "p": row.product,
        "n": names.get(row.product or "", row.product),
        "j": row.journeys,
        "h": [row.headlines[name] for name in HEADLINES],
        "w": most_first(row.conditions - Counter(on_track=row.open)),
        "o": most_first(row.outcomes),
        "i": row.inferred,
    }


def most_first(counts: Counter[str]) -> dict[str, int]:
    """The same counts, largest first."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
