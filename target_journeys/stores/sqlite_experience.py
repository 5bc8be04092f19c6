"""Counters of the analysis, what changed since they were counted, and the gaps found in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from target_journeys.stores.sqlite_schema import (
    COUNTED_COLUMNS,
    GAP_COLUMNS,
    MEASURE_COLUMNS,
    PERIOD_FIRST,
)

COUNTED = "experience"  # the note that is there once everything was counted
_KEYS = ", ".join(MEASURE_COLUMNS)
_SUMS = MEASURE_COLUMNS[:-1]  # without the period


def _add(table: str, columns: Sequence[str]) -> str:
    """SQL that adds to a counter by its key."""
    keys = ", ".join(columns)
    return (
        f"insert into {table} ({keys}, n, total) values ({', '.join('?' * len(columns))}, ?, ?) "
        f"on conflict ({keys}) do update set n = n + excluded.n, total = total + excluded.total"
    )


def _drop(table: str, columns: Sequence[str]) -> str:
    """SQL that drops a counter of nothing by its key."""
    return f"delete from {table} where n = 0 and " + " and ".join(f"{name} = ?" for name in columns)


_REMEMBER = (
    "insert or ignore into changed_since (subject, scope_grain, scope_id, episode, body) "
    f"select ?1, ?2, ?3, ?4, (select json_array({', '.join(COUNTED_COLUMNS)}) "
    "from journey_stages where subject = ?1 and scope_grain = ?2 and scope_id = ?3 "
    "and episode = ?4)"
)


class SQLiteExperience:
    """What of the store belongs to the analysis of the experience; nothing but SQL."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    # -- what changed ----------------------------------------------------------------------

    def is_counted(self) -> bool:
        """Whether there are counters, so that changes have to be remembered."""
        found = self.connection.execute(
            "select exists(select 1 from notes where name = ?)", (COUNTED,)
        ).fetchone()
        return bool(found[0])

    def remember(self, keys: Iterable[Sequence[object]]) -> None:
        """Keep journeys that are about to change as they were counted; the first word holds."""
        if self.is_counted():
            self.connection.executemany(_REMEMBER, keys)

    def changed(self) -> Iterator[tuple[list[object] | None, tuple[object, ...] | None]]:
        """Journeys that changed, (as counted, as it is now), in the order of COUNTED_COLUMNS."""
        columns = ", ".join(f"s.{name}" for name in COUNTED_COLUMNS)
        found = self.connection.execute(
            f"select c.body, {columns} from changed_since as c left join journey_stages as s "
            "using (subject, scope_grain, scope_id, episode)"
        )
        for body, *now in found:
            yield None if body is None else json.loads(body), None if now[0] is None else tuple(now)

    def forget_changes(self) -> None:
        """All that changed is counted."""
        self.connection.execute("delete from changed_since")

    def start_over(self) -> None:
        """Let the next analysis count everything anew."""
        self.connection.execute("delete from notes where name = ?", (COUNTED,))
        self.connection.execute("delete from changed_since")

    def journeys(self, category: str | None = None) -> Iterator[tuple[object, ...]]:
        """All journeys, or those of a category, in the order of COUNTED_COLUMNS."""
        where = "" if category is None else "where coalesce(category, '') = ?"
        return self.connection.execute(
            f"select {', '.join(COUNTED_COLUMNS)} from journey_stages {where}",
            () if category is None else (category,),
        )

    def by_subject(self) -> Iterator[tuple[object, ...]]:
        """All journeys, those of one subject together, in the order of COUNTED_COLUMNS."""
        return self.connection.execute(
            f"select {', '.join(COUNTED_COLUMNS)} from journey_stages order by subject"
        )

    # -- counters --------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Forget all counters; :meth:`gather` the new ones, then :meth:`settle`."""
        for table in ("measures", "measure_sums", "changed_since"):
            self.connection.execute(f"delete from {table}")
        self.connection.execute("drop table if exists gathered")
        self.connection.execute("create temp table gathered as select * from measures where 0")

    def gather(self, counters: Mapping[tuple[str, ...], Sequence[int]]) -> None:
        """Set counters of some journeys aside; in no order, for that is the store's to find."""
        self.connection.executemany(
            f"insert into gathered ({_KEYS}, n, total) "
            f"values ({', '.join('?' * len(MEASURE_COLUMNS))}, ?, ?)",
            ((*key, n, total) for key, (n, total) in counters.items()),
        )

    def settle(self) -> None:
        """Make counters of all that was gathered."""
        order = ", ".join(PERIOD_FIRST)
        self.connection.execute(
            f"insert into measures ({_KEYS}, n, total) select {_KEYS}, sum(n), sum(total) "
            f"from gathered group by {order} order by {order}"
        )
        self.connection.execute("drop table gathered")
        keys = ", ".join(_SUMS)
        self.connection.execute(
            f"insert into measure_sums ({keys}, n, total) select {keys}, sum(n), sum(total) "
            f"from measures group by {keys} order by {keys}"
        )

    def add(self, counters: Mapping[tuple[str, ...], Sequence[int]]) -> None:
        """Add to the counters; what comes to nothing is dropped."""
        changes = [(key, n, total) for key, (n, total) in sorted(counters.items()) if n or total]
        for table, columns in (("measures", MEASURE_COLUMNS), ("measure_sums", _SUMS)):
            places = len(columns)
            self.connection.executemany(
                _add(table, columns), ((*key[:places], n, total) for key, n, total in changes)
            )
            self.connection.executemany(
                _drop(table, columns), (key[:places] for key, n, _ in changes if n < 0)
            )

    def categories(self) -> list[str]:
        """The categories that have counters."""
        found = self.connection.execute("select distinct category from measure_sums order by 1")
        return [category for (category,) in found]

    def places(self) -> set[tuple[str, str]]:
        """The (category, period) that have counters."""
        return set(self.connection.execute("select distinct category, period from measures"))

    def periods(self) -> list[str]:
        """The periods that have counters, first to last."""
        found = self.connection.execute("select distinct period from measures order by 1")
        return [period for (period,) in found]

    def counters(
        self, category: str, names: Iterable[str] = (), periods: Iterable[str] = ()
    ) -> Iterator[tuple[tuple[str, ...], int, int]]:
        """(key in the order of MEASURE_COLUMNS, n, total) of a category.

        Of all names and periods, or of some.
        """
        where, given = "category = ?", [category]
        for column, wanted in (("period", list(periods)), ("name", list(names))):
            if wanted:
                where += f" and {column} in (select value from json_each(?))"
                given.append(json.dumps(wanted))
        for *key, n, total in self.connection.execute(
            f"select {_KEYS}, n, total from measures where {where}", given
        ):
            yield tuple(key), n, total

    def inside_and_outside(
        self, category: str, names: Iterable[str], periods: Iterable[str]
    ) -> Iterator[tuple[tuple[str, ...], int, int, int, int]]:
        """Counters of a category, summed over the given periods and over all others.

        (key without its period, n and total inside, n and total outside).
        """
        keys = ", ".join(_SUMS)
        wanted, inside = json.dumps(list(names)), json.dumps(list(periods))
        found: dict[tuple[str, ...], list[int]] = {}
        for *key, n, total in self.connection.execute(
            f"select {keys}, n, total from measures where category = ?1 "
            "and period in (select value from json_each(?2)) "
            "and name in (select value from json_each(?3))",
            (category, inside, wanted),
        ):
            counts = found.setdefault(tuple(key), [0, 0])
            counts[0] += n
            counts[1] += total
        nothing = (0, 0)
        for *key, n, total in self.connection.execute(
            f"select {keys}, n, total from measure_sums where category = ?1 "
            "and name in (select value from json_each(?2))",
            (category, wanted),
        ):
            own, worth = found.get(tuple(key), nothing)
            yield tuple(key), own, worth, n - own, total - worth

    def worth(self, category: str) -> list[tuple[str, int, int]]:
        """(currency, journeys with a value in it, the sum) of a category."""
        return self.connection.execute(
            "select bucket, sum(n), sum(total) from measure_sums "
            "where category = ? and name = 'value' group by bucket",
            (category,),
        ).fetchall()

    # -- gaps ------------------------------------------------------------------------------

    def keep_gaps(self, category: str, rows: Iterable[Sequence[object]]) -> None:
        """Put the gaps of a category in the place of those that were there."""
        self.connection.execute("delete from experience_gaps where category = ?", (category,))
        self.connection.executemany(
            f"insert into experience_gaps ({', '.join(GAP_COLUMNS)}) "
            f"values ({', '.join('?' * len(GAP_COLUMNS))})",
            rows,
        )

    def excesses(self) -> list[tuple[str, str, float]]:
        """(gap, category, excess) of all gaps."""
        return self.connection.execute(
            "select gap_id, category, excess from experience_gaps"
        ).fetchall()

    def rank_gaps(self, ranks: Iterable[tuple[str, int, float]]) -> None:
        """Write down (gap, rank, score)."""
        self.connection.executemany(
            "update experience_gaps set rank = ?2, score = ?3 where gap_id = ?1", ranks
        )

    def gaps(self, gap_id: str | None = None) -> list[tuple[object, ...]]:
        """All gaps, or one, in the order of GAP_COLUMNS, the worst first."""
        where = "" if gap_id is None else "where gap_id = ?"
        return self.connection.execute(
            f"select {', '.join(GAP_COLUMNS)} from experience_gaps {where} order by rank",
            () if gap_id is None else (gap_id,),
        ).fetchall()

    def feasibility(self) -> dict[str, tuple[float, str | None]]:
        """Gap → how feasible people say a remedy is, and what they noted."""
        found = self.connection.execute("select gap_id, feasibility, note from gap_feasibility")
        return {gap_id: (feasibility, note) for gap_id, feasibility, note in found}

    def keep_feasibility(self, gap_id: str, feasibility: float | None, note: str | None) -> None:
        """Write down what people say about a gap, or take it back (None)."""
        self.connection.execute("delete from gap_feasibility where gap_id = ?", (gap_id,))
        if feasibility is not None:
            self.connection.execute(
                "insert into gap_feasibility values (?, ?, ?)", (gap_id, feasibility, note)
            )
