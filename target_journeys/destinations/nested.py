"""All journeys of a customer as one map, for receivers that keep them in a trait or property."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

FIELDS = (
    "product",
    "category",
    "episode",
    "stage",
    "stage_entered_at",
    "previous_stage",
    "headline",
    "condition",
    "condition_since",
    "outcome",
    "reason",
    "ended_at",
    "cycle",
    "account",
    "team_roles_missing",
    "team_stage_spread",
    "team_top_share",
)
_encode = msgspec.json.Encoder().encode
Named = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def by_product(
    records: Sequence[Mapping[str, Any]], named: Named, *, room: int
) -> tuple[dict[str, Mapping[str, Any]], int]:
    """Product → its last episode, and how many are left out.

    Where they need more than ``room`` bytes, these are the open and the latest ones.
    """
    latest: dict[str, Mapping[str, Any]] = {}
    for record in sorted(records, key=lambda record: record["episode"]):
        latest[scope_key(record)] = record
    rank = sorted(
        latest, key=lambda name: (latest[name].get("outcome") is None, moment_of(latest[name]))
    )
    told: dict[str, Mapping[str, Any]] = {}
    for name in reversed(rank):
        told[name] = named(latest[name])
        room -= len(_encode({name: told[name]}))
        if room < 0:
            del told[name]
            break
    return dict(sorted(told.items())), len(latest) - len(told)


def scope_key(record: Mapping[str, Any]) -> str:
    """What a journey is about, as the name of its entry."""
    grain, scope = record["scope_grain"], record["scope_id"]
    return str(scope) if grain == "product" else f"{grain}:{scope}"


def moment_of(record: Mapping[str, Any]) -> str:
    """When something last happened to it."""
    return str(record.get("stage_entered_at") or "")


def traits(
    name: str, records: Sequence[Mapping[str, Any]], named: Named, *, room: int, correction: bool
) -> dict[str, Any]:
    """The map under its name, with what is to be known of it beside it."""
    told, left_out = by_product(records, named, room=room)
    found: dict[str, Any] = {name: told, f"{name}_corrected": correction}
    return found | ({f"{name}_left_out": left_out} if left_out else {})


def entered(data: Mapping[str, Any], *, correction: bool) -> dict[str, Any]:
    """What an event says of a stage that was entered."""
    names = ("category", "episode", "stage", "previous_stage", "entered_at", "cycle", "account")
    return {
        "product_id": data.get("product") or data["scope_id"],
        **{name: data.get(name) for name in names},
        "event_id": data["event_id"],
        "is_correction": correction,
    }
