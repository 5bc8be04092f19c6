"""BigQuery's SQL over the tables of a project, and rows as its REST API writes them.

Understood: SELECT of columns, nested ones and aggregates, FROM one table or `events_*` with
_TABLE_SUFFIX, WHERE with simple comparisons, ORDER BY, LIMIT, named parameters. What else a real
project knows is answered as a syntax error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tests.sandbox.bigquery_world import BigQueryWorld, Layout, Row, Table
from tests.sandbox.google_login import refused
from tests.sandbox.sql import AGGREGATES, Compare, Dialect, Select, SelectError, holds, ordered
from tests.sandbox.sql_reader import read

SUFFIX = "_TABLE_SUFFIX"
KINDS: dict[str, type | tuple[type, ...]] = {"STRING": str, "BOOLEAN": bool}
KINDS |= {"INTEGER": (int, float), "FLOAT": (int, float)}
TABLES: Layout = {"table_catalog": "STRING", "table_schema": "STRING", "table_name": "STRING"}
TABLES |= {"table_type": "STRING", "creation_time": "TIMESTAMP"}


@dataclass(slots=True)
class Result:
    """The rows of a query or table, and what columns they have."""

    layout: Layout
    rows: list[Row]
    dataset: str = ""


def run(world: BigQueryWorld, text: str, dataset: str, params: dict[str, Any]) -> Result:
    """Evaluate a query; a table without a dataset is looked for in the one that is given."""
    dialect = Dialect(params={f"@{name}": value for name, value in params.items()})
    try:
        query = read(text, dialect)
        name, layout, rows = _source(world, query.source, dataset)
        for path in [by.name for by in query.order if not _aliased(query, by.name)]:
            _kind(layout, path)
        for compare in query.comparisons():
            _check(compare, _kind(layout, compare.name))
        rows = [row for row in rows if holds(query.where, partial(value_at, row), dialect)]
    except SelectError as error:
        raise refused(400, f"Syntax error: {error}", "invalidQuery") from error
    if any(column.function for column in query.columns):
        return replace(_aggregate(query, layout, rows), dataset=name)
    rows = ordered(rows, query.order, value_at)[query.offset :]
    rows = rows if query.limit is None else rows[: query.limit]
    if [column.name for column in query.columns] == ["*"]:
        shown = {name: kind for name, kind in layout.items() if name != SUFFIX}
        return Result(shown, rows, name)
    names = [column.alias or column.name.rpartition(".")[2] for column in query.columns]
    paths = [column.name for column in query.columns]
    kinds = [_kind(layout, path) for path in paths]
    picked = [
        dict(zip(names, (value_at(row, path) for path in paths), strict=True)) for row in rows
    ]
    return Result(dict(zip(names, kinds, strict=True)), picked, name)


def value_at(row: Row, path: str) -> Any:
    """The value of a column, or of a field inside a record."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def schema(layout: Layout) -> dict[str, Any]:
    """The layout as the API tells of it."""
    return {"fields": [_field(name, kind) for name, kind in layout.items()]}


def picked_layout(layout: Layout, selected: str | None) -> Layout:
    """The part of a layout that `selectedFields` names, such as `event_name,device.category`."""
    if not selected:
        return layout
    picked: Layout = {}
    for path in selected.split(","):
        head, _, rest = path.strip().partition(".")
        if head not in layout:
            raise refused(400, f"No such field: {head}.", "invalid")
        kind = layout[head]
        inner = kind[0] if isinstance(kind, list) else kind
        if rest:
            before = picked.get(head, {})
            before = before[0] if isinstance(before, list) else before
            inner = {**before, **picked_layout(inner, rest)}
        picked[head] = [inner] if isinstance(kind, list) else inner
    return picked


def encoded(row: Row, layout: Layout, *, micros: bool = False) -> Row:
    """A row as lists of `f` and `v`, every number a text."""
    cells = []
    for name, kind in layout.items():
        value = row.get(name)
        if isinstance(kind, list):
            cells.append({"v": [{"v": _cell(one, kind[0], micros)} for one in value or ()]})
        else:
            cells.append({"v": _cell(value, kind, micros)})
    return {"f": cells}


def _cell(value: Any, kind: Any, micros: bool) -> Any:
    if value is None:
        return None
    if isinstance(kind, dict):
        return encoded(value, kind, micros=micros)
    if kind == "BOOLEAN":
        return str(value).lower()
    if kind == "TIMESTAMP":  # seconds with an exponent, unless useInt64Timestamp is asked for
        seconds = value.timestamp()
        return str(int(seconds * 1_000_000)) if micros else f"{seconds:.9E}"
    if kind == "FLOAT":
        return repr(float(value))
    return str(value)


