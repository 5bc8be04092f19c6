"""What a store's own journeys teach about each stage: when a stay is slow, and when stalled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from journeys.competing_risks import DAY, PROGRESS, Stay, chances, shrunk
from journeys.model import Dwell, Limits, StageModel, prefixes
from journeys.record import StageRecord

Cell = tuple[str, str]  # category path, stage
MINUTES = 1440  # of a day; what is learned is no finer than that
LEAST_STAYS = 20  # fewer that progressed, in the category and all below it, teach nothing
BACK = "back"


def stays_of(
    record: StageRecord, rank: Mapping[str, int], as_of: datetime
) -> Iterator[tuple[Cell, Stay]]:
    """The stays of one journey: on to a later stage, back, ended by its outcome, or still open."""
    if record.category is None:
        return
    path = record.path
    for number, visit in enumerate(path):
        kind: str | None
        if number + 1 < len(path):
            after = path[number + 1]
            until = after.entered_at
            is_on = after.cycle > visit.cycle or rank[after.stage] > rank[visit.stage]
            kind = PROGRESS if is_on else BACK
        elif record.outcome is not None:
            until = record.ended_at or as_of
            kind = PROGRESS if record.outcome in ("won", "completed") else record.outcome
        else:
            until, kind = as_of, None
        days = max(0.0, (until - visit.entered_at) / DAY)
        yield (record.category, visit.stage), Stay(days, kind)


def learned(
    model: StageModel, stays: Iterable[tuple[Cell, Stay]], *, as_quantile: bool = False
) -> tuple[dict[Cell, Limits], dict[Cell, Dwell]]:
    """Limits and expected dwell of each category and stage that has stays enough.

    A category learns from its own stays and those below it, drawn towards the category above.
    ``as_quantile``: stalled from the 90th percentile of the stays that progressed, in place of the
    day from which progress is unlikely.
    """
    cells: dict[Cell, list[Stay]] = {}
    for (path, stage), stay in stays:
        for prefix in prefixes(path):
            cells.setdefault((prefix, stage), []).append(stay)
    limits: dict[Cell, Limits] = {}
    dwells: dict[Cell, Dwell] = {}
    for path, stage in sorted(cells, key=lambda cell: (cell[0].count("/"), cell)):
        own = cells[path, stage]
        found = chances(own)
        if found.progressed < LEAST_STAYS:
            continue
        above, usual = _above(path, stage, limits, dwells)
        stalled = found.p90_days if as_quantile else found.stalled_days
        limits[path, stage] = Limits(
            _length(found.slow_days, above.slow, len(own)),
            _length(stalled, above.stalled, len(own)),
        )
        p50 = _length(found.p50_days, None if usual is None else usual.p50, len(own))
        p90 = _length(found.p90_days, None if usual is None else usual.p90, len(own))
        if p50 is not None and p90 is not None:
            dwells[path, stage] = Dwell(min(p50, p90), max(p50, p90))
    return limits, dwells


def taught(
    model: StageModel, limits: Mapping[Cell, Limits], dwells: Mapping[Cell, Dwell]
) -> StageModel:
    """The model with what was learned; it holds for categories with another rule than declared."""
    return replace(model, learned=dict(limits), learned_dwell=dict(dwells), _resolved={})


def _above(
    path: str, stage: str, limits: Mapping[Cell, Limits], dwells: Mapping[Cell, Dwell]
) -> tuple[Limits, Dwell | None]:
    """What the nearest category above has learned."""
    above: Sequence[str] = [prefix for prefix in reversed(prefixes(path)) if prefix != path]
    for prefix in above:
        if (prefix, stage) in limits:
            return limits[prefix, stage], dwells.get((prefix, stage))
    return Limits(None, None), None


def _length(own: float | None, parent: timedelta | None, stays: int) -> timedelta | None:
    days = shrunk(own, None if parent is None else parent / DAY, stays)
    return None if days is None else timedelta(minutes=round(days * MINUTES))
