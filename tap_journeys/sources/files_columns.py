"""What is known of a stream's files before they are read: format, columns, keys."""

from __future__ import annotations

import zlib
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_journeys.sources import files_parquet
from tap_journeys.sources.files_bytes import Progress, UnreadableError, keeps_ascii, open_lines
from tap_journeys.sources.files_lines import CsvRows, csv_header, jsonl_records

if TYPE_CHECKING:
    from tap_journeys.sources.files import FileSettings

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
HASH = "_record_hash"  # the key of records that have none of their own
SAMPLE_FILES = 10  # at either end of the list, looked into for columns
SAMPLE_LINES = 100  # of a JSON lines file, looked into for keys
TEXT = {"type": ["string", "null"]}
UNREADABLE = (UnreadableError, OSError, EOFError, zlib.error, UnicodeError)


def format_of(settings: FileSettings, path: str) -> str | None:
    """The format that was set or that the suffix names; None if there is neither."""
    suffix = Path(path.lower().removesuffix(".gz")).suffix
    return settings.format or FORMATS.get(suffix)


def is_zipped(path: str) -> bool:
    """Whether the suffix says gzip."""
    return path.lower().endswith(".gz")


def line_encoding(settings: FileSettings) -> str:
    """The encoding of the lines that `open_lines` hands out."""
    return settings.encoding if keeps_ascii(settings.encoding) else "utf-8"


def _columns(settings: FileSettings, path: str) -> dict[str, dict[str, Any]]:
    """The columns of one file with their JSON Schema, from its first lines or its footer."""
    kind = format_of(settings, path)
    if kind is None:
        return {}
    if kind == "parquet":
        return files_parquet.parquet_columns(Path(path))
    encoding = line_encoding(settings)
    with open_lines(Path(path), settings.encoding, zipped=is_zipped(path)) as file:
        progress = Progress()
        progress.skip_bom(file)
        if kind == "csv":
            rows = CsvRows(file, encoding, settings.delimiter)
            return dict.fromkeys(csv_header(rows, progress), TEXT)
        lines = islice(file, SAMPLE_LINES)
        records = jsonl_records(lines, progress, encoding, lambda *_: None, growing=False)
        return {name: {} for record in records for name in record}


def schema_of(settings: FileSettings, paths: list[str]) -> dict[str, Any]:
    """JSON Schema of the stream's records; more columns than it names may come."""
    if len(paths) > 2 * SAMPLE_FILES:
        paths = paths[:SAMPLE_FILES] + paths[-SAMPLE_FILES:]
    properties: dict[str, dict[str, Any]] = {}
    for path in paths:
        with suppress(*UNREADABLE):  # reading it will say so
            properties |= _columns(settings, path)
    for key in settings.primary_keys:
        properties.setdefault(key, {})
    if not settings.primary_keys:
        properties[HASH] = {"type": "string"}
    return {"type": "object", "properties": properties}
