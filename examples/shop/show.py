"""Prints what the sample comes to, read from the store with nothing but SQL.

python examples/shop/show.py [FILE]      # by default journeys.db
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

FIVE = "email:ana.solberg@mail.test"
HEADLINES = ["Considering", "Buying", "Using", "Returning", "Seeking support"]

NAMED = """
    select s.*, coalesce(p.name, s.scope_id) as product_name,
        coalesce((select json_extract(e.properties, '$.name') from events e
            where e.event_type = 'profile_observed'
            and e.account in (select value from json_each(c.ids))
            and json_extract(e.properties, '$.name') is not null limit 1), s.subject) as who
    from journey_stages s join customers c on c.subject = s.subject
    left join products p on p.product_id = s.product
"""


def rows(db: sqlite3.Connection, where: str, *values: str) -> list[sqlite3.Row]:
    """The journeys that a condition picks, with names."""
    return db.execute(f"{NAMED} where {where} order by s.subject, s.scope_id", values).fetchall()


def five(db: sqlite3.Connection) -> Iterator[str]:
    """One person, five products, five places at once."""
    yield "Ana Solberg has five products and stands somewhere else with each of them:"
    found = rows(db, "s.subject = ? and s.headline is not null", FIVE)
    for row in sorted(found, key=lambda row: HEADLINES.index(row["headline"])):
        beside = json.loads(row["regions"])
        also = ", ".join(f"{name} {region['state']}" for name, region in beside.items())
        place = f"{row['stage']}{', ' + also if also else ''}"
        yield f"  {row['headline']:<16} {row['product_name']:<24} {place}"


def stalled_teams(db: sqlite3.Connection) -> Iterator[str]:
    """Buying teams whose deal does not move."""
    found = rows(
        db,
        "c.kind = 'accounts' and s.condition = 'stalled' and s.crm_stage is not null "
        "and s.stage in ('evaluating', 'buying')",
    )
    yield f"Buying teams that are stuck: {len(found)}"
    for row in found:
        (team,) = db.execute(
            "select people from buying_teams "
            "where subject = ? and scope_grain = ? and scope_id = ?",
            (row["subject"], row["scope_grain"], row["scope_id"]),
        ).fetchone()
        since = row["condition_since"][:10]
        place = f"{row['stage']}, team of {team}, stalled since {since}"
        yield f"  {row['who']:<24} {row['product_name']:<16} {place}"


def torn_team(db: sqlite3.Connection) -> Iterator[str]:
    """A team whose members stand far apart, and lack somebody."""
    found = rows(
        db,
        "s.subject = (select canonical from identities where kind = 'accounts' and id = ?)",
        "crm_company:C2026",
    )
    for row in found:
        team = json.loads(row["buying_team"])
        (members,) = db.execute(
            "select members from buying_teams "
            "where subject = ? and scope_grain = ? and scope_id = ?",
            (row["subject"], row["scope_grain"], row["scope_id"]),
        ).fetchone()
        apart = f"{team['stage_spread']} stages apart"
        yield f"{row['who']} buys {row['product_name']}, and its people stand {apart}:"
        for member in json.loads(members):
            roles = ", ".join(role["role"] for role in member["roles"])
            yield f"  {roles:<16} {member['stage'] or 'never seen':<16} {member['subject']}"
        yield f"  missing: {', '.join(team['roles_missing'])}"


def no_decisions(db: sqlite3.Connection) -> Iterator[str]:
    """Journeys that ended without a decision: said so, or silent for too long."""
    said = rows(db, "c.kind = 'accounts' and s.outcome = 'no_decision' and s.evidence = 'explicit'")
    yield f"Ended in no decision, and the CRM says so: {len(said)}"
    for row in said:
        yield f"  {row['who']:<24} {row['product_name']:<16} {row['reason']}"
    silent = rows(db, "s.outcome = 'no_decision' and s.evidence = 'inferred'")
    yield f"Ended in no decision, concluded from silence: {len(silent)}, for example"
    for row in (row for row in silent if row["subject"] == "email:jonas.wik@mail.test"):
        last = row["last_event_at"][:10]
        yield f"  {'Jonas Wik':<24} {row['product_name']:<16} {row['stage']}, last seen {last}"


def unresolved(db: sqlite3.Connection) -> Iterator[str]:
    """What could not be attributed; it is kept, and counted."""
    yield "Not attributed yet (kept, and resolved when a link or a product arrives):"
    # A stream that no rule reads is another matter: nothing will come of it.
    wanted = "reason not like 'no rule%' order by stream, reason"
    for row in db.execute(f"select * from unresolved where {wanted}"):
        yield f"  {row['count']:>4}  {row['stream']:<16} {row['reason']}"


def opened(path: Path) -> sqlite3.Connection:
    """The store, to be asked."""
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    return db


def everything(db: sqlite3.Connection) -> str:
    """All parts, with an empty line before each."""
    parts = (five, stalled_teams, torn_team, no_decisions, unresolved)
    return "".join("\n" + "\n".join(part(db)) + "\n" for part in parts)


def main() -> None:
    """Print everything."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "journeys.db")
    if not path.exists():
        sys.exit(f"{path} is not there. Run `make demo` first.")
    with closing(opened(path)) as db:
        sys.stdout.write(everything(db))
    sys.stdout.write(f"\nAll of it is in the SQLite file {path}\n")


if __name__ == "__main__":
    main()
