"""Salesforce's data API for writers: single rows and collections, each row with its own outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.base import Answer, Request, Routes
from tests.sandbox.salesforce_query import refused
from tests.sandbox.salesforce_reads import readable, root
from tests.sandbox.salesforce_rows import RowError, create, delete, update, upsert, upsert_all
from tests.sandbox.salesforce_world import Row, full_id

if TYPE_CHECKING:
    from tests.sandbox.salesforce import Salesforce

MOST_ROWS = 200  # of one collections request
routes = Routes()


# -- single rows ---------------------------------------------------------------------------------


def _refusal(error: RowError) -> Exception:
    gone = error.code in {"INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED"}
    status = 404 if gone and not error.fields else 400
    return refused(status, error.code, error.message, fields=error.fields)


def _values(request: Request) -> Row:
    try:
        values = request.json
    except ValueError as error:
        raise refused(400, "JSON_PARSER_ERROR", "The body is not JSON") from error
    if not isinstance(values, dict):
        raise refused(400, "JSON_PARSER_ERROR", "The body is not an object")
    return values


@routes("POST", "/services/data/v{version}/sobjects/{name}")
def post_one(vendor: Salesforce, request: Request, version: str, name: str) -> Answer:
    made = readable(vendor, name)
    try:
        return Answer(201, create(vendor, made.name, _values(request)))
    except RowError as error:
        raise _refusal(error) from error


@routes("PATCH", "/services/data/v{version}/sobjects/{name}/{key}")
def patch_one(vendor: Salesforce, request: Request, version: str, name: str, key: str) -> Answer:
    made = readable(vendor, name)
    try:
        update(vendor, made.name, key, _values(request))
    except RowError as error:
        raise _refusal(error) from error
    return Answer(204)


@routes("DELETE", "/services/data/v{version}/sobjects/{name}/{key}")
def delete_one(vendor: Salesforce, request: Request, version: str, name: str, key: str) -> Answer:
    made = readable(vendor, name)
    try:
        delete(vendor, made.name, key)
    except RowError as error:
        raise _refusal(error) from error
    return Answer(204)


@routes("PATCH", "/services/data/v{version}/sobjects/{name}/{field}/{value}")
def upsert_one(
    vendor: Salesforce, request: Request, version: str, name: str, field: str, value: str
) -> Answer:
    made = readable(vendor, name)
    path = f"{root(version)}/sobjects/{made.name}"
    try:
        outcome = upsert(vendor, made.name, field, _values(request) | {field: value})
    except RowError as error:
        if error.code == "DUPLICATE_EXTERNAL_ID":
            rows = vendor.world.by(made.name, field, value)
            return Answer(300, [f"{path}/{row['Id']}" for row in rows])
        raise _refusal(error) from error
    return Answer(201 if outcome["created"] else 200, outcome)


# -- collections ---------------------------------------------------------------------------------


def _records(request: Request) -> tuple[list[Row], bool]:
    body = _values(request)
    rows = body.get("records")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise refused(400, "JSON_PARSER_ERROR", "records is not a list of objects")
    _not_too_many(rows)
    return rows, body.get("allOrNone") is True


def _not_too_many(rows: list[Any]) -> None:
    if len(rows) > MOST_ROWS:
        words = f"record limit reached. cannot submit more than {MOST_ROWS} records"
        raise refused(400, "EXCEEDED_ID_LIMIT", words)


def _type_of(vendor: Salesforce, row: Row) -> str:
    name = (row.get("attributes") or {}).get("type", "")
    if name not in vendor.world.objects or name in vendor.faults.missing_scopes:
        raise RowError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    return str(name)


def _kept_or_rolled_back(vendor: Salesforce, before: Any, outcomes: list[Row]) -> Answer:
    """The outcomes; if one failed of all-or-none, none is written."""
    if before is not None and not all(one["success"] for one in outcomes):
        vendor.world.rows = before
        words = "Record rolled back because not all records were valid"
        undone = RowError("ALL_OR_NONE_OPERATION_ROLLED_BACK", words).outcome()
        outcomes = [undone if one["success"] else one for one in outcomes]
    return Answer(200, outcomes)


def _snapshot(vendor: Salesforce) -> dict[str, dict[str, Row]]:
    rows = vendor.world.rows
    return {name: {key: dict(row) for key, row in kept.items()} for name, kept in rows.items()}


@routes("PATCH", "/services/data/v{version}/composite/sobjects/{name}/{field}")
def upsert_many(
    vendor: Salesforce, request: Request, version: str, name: str, field: str
) -> Answer:
    made = readable(vendor, name)
    rows, all_or_none = _records(request)
    if any((row.get("attributes") or {}).get("type") != made.name for row in rows):
        words = f"Each record's attributes.type has to be {made.name}"
        raise refused(400, "INVALID_TYPE", words)
    before = _snapshot(vendor) if all_or_none else None
    return _kept_or_rolled_back(vendor, before, upsert_all(vendor, made.name, field, rows))


@routes("POST", "/services/data/v{version}/composite/sobjects")
@routes("PATCH", "/services/data/v{version}/composite/sobjects")
def write_many(vendor: Salesforce, request: Request, version: str) -> Answer:
    """Create rows, or change rows by their ids."""
    rows, all_or_none = _records(request)
    before = _snapshot(vendor) if all_or_none else None
    outcomes = []
    for row in rows:
        key = str(row.get("id") or row.get("Id") or "")
        values = {name: value for name, value in row.items() if name.lower() != "id"}
        try:
            kind = _type_of(vendor, row)
            new = request.method == "POST"
            outcome = create(vendor, kind, values) if new else update(vendor, kind, key, values)
            outcomes.append(outcome)
        except RowError as error:
            outcomes.append(error.outcome())
    return _kept_or_rolled_back(vendor, before, outcomes)


@routes("DELETE", "/services/data/v{version}/composite/sobjects")
def delete_many(vendor: Salesforce, request: Request, version: str) -> Answer:
    ids = [key for key in (request.get("ids") or "").split(",") if key]
    _not_too_many(ids)
    before = _snapshot(vendor) if request.get("allOrNone") == "true" else None
    outcomes = []
    for key in ids:
        names = (name for name, rows in vendor.world.rows.items() if full_id(key) in rows)
        try:
            outcomes.append(delete(vendor, next(names, "Account"), key))
        except RowError as error:
            outcomes.append({"id": key} | error.outcome())
    return _kept_or_rolled_back(vendor, before, outcomes)
