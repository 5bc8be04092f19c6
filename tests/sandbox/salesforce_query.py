"""SOQL over the rows of an organisation: checked as the vendor checks it, in the vendor's words.

Left out, and answered MALFORMED_QUERY: sub-queries, GROUP BY, TYPEOF, relative dates (TODAY).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from tests.sandbox.base import RefusedError
from tests.sandbox.salesforce_objects import COMPOUND, Field
from tests.sandbox.salesforce_world import Row, SalesforceWorld, full_id
from tests.sandbox.sql import (
    AGGREGATES,
    Column,
    Compare,
    Dialect,
    Select,
    SelectError,
    holds,
    mapped,
    ordered,
)
from tests.sandbox.sql_reader import read

SOQL = Dialect(folds_case=True, null_differs=True, mixes=False)
QUOTED = {"string", "picklist", "email", "phone", "url", "textarea", "id", "reference", "anyType"}
KINDS: dict[str, type | tuple[type, ...]] = {"boolean": bool, "datetime": datetime, "date": date}
KINDS |= dict.fromkeys(("int", "double", "currency", "percent"), (int, float))
KINDS |= dict.fromkeys(QUOTED, str)
USE_DESCRIBE = "Please reference your WSDL or the describe call for the appropriate names."


def refused(status: int, code: str, message: str, **more: Any) -> RefusedError:
    """An error as the data API writes it: a list of one."""
    return RefusedError(status, [{"message": message, "errorCode": code} | more])


@dataclass(slots=True)
class Found:
    """The rows that a query found, in order, and what it wants of them."""

    object: str
    columns: list[str]  # paths, spelled as describe spells them
    rows: list[Row]
    total: int  # what COUNT() is; the number of rows otherwise
    aggregates: Row | None = None


def find(
    world: SalesforceWorld, text: str, *, deleted: bool = False, hidden: Container[str] = ()
) -> Found:
    """Evaluate a query, or refuse it with the vendor's error; hidden objects are not there."""
    try:
        query = read(text, SOQL)
    except SelectError as error:
        raise refused(400, "MALFORMED_QUERY", f"{_where(text)}{error}") from error
    name = _object(world, query, text, hidden)
    columns = _columns(world, name, query, text)
    for by in query.order:
        _field(world, name, by.name, text)
    for compare in query.comparisons():
        _check(compare, _field(world, name, compare.name, text), text)
    query = _canonical(world, name, query)
    names = [compare.name for compare in query.comparisons()] + [by.name for by in query.order]
    far = any("." in path for path in names)
    get = partial(world.follow, name) if far else dict.get
    visible = world.visible(name, deleted=deleted)
    rows = [row for row in visible if holds(query.where, partial(get, row), SOQL)]
    if any(column.function in AGGREGATES for column in query.columns):
        return _aggregate(world, name, query, rows)
    rows = ordered(rows, query.order, get)
    rows = rows[query.offset :]
    rows = rows if query.limit is None else rows[: query.limit]
    return Found(name, columns, rows, len(rows))


def record(world: SalesforceWorld, name: str, row: Row, columns: list[str], root: str) -> Row:
    """A row as REST writes it: `attributes` first, rows it refers to inside it."""
    url = f"{root}/sobjects/{name}/{row['Id']}"
    result: Row = {"attributes": {"type": name, "url": url}}
    below: dict[str, list[str]] = {}
    for path in columns:
        head, _, rest = path.partition(".")
        if rest:
            below.setdefault(head, []).append(rest)
            result.setdefault(head, None)
        else:
            result[head] = rest_value(row.get(head))
    for head, paths in below.items():
        _, other, target = world.related(name, row, head)
        result[head] = record(world, target, other, paths, root) if other else None
    return result


