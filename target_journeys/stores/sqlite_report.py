"""What a report counts over all journeys of a SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple


class Standing(NamedTuple):
    """How many journeys of a product stand in the same way."""

    category: str | None
    product: str | None
    headline: str | None
    condition: str | None
    outcome: str | None
    evidence: str | None
    journeys: int


class SQLiteReport:
    """Counts for people; each is one pass over a table, none loads it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def standings(self) -> Iterator[Standing]:
        """Journeys by category, product, headline, condition and outcome."""
        names = ", ".join(Standing._fields[:-1])
        for row in self.connection.execute(
            f"select {names}, count(*) from journey_stages group by {names}"
        ):
            yield Standing(*row)

    def people(self) -> dict[str, int]:
        """How many subjects of each kind have journeys."""
        return dict(self.connection.execute("select kind, count(*) from customers group by kind"))

    def most_at_once(self, limit: int) -> list[tuple[str, int]]:
        """The people with the most open journeys, those of most first."""
        return list(
            self.connection.execute(
                "select subject, open_journeys from customers where kind = 'people' "
                "and journeys > 0 order by open_journeys desc, subject limit ?",
                [limit],
            )
        )

    def teams(self, limit: int) -> list[tuple[str, str, str]]:
        """The buying teams with something to see to: (subject, grain, scope id).

        Those with a missing role or members far apart come first, larger teams before smaller.
        """
        return list(
            self.connection.execute(
                "select subject, scope_grain, scope_id from buying_teams "
                "order by roles_missing = '[]', stage_spread desc, people desc, subject, scope_id "
                "limit ?",
                [limit],
            )
        )

    def team_count(self) -> int:
        """How many buying teams there are."""
        (count,) = self.connection.execute("select count(*) from buying_teams").fetchone()
        return int(count)

    def together(self, product: str, category: str, limit: int) -> list[tuple[str, int, int]]:
        """(other product of the category, people with both who bought not both, who bought both).

        The most frequent first; accounts count like people.
        """
        bought = "exists(select 1 from stage_visits as v where v.subject = {0}.subject and "
        bought += "v.scope_grain = {0}.scope_grain and v.scope_id = {0}.scope_id "
        bought += (
            "and v.episode = {0}.episode and v.retracted_at is null and v.stage = 'receiving')"
        )
        both = f"{bought.format('a')} and {bought.format('b')}"
        return list(
            self.connection.execute(
                "select product, sum(both = 0), sum(both) from "
                f"(select b.product as product, max({both}) as both from journey_stages as a "
                "join journey_stages as b on b.subject = a.subject and b.product <> a.product "
                "and b.category = a.category where a.product = ? and a.category = ? "
                "group by b.product, a.subject) group by product "
                "order by count(*) desc, product limit ?",
                [product, category, limit],
            )
        )
