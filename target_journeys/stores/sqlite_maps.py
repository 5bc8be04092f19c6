"""Journey maps of a SQLite store, when they were reviewed, and what was done about gaps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode
_KEEP = """insert into journey_maps (category, persona, period, revision, drawn_at, body)
    values (?, ?, ?, 1, ?, ?) on conflict (category, persona, period) do update set
    revision = revision + 1, drawn_at = excluded.drawn_at, body = excluded.body
    where body <> excluded.body"""


class SQLiteMaps:
    """What of the store belongs to maps; nothing but SQL."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def keep(
        self, category: str, drawn: Mapping[tuple[str, str], Mapping[str, Any]], at: str
    ) -> None:
        """Write the maps of a category, by persona and period; an equal map stays as it is."""
        self.connection.executemany(
            _KEEP,
            (
                (category, persona, period, at, _encode(body).decode())
                for (persona, period), body in sorted(drawn.items())
            ),
        )

    def drop(self, category: str, kept: Iterable[tuple[str, str]], periods: Iterable[str]) -> None:
        """Remove maps of these periods that have no journeys any more; no other is stale now."""
        wanted = set(kept)
        for period in periods:
            found = self.connection.execute(
                "select persona from journey_maps where category = ? and period = ?",
                (category, period),
            ).fetchall()
            self.connection.executemany(
                "delete from journey_maps where category = ? and persona = ? and period = ?",
                [
                    (category, persona, period)
                    for (persona,) in found
                    if (persona, period) not in wanted
                ],
            )
            self.connection.execute(
                "delete from stale_maps where category = ? and period = ?", (category, period)
            )

    def mark_stale(self, places: Iterable[tuple[str, str]]) -> None:
        """Note the (category, period) whose maps are no longer true."""
        self.connection.executemany("insert or ignore into stale_maps values (?, ?)", places)

    def stale(self, category: str) -> list[str]:
        """The periods of a category whose maps are to be drawn anew."""
        found = self.connection.execute(
            "select period from stale_maps where category = ? order by 1", (category,)
        )
        return [period for (period,) in found]

    def periods(self, category: str, persona: str = "") -> list[str]:
        """The periods that have a map, first to last."""
        found = self.connection.execute(
            "select period from journey_maps where category = ? and persona = ? order by period",
            (category, persona),
        )
        return [period for (period,) in found]

    def one(self, category: str, persona: str, period: str) -> dict[str, Any] | None:
        """A map with its ``category``, ``persona``, ``period``, ``revision`` and ``drawn_at``."""
        found = self.connection.execute(
            "select revision, drawn_at, body from journey_maps "
            "where category = ? and persona = ? and period = ?",
            (category, persona, period),
        ).fetchone()
        if found is None:
            return None
        revision, drawn_at, body = found
        return {
            "category": category,
            "persona": persona,
            "period": period,
            "revision": revision,
            "drawn_at": drawn_at,
            **_decode(body),
        }

    def overview(self) -> Iterator[tuple[str, str, str, str | None]]:
        """(category, persona, latest period, last review of the category) of every map."""
        return self.connection.execute(
            "select m.category, m.persona, max(m.period), "
            "(select max(reviewed_at) from map_reviews as r where r.category = m.category) "
            "from (select category, persona, period from journey_maps union "
            "select category, '', period from stale_maps) as m "
            "group by m.category, m.persona order by 1, 2"
        )

    def keep_review(self, category: str, at: str, note: str | None) -> None:
        """Note that people have looked at the maps of a category."""
        self.connection.execute(
            "insert or replace into map_reviews values (?, ?, ?)", (category, at, note)
        )

    def keep_action(self, gap_id: str, since: str, category: str, spot: str, what: str) -> None:
        """Note what was done about a gap, where that is, and since when."""
        self.connection.execute(
            "insert or replace into actions values (?, ?, ?, ?, ?)",
            (gap_id, since, category, spot, what),
        )

    def actions(self) -> list[tuple[str, str, str, str, str]]:
        """(gap, since, category, spot, what) of everything that was done, the latest first."""
        return self.connection.execute(
            "select gap_id, since, category, spot, what from actions order by since desc, gap_id"
        ).fetchall()
