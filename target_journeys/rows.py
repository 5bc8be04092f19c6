"""Stage records and customers as rows of the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from journeys.fold import Folded, StageRecord
from journeys.team import BuyingTeam
from target_journeys.stores.sqlite_schema import STAGE_COLUMNS, TEAM_COLUMNS

_encode = msgspec.json.Encoder(order="deterministic").encode
JSON_COLUMNS = frozenset({"stages_skipped", "path", "regions", "candidates", "buying_team"})
TEAM_JSON = frozenset(
    {"members", "roles_required", "roles_present", "roles_missing", "new", "silent"}
)
PATH = STAGE_COLUMNS.index("path")
KEY_LENGTH = 4  # subject, grain, scope id, episode
TEAM_KEY_LENGTH = 3  # subject, grain, scope id


def json_text(value: object) -> str:
    """JSON, the same text for the same value."""
    return _encode(value).decode()


def stage_row(record: StageRecord) -> tuple[object, ...]:
    """A stage record in the order of STAGE_COLUMNS."""
    entered_at, since, next_check_at, ended_at, first_at, last_at, valid_as_of, persona_since = (
        moments(
            (
                record.stage_entered_at,
                record.condition_since,
                record.next_check_at,
                record.ended_at,
                record.first_event_at,
                record.last_event_at,
                record.valid_as_of,
                record.persona_since,
            )
        )
    )
    return (
        record.subject,
        record.scope_grain,
        record.scope_id,
        record.episode,
        record.product,
        record.category,
        record.account,
        record.stage,
        entered_at,
        record.previous_stage,
        json_text(record.stages_skipped) if record.stages_skipped else "[]",
        json_text(record.path),
        record.cycle,
        json_text(record.regions) if record.regions else "{}",
        record.condition,
        since,
        next_check_at,
        record.outcome,
        record.reason,
        record.evidence,
        ended_at,
        record.headline,
        record.crm_stage,
        record.observed_stage,
        int(record.disagreement),
        json_text(record.candidates) if record.candidates else "[]",
        record.derived_from,
        first_at,
        last_at,
        record.event_count,
        valid_as_of,
        record.model_hash,
        record.persona,
        persona_since,
        None if record.buying_team is None else json_text(record.buying_team),
    )


def team_row(team: BuyingTeam) -> tuple[object, ...]:
    """A buying team in the order of TEAM_COLUMNS."""
    (next_check_at,) = moments([team.next_check_at])
    return (
        team.subject,
        team.scope_grain,
        team.scope_id,
        team.product,
        team.category,
        len(team.members),
        json_text(team.members),
        json_text(team.required),
        json_text(team.present),
        json_text(team.missing),
        team.coverage,
        None if team.covered is None else int(team.covered),
        team.furthest_stage,
        team.least_stage,
        team.stage_spread,
        team.top_share,
        json_text(team.new),
        json_text(team.silent),
        next_check_at,
    )


def team_mapping(row: Sequence[object]) -> dict[str, Any]:
    """A row of buying_teams as people see it."""
    found = {
        name: msgspec.json.decode(str(value)) if name in TEAM_JSON else value
        for name, value in zip(TEAM_COLUMNS, row, strict=True)
    }
    return found | {"covered": None if found["covered"] is None else bool(found["covered"])}


def moments(values: Sequence[datetime | None]) -> list[str | None]:
    """UTC moments as the store keeps them, all at once: ``2026-01-02T03:04:05Z``."""
    found: list[str | None] = msgspec.to_builtins(values)
    return found


def as_mapping(row: Sequence[object]) -> dict[str, Any]:
    """A row of journey_stages as people and destinations see it."""
    found = {
        name: msgspec.json.decode(str(value)) if name in JSON_COLUMNS and value else value
        for name, value in zip(STAGE_COLUMNS, row, strict=True)
    }
    return found | {"disagreement": bool(found["disagreement"])}


def customer_row(subject: str, kind: str, ids: Sequence[str], folded: Folded) -> tuple[object, ...]:
    """The unified view: all journeys of one subject side by side, never an average of them."""
    now = [record for record in folded.records if record.headline is not None]
    headlines = [
        {
            "scope_id": record.scope_id,
            "headline": record.headline,
            "stage": record.stage,
            "condition": record.condition,
        }
        for record in now
    ]
    return (
        subject,
        kind,
        json_text(sorted(ids)),
        len(folded.records),
        sum(record.outcome is None for record in folded.records),
        json_text(headlines),
        folded.touchpoints,
        *moments((folded.first_at, folded.last_at)),
        folded.persona,
        *moments([folded.persona_since]),
    )


def visit_rows(
    old: Sequence[object] | None, new: Sequence[object], record: StageRecord
) -> tuple[int | None, list[tuple[object, ...]]]:
    """What to append to stage_visits, and from which position on older rows are retracted."""
    key = new[:KEY_LENGTH]
    start = 0
    retract_from = None
    if old is not None:
        before = msgspec.json.decode(str(old[PATH]))
        after = msgspec.json.decode(str(new[PATH]))
        while start < len(before) and start < len(after) and before[start] == after[start]:
            start += 1
        retract_from = start if start < len(before) else None
    rows = [
        (*key, position, stage, entered_at, cycle, event_id)
        for position, (stage, entered_at, event_id, cycle) in enumerate(
            msgspec.to_builtins(record.path[start:]), start
        )
    ]
    return retract_from, rows