def rest_value(value: Any) -> Any:
    """A value as REST writes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return value.isoformat() if isinstance(value, date) else value


def bulk_value(value: Any) -> str:
    """A value as a Bulk CSV writes it; an integer has a point (estuary/connectors#2820)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(float(value)) if isinstance(value, int) else str(value)


def refuse_in_bulk(world: SalesforceWorld, found: Found) -> None:
    """Raise what Bulk says of columns that it cannot write."""
    fields = [_field(world, found.object, path, "") for path in found.columns]
    if any(field.type in COMPOUND for field in fields):
        raise refused(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")
    if any(field.type == "base64" for field in fields):
        raise refused(400, "API_ERROR", "Binary fields are not supported in Bulk Query")


def _where(text: str, name: str = "") -> str:
    at = text.find(name) if name else 0
    return f"\n{text}\n{' ' * at}^\nERROR at Row:1:Column:{at + 1}\n"


def _object(world: SalesforceWorld, query: Select, text: str, hidden: Container[str]) -> str:
    folded = query.source.casefold()
    found = next((name for name in world.objects if name.casefold() == folded), "")
    if found and found not in hidden:
        return found
    raise refused(
        400,
        "INVALID_TYPE",
        f"{_where(text, query.source)}sObject type '{query.source}' is not supported. If you are "
        "attempting to use a custom object, be sure to append the '__c' after the entity name. "
        + USE_DESCRIBE,
    )


def _field(world: SalesforceWorld, name: str, path: str, text: str) -> Field:
    head, _, rest = path.partition(".")
    if rest:
        relation = world.relation(name, head)
        if relation is None:
            words = f"Didn't understand relationship '{head}' in field path. {USE_DESCRIBE}"
            raise refused(400, "INVALID_FIELD", _where(text, path) + words)
        return _field(world, relation.refers_to[0], rest, text)
    if found := world.objects[name].named(head):
        return found
    words = (
        f"No such column '{head}' on entity '{name}'. If you are attempting to use a custom field, "
        f"be sure to append the '__c' after the custom field name. {USE_DESCRIBE}"
    )
    raise refused(400, "INVALID_FIELD", _where(text, path) + words)


def _columns(world: SalesforceWorld, name: str, query: Select, text: str) -> list[str]:
    """The selected paths; functions name their fields, and FIELDS(ALL) names them all."""
    columns = []
    for column in query.columns:
        if column.function == "FIELDS":
            if query.limit is None or query.limit > 200:
                words = "The SOQL FIELDS function must have a LIMIT of at most 200"
                raise refused(400, "MALFORMED_QUERY", words)
            return list(world.objects[name].fields)
        if column.function and column.function not in AGGREGATES:
            words = f"{_where(text, column.name)}unexpected token: '('"
            raise refused(400, "MALFORMED_QUERY", words)
        if column.name == "*":
            if column.function == "COUNT":
                continue
            raise refused(400, "MALFORMED_QUERY", f"{_where(text, '*')}unexpected token: '*'")
        _field(world, name, column.name, text)
        columns.append(_spelled(world, name, column.name))
    if len(set(columns)) < len(columns) and not any(c.function for c in query.columns):
        twice = next(path for path in columns if columns.count(path) > 1)
        raise refused(400, "INVALID_FIELD", f"{_where(text)}duplicate field selected: {twice}")
    return columns


def _spelled(world: SalesforceWorld, name: str, path: str) -> str:
    """The path with the letters' case that describe has."""
    head, _, rest = path.partition(".")
    if not rest:
        return str(getattr(world.objects[name].named(head), "name", head))
    relation = world.relation(name, head)
    assert relation is not None
    return f"{relation.relation}.{_spelled(world, relation.refers_to[0], rest)}"


def _check(compare: Compare, field: Field, text: str) -> None:
    """Raises where a value has the wrong kind, quotes too many, or none at all."""
    if field.type in {"textarea", "base64", *COMPOUND}:
        words = f"field '{field.name}' can not be filtered in a query call"
        raise refused(400, "INVALID_FIELD", _where(text, compare.name) + words)
    for value in compare.value if isinstance(compare.value, list) else [compare.value]:
        kind = KINDS[field.type]
        fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
        fits = fits and isinstance(value, datetime) == (field.type == "datetime")
        if value is not None and not fits:
            quotes = "should be" if field.type in QUOTED else "should not be"
            label = {"datetime": "dateTime"}.get(field.type, field.type)
            words = (
                f"value of filter criterion for field '{field.name}' must be of type {label} and "
                f"{quotes} enclosed in quotes"
            )
            raise refused(400, "INVALID_FIELD", _where(text, compare.name) + words)


def _canonical(world: SalesforceWorld, name: str, query: Select) -> Select:
    """The query with names spelled as describe has them, and with ids of 18 characters.

    Ids of 15 differ by the case of letters, which the comparison of texts does not look at.
    """

    def longer(compare: Compare) -> Compare:
        value = compare.value
        if _field(world, name, compare.name, "").type in {"id", "reference"}:
            several = isinstance(value, list)
            value = [full_id(v or "") for v in value] if several else value and full_id(value)
        return Compare(_spelled(world, name, compare.name), compare.sign, value)

    order = tuple(replace(by, name=_spelled(world, name, by.name)) for by in query.order)
    return replace(query, where=mapped(query.where, longer), order=order)


def _aggregate(world: SalesforceWorld, name: str, query: Select, rows: list[Row]) -> Found:
    if query.columns == (Column("*", "COUNT"),):
        return Found(name, [], [], len(rows))
    if plain := next((column.name for column in query.columns if not column.function), ""):
        words = f"Field must be grouped or aggregated: {plain}"
        raise refused(400, "MALFORMED_QUERY", words)
    result: Row = {"attributes": {"type": "AggregateResult"}}
    for number, column in enumerate(query.columns):
        values = [world.follow(name, row, column.name) for row in rows]
        value = AGGREGATES[column.function]([value for value in values if value is not None])
        result[column.alias or f"expr{number}"] = rest_value(value)
    return Found(name, [], [], 1, result)
