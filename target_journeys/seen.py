"""What a destination can be told of a stage record: its columns, and what its team comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from target_journeys.stores.sqlite_schema import STAGE_COLUMNS

ENGINE_ONLY = frozenset({"next_check_at", "model_hash"})  # a change of these tells nobody anything
KEY_COLUMNS = STAGE_COLUMNS[:4]
SEEN = tuple(name for name in STAGE_COLUMNS if name not in ENGINE_ONLY)
TEAM_FIELDS: Mapping[str, str] = {  # of accounts: field → its name in `buying_team`
    f"team_{name}": name
    for name in (
        "members",
        "roles_present",
        "roles_missing",
        "coverage",
        "furthest_stage",
        "least_stage",
        "stage_spread",
        "top_share",
    )
}
_TEAM = STAGE_COLUMNS.index("buying_team")


def picked(names: Sequence[str]) -> Callable[[Sequence[object]], object]:
    """What a stored row holds under these names; equal where a destination sees no change."""
    columns = [STAGE_COLUMNS.index(name) for name in names if name not in TEAM_FIELDS]
    of_team = [TEAM_FIELDS[name] for name in names if name in TEAM_FIELDS]
    pick = itemgetter(*columns) if columns else lambda _: ()
    if not of_team:
        return pick

    def both(row: Sequence[object]) -> object:
        team = row[_TEAM]
        if team is None:
            return pick(row)
        found = msgspec.json.decode(str(team))
        return pick(row), [found.get(name) for name in of_team]

    return both


def told(record: Mapping[str, Any], names: Iterable[str], who: str) -> dict[str, Any]:
    """What a record says under these names; of a team only where there may be one."""
    team = record["buying_team"] or {}
    return {
        name: team.get(TEAM_FIELDS[name]) if name in TEAM_FIELDS else record[name]
        for name in names
        if who == "accounts" or name not in TEAM_FIELDS
    }


UNTOLD = frozenset({"path", "regions", "stages_skipped", "buying_team"})  # lists within lists
FLAT = (*(name for name in SEEN if name not in UNTOLD), *TEAM_FIELDS)  # one value each
NUMBERS = frozenset(
    {"episode", "cycle", "event_count", "team_members", "team_coverage", "team_stage_spread"}
    | {"team_top_share"}
)
LISTS = frozenset({"candidates", "team_roles_present", "team_roles_missing"})


def kind_of(field: str) -> str:
    """What a field holds, for receivers whose fields have types."""
    if field.endswith(("_at", "_since")) or field == "valid_as_of":
        return "datetime"
    if field in NUMBERS:
        return "number"
    if field in LISTS:
        return "list"
    return "bool" if field == "disagreement" else "string"


def flat(value: object) -> object:
    """A value for a field that holds one: a list as its members, joined by semicolons."""
    return ";".join(map(str, value)) if isinstance(value, list) else value
