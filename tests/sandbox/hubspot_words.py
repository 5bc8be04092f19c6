"""HubSpot's words: error bodies, batch answers, and objects as answers show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.sandbox.base import Answer, Clock, RefusedError, Request, iso, new_id
from tests.sandbox.hubspot_defaults import CREATED, MODIFIED, SHOWN
from tests.sandbox.hubspot_world import CrmObject, HubSpotWorld, Properties, Row, singular

HISTORY_PAGE = 50  # rows of an answer with history
PAGE = 100


def error(message: str, category: str = "VALIDATION_ERROR", **more: Any) -> Row:
    return {
        "status": "error",
        "message": message,
        "correlationId": new_id(),
        "category": category,
        **more,
    }


def refused(
    status: int, message: str, category: str = "VALIDATION_ERROR", **more: Any
) -> RefusedError:
    return RefusedError(status, error(message, category, **more))


def not_found(message: str = "resource not found") -> RefusedError:
    return refused(404, message, "OBJECT_NOT_FOUND")


def batch(
    clock: Clock, results: list[Row], errors: Iterable[Row] = (), *, status: int = 200
) -> Answer:
    """The answer of a batch; with errors it is a 207."""
    now = iso(clock.now(), millis=True)
    body: Row = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if found := list(errors):
        return Answer(207, body | {"numErrors": len(found), "errors": found})
    return Answer(status, body)


def row_error(message: str, category: str, context: dict[str, list[str]], **more: Any) -> Row:
    """One row's error in a 207."""
    row = {"status": "error", "category": category, "message": message, "context": context}
    return row | {"errors": [], "links": {}} | more


def number(request: Request, name: str, default: int, most: int) -> int:
    text = request.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise refused(400, f"{name} must be a number between 1 and {most}")
    return int(text)


def offset(value: Any) -> int:
    """Where a page begins, as an answer before told it."""
    if not str(value or 0).isdigit():
        raise refused(400, "after is not what a page before gave")
    return int(value or 0)


def pair(row: Row) -> tuple[str, str]:
    """The two ids of an association."""
    try:
        return str(row["from"]["id"]), str(row["to"]["id"])
    except (KeyError, TypeError) as problem:
        raise refused(400, "Invalid input JSON: from.id and to.id are needed") from problem


def names(values: Iterable[str]) -> list[str]:
    """Names given as a comma list, several times, or both."""
    return [name for value in values for name in value.split(",") if name]


def body(request: Request) -> Row:
    """The request's JSON object."""
    try:
        found = request.json
    except ValueError as problem:
        raise refused(400, "Invalid input JSON: unable to parse") from problem
    if not isinstance(found, dict):
        raise refused(400, "Invalid input JSON: an object is expected")
    return found


def inputs(request: Request, most: int = PAGE) -> list[Row]:
    rows = body(request).get("inputs")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise refused(400, "Invalid input JSON: inputs must be a list of objects")
    if not rows or len(rows) > most:
        raise refused(400, f"The number of inputs must be between 1 and {most}, not {len(rows)}")
    return rows


def kind_of(world: HubSpotWorld, name: str) -> str:
    try:
        return world.kind(name)
    except KeyError as problem:
        raise refused(400, f"Unable to infer object type from: {name}") from problem


def shown(
    world: HubSpotWorld,
    kind: str,
    row: CrmObject,
    wanted: Iterable[str],
    *,
    history: Iterable[str] = (),
    properties: Properties | None = None,
) -> Row:
    """An object as an answer shows it: the wanted properties that exist, and no others."""
    known = world.definitions[kind]
    always = (
        "hs_object_id",
        CREATED.get(kind, "hs_createdate"),
        MODIFIED.get(kind, "hs_lastmodifieddate"),
    )
    values = row.properties if properties is None else properties
    listed = [name for name in wanted if name in known] or list(SHOWN.get(kind, ()))
    told = {name: values.get(name) for name in sorted({*listed, *always})}
    found: Row = {"id": str(row.id), "properties": told}
    if past := [name for name in history if name in known]:
        found["propertiesWithHistory"] = {name: row.history.get(name, []) for name in past}
    modified = values.get(MODIFIED.get(kind, "hs_lastmodifieddate"))
    found |= {"createdAt": row.created_at, "updatedAt": modified or row.updated_at}
    found["archived"] = row.archived_at is not None
    if row.archived_at:
        found["archivedAt"] = row.archived_at
    return found


def association_name(kind: str, to_kind: str) -> str:
    return f"{singular(kind)}_to_{singular(to_kind)}"
