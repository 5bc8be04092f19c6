"""Stage records and customers as rows of the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from journeys.event import JourneyEvent, isoformat
from journeys.fold import Folded, StageRecord
from journeys.team import BuyingTeam
from target_journeys.stores.sqlite_schema import CUSTOMER_COLUMNS, STAGE_COLUMNS, TEAM_COLUMNS

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode
JSON_COLUMNS = frozenset({"stages_skipped", "path", "regions", "candidates", "buying_team"})
NOTHING = {"regions": "{}", "buying_team": None}  # in place of an empty list
JSON_PLACES = [(STAGE_COLUMNS.index(name), NOTHING.get(name, "[]")) for name in JSON_COLUMNS]
TEAM_JSON = frozenset(
    {"members", "roles_required", "roles_present", "roles_missing", "new", "silent"}
)
PATH = STAGE_COLUMNS.index("path")
CONSENTS = CUSTOMER_COLUMNS.index("consents")
ANSWER = ("score", "scale")  # properties of an answer that people look at
DISAGREEMENT = STAGE_COLUMNS.index("disagreement")
KEY_LENGTH = 4  # subject, grain, scope id, episode
TEAM_KEY_LENGTH = 3  # subject, grain, scope id


def json_text(value: object) -> str:
    """JSON, the same text for the same value."""
    return _encode(value).decode()


def stage_row(record: StageRecord) -> tuple[object, ...]:
    """A stage record in the order of STAGE_COLUMNS, which is that of its fields."""
    row: list[object] = list(msgspec.to_builtins(record))
    for place, empty in JSON_PLACES:
        row[place] = json_text(row[place]) if row[place] else empty
    row[DISAGREEMENT] = int(record.disagreement)
    return tuple(row)


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
    found: dict[str, Any] = dict(zip(STAGE_COLUMNS, row, strict=True))
    for name in JSON_COLUMNS:
        if found[name] is not None:
            found[name] = _decode(found[name])
    found["disagreement"] = bool(found["disagreement"])
    return found


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
    everything = [
        {
            "category": record.category,
            "scope_grain": record.scope_grain,
            "scope_id": record.scope_id,
            "episode": record.episode,
            "stage": record.stage,
            "headline": record.headline,
            "outcome": record.outcome,
        }
        for record in folded.records
    ]
    feedback = {kind: answer(event) for kind, event in sorted(folded.feedback.items())}
    return (
        subject,
        kind,
        json_text(sorted(ids)),
        len(folded.records),
        sum(record.outcome is None for record in folded.records),
        json_text(headlines),
        folded.touchpoints,
        *moments((folded.first_at, folded.last_at)),
        json_text(everything),
        json_text(feedback) if feedback else "{}",
        json_text(folded.consents) if folded.consents else "{}",
        folded.persona,
        *moments([folded.persona_since]),
    )


def answer(event: JourneyEvent) -> dict[str, Any]:
    """What a customer answered last, when, and about what."""
    found: dict[str, Any] = {"at": isoformat(event.occurred_at)}
    found |= {name: event.properties[name] for name in ANSWER if name in event.properties}
    about = [scope.id for scope in event.scopes]
    return found | ({"about": about} if about else {})


def visit_rows(
    old: Sequence[object] | None, new: Sequence[object], record: StageRecord
) -> tuple[int | None, list[tuple[object, ...]]]:
    """What to append to stage_visits, and from which position on older rows are retracted."""
    key = new[:KEY_LENGTH]
    start = 0
    retract_from = None
    if old is not None:
        before = _decode(str(old[PATH]))
        after = _decode(str(new[PATH]))
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