def _field(name: str, kind: Any) -> dict[str, Any]:
    mode = "REPEATED" if isinstance(kind, list) else "NULLABLE"
    inner = kind[0] if isinstance(kind, list) else kind
    if isinstance(inner, dict):
        return {"name": name, "type": "RECORD", "mode": mode} | schema(inner)
    return {"name": name, "type": inner, "mode": mode}


def _source(world: BigQueryWorld, source: str, dataset: str) -> tuple[str, Layout, list[Row]]:
    """What FROM names: its dataset, its columns, its rows."""
    parts = source.split(".")
    if "INFORMATION_SCHEMA" in parts:
        name = parts[parts.index("INFORMATION_SCHEMA") - 1]
        return name, TABLES, _tables(world, name)
    project, name, table = [world.project, dataset, *parts][-3:]
    if len(parts) == 2:  # dataset.table, in the project that is asked
        project, name = world.project, parts[0]
    if project != world.project or name not in world.datasets:
        raise not_found("Dataset", f"{project}:{name}")
    tables = world.datasets[name]
    if not table.endswith("*"):
        found = table_of(world, project, name, table)
        return name, found.layout, found.rows
    prefix = table.removesuffix("*")
    several = {key[len(prefix) :]: one for key, one in tables.items() if key.startswith(prefix)}
    if not several:
        words = f"{project}:{name}.{table} does not match any table."
        raise refused(400, words, "invalidQuery")
    newest = max(several.values(), key=lambda one: one.created_at)
    rows = [row | {SUFFIX: suffix} for suffix, one in several.items() for row in one.rows]
    return name, {**newest.layout, SUFFIX: "STRING"}, rows


def _tables(world: BigQueryWorld, dataset: str) -> list[Row]:
    if dataset not in world.datasets:
        raise not_found("Dataset", f"{world.project}:{dataset}")
    base = {"table_catalog": world.project, "table_schema": dataset, "table_type": "BASE TABLE"}
    return [
        base | {"table_name": name, "creation_time": table.created_at}
        for name, table in world.datasets[dataset].items()
    ]


def not_found(kind: str, name: str) -> Exception:
    """What Google says of a table, dataset or job that is not there."""
    return refused(404, f"Not found: {kind} {name}", "notFound")


def _kind(layout: Layout, path: str) -> Any:
    kind: Any = layout
    for name in path.split("."):
        if isinstance(kind, list):
            words = f"Cannot access field {name} on a value with type ARRAY"
            raise refused(400, words, "invalidQuery")
        if not isinstance(kind, dict) or name not in kind:
            raise refused(400, f"Unrecognized name: {path}", "invalidQuery")
        kind = kind[name]
    return kind


def _check(compare: Compare, kind: Any) -> None:
    """Raises where a column is compared with a value of another type."""
    for value in compare.value if isinstance(compare.value, list) else [compare.value]:
        fits = isinstance(kind, str) and isinstance(value, KINDS.get(kind, str))
        if value is not None and (not fits or isinstance(value, bool) != (kind == "BOOLEAN")):
            words = f"No matching signature for operator {compare.sign} for column {compare.name}"
            raise refused(400, words, "invalidQuery")


def _aliased(query: Select, name: str) -> bool:
    return any(column.function and column.alias == name for column in query.columns)


def _aggregate(query: Select, layout: Layout, rows: list[Row]) -> Result:
    result: Row = {}
    kinds: Layout = {}
    for number, column in enumerate(query.columns):
        if column.function not in AGGREGATES:
            words = f"Function not found or column not grouped: {column.function or column.name}"
            raise refused(400, words, "invalidQuery")
        name = column.alias or f"f{number}_"
        counts = column.function.startswith("COUNT")
        kinds[name] = "INTEGER" if counts or column.name == "*" else _kind(layout, column.name)
        values = [row if column.name == "*" else value_at(row, column.name) for row in rows]
        result[name] = AGGREGATES[column.function]([v for v in values if v is not None])
    return Result(kinds, [result])


def table_of(world: BigQueryWorld, project: str, dataset: str, table: str) -> Table:
    """The table, or the 404."""
    if project != world.project or dataset not in world.datasets:
        raise not_found("Dataset", f"{project}:{dataset}")
    if table not in world.datasets[dataset]:
        raise not_found("Table", f"{project}:{dataset}.{table}")
    return world.datasets[dataset][table]
