"""Columns of BigQuery: their JSON Schema, and rows as the same table's exported files hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from tap_journeys.sources.windows import EPOCH, written

Column = Mapping[str, Any]  # a TableFieldSchema
Decode = Callable[[Any], Any]


class Row(msgspec.Struct, gc=False):
    """A row as BigQuery writes it; of a type of its own, because dicts take five times as long."""

    f: list[Cell]


class Cell(msgspec.Struct, gc=False):
    """One value of a row: a scalar, a record, or several of them."""

    v: str | int | float | bool | Row | list[Cell] | None = None


FLOATS = {"FLOAT", "FLOAT64"}
BOOLEANS = {"BOOLEAN", "BOOL"}
RECORDS = {"RECORD", "STRUCT"}
MICROS = {"TIMESTAMP"}


def json_schema(columns: Iterable[Column]) -> dict[str, Any]:
    """The properties of a table's rows; whole numbers are text, because they have 64 bits."""
    return {column["name"]: _property(column) for column in columns}


def _property(column: Column) -> dict[str, Any]:
    kind = column.get("type")
    if kind in RECORDS:
        inner = json_schema(column.get("fields", ()))
        found: dict[str, Any] = {"type": ["object", "null"], "properties": inner}
    elif kind in FLOATS:
        found = {"type": ["number", "string", "null"]}  # "NaN" is text
    elif kind in BOOLEANS:
        found = {"type": ["boolean", "null"]}
    else:
        found = {"type": ["string", "null"]}
    if column.get("mode") == "REPEATED":
        return {"type": ["array", "null"], "items": found}
    return found


def row_decoder(columns: Sequence[Column]) -> Callable[[Row], dict[str, Any]]:
    """Makes a record of a row: ``{"f": [{"v": "7"}]}`` is ``{"n": "7"}``."""
    pairs = [(str(column["name"]), _cell_decoder(column)) for column in columns]

    def decode(row: Row) -> dict[str, Any]:
        # a column that was added since the table was described stands behind the others
        return {
            name: None if (value := cell.v) is None else read(value)
            for (name, read), cell in zip(pairs, row.f, strict=False)
        }

    return decode


def _cell_decoder(column: Column) -> Decode:
    kind = column.get("type")
    one: Decode = str
    if kind in RECORDS:
        one = row_decoder(column.get("fields", ()))
    elif kind in FLOATS:
        one = _number
    elif kind in BOOLEANS:
        one = _boolean
    elif kind in MICROS:
        one = _moment
    if column.get("mode") != "REPEATED":
        return one
    return lambda cells: [None if cell.v is None else one(cell.v) for cell in cells]


def _number(value: Any) -> float | str:
    number = float(value)
    return number if number - number == 0 else str(value)  # JSON has no NaN and no Infinity


def _boolean(value: Any) -> bool:
    return str(value).lower() == "true"


def _moment(value: Any) -> str:
    return written(EPOCH + timedelta(microseconds=int(value)))


# What GA4's export has had from the start, for a schema when the tables cannot be described.
_PARAMS: list[Column] = [
    {"name": "key", "type": "STRING"},
    {
        "name": "value",
        "type": "RECORD",
        "fields": [
            {"name": "string_value", "type": "STRING"},
            {"name": "int_value", "type": "INTEGER"},
            {"name": "float_value", "type": "FLOAT"},
            {"name": "double_value", "type": "FLOAT"},
        ],
    },
]
_ITEM = ("item_id", "item_name", "item_brand", "item_variant", "item_category", "quantity")
USUAL: list[Column] = [
    *(
        {"name": name, "type": "STRING"}
        for name in (
            "event_date",
            "event_timestamp",
            "event_name",
            "event_bundle_sequence_id",
            "user_id",
            "user_pseudo_id",
            "stream_id",
            "platform",
        )
    ),
    {"name": "event_params", "type": "RECORD", "mode": "REPEATED", "fields": _PARAMS},
    {"name": "user_properties", "type": "RECORD", "mode": "REPEATED", "fields": _PARAMS},
    *({"name": name, "type": "RECORD"} for name in ("device", "geo", "traffic_source")),
    {"name": "ecommerce", "type": "RECORD"},
    {
        "name": "items",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": name, "type": "STRING"} for name in _ITEM],
    },
]
