"""Parquet files as records: read in batches, every value made fit for JSON.

Oddities: Python's times end at microseconds, so that nanoseconds are cut off; a map becomes a
list of pairs; NaN becomes null.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tap_journeys.sources.files_bytes import UnreadableError
from tap_journeys.sources.files_lines import Record, unique

BATCH_SIZE = 1000  # rows held in memory
MISSING = "format parquet needs the extra: pip install 'product-journeys[parquet]'"
DAMAGED = "it is not a Parquet file, or it is damaged; replace it, or set `format`"


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("pyarrow") is not None


def _arrow() -> Any:
    """The library, which is an extra."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        raise UnreadableError(MISSING) from None
    return pyarrow


def parquet_columns(path: Path) -> dict[str, dict[str, Any]]:
    """JSON Schema of each column, from the file's footer."""
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
    except pa.ArrowException:
        raise UnreadableError(DAMAGED) from None
    names = unique(schema.names)
    return {name: _json_schema(kind) for name, kind in zip(names, schema.types, strict=True)}


def parquet_records(path: Path) -> Iterator[Record]:
    """One record per row, in the file's order."""
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            names = unique(file.schema_arrow.names)
            types = [_microseconds(kind) for kind in file.schema_arrow.types]
            schema = pa.schema(list(zip(names, types, strict=True)))
            odd = [name for name in names if not _is_json(schema.field(name).type)]
            for batch in file.iter_batches(batch_size=BATCH_SIZE):
                table = pa.Table.from_batches([batch]).rename_columns(names)
                for record in table.cast(schema, safe=False).to_pylist():
                    for name in odd:
                        record[name] = _plain(record[name])
                    yield record
    except pa.ArrowException:
        raise UnreadableError(DAMAGED) from None


def _is_json(kind: Any) -> bool:
    is_ = _arrow().types
    return bool(
        is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind) or is_.is_string(kind)
    )


def _json_schema(kind: Any) -> dict[str, Any]:
    is_ = _arrow().types
    if is_.is_timestamp(kind) and kind.tz:
        return {"type": ["string", "null"], "format": "date-time"}
    if is_.is_integer(kind):
        return {"type": ["integer", "null"]}
    if is_.is_floating(kind):
        return {"type": ["number", "null"]}
    if is_.is_boolean(kind):
        return {"type": ["boolean", "null"]}
    if is_.is_struct(kind):
        return {"type": ["object", "null"]}
    if is_.is_nested(kind):
        return {"type": ["array", "null"]}
    if is_.is_dictionary(kind):
        return _json_schema(kind.value_type)
    if is_.is_duration(kind):
        return {"type": ["number", "null"]}
    return {"type": ["string", "null"]}


def _microseconds(kind: Any) -> Any:
    """The same type with no time finer than Python's."""
    pa = _arrow()
    is_ = pa.types
    if is_.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", tz=kind.tz)
    if is_.is_time64(kind):
        return pa.time64("us")
    if is_.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if is_.is_struct(kind):
        return pa.struct([field.with_type(_microseconds(field.type)) for field in kind])
    if is_.is_list(kind):
        return pa.list_(kind.value_field.with_type(_microseconds(kind.value_type)))
    return kind


def _plain(value: Any) -> Any:
    """A value that JSON has."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case timedelta():
            return value.total_seconds()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | str() | int() | float():
            return value
    return str(value)
