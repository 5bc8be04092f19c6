"""The least that each plugin's work can cost: the same lines through msgspec and sqlite3 alone.

``recode`` and ``upsert`` are processes like the plugins; ``raw`` times single operations on lines
that already are in memory. Each prints JSON on standard error. Runs in the peers' environment.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import orjson

ROWS = 10_000  # per transaction
RAW_LINES = 200_000  # at most; they are held in memory


class Deal(msgspec.Struct):
    """The record of the bench, each field checked while it is decoded."""

    id: str
    dealname: str | None
    contact_email: str | None
    company_id: int | None
    product_sku: str | None
    action: str | None
    amount: float | None
    probability: float | None
    created_at: str | None
    updated_at: str | None
    owner: str | None
    currency: str | None
    pipeline: str | None
    tags: list[str] | None
    attributes: dict[str, Any] | None


class Event(msgspec.Struct):
    """A journey event with as many columns as the record has fields."""

    event_id: str
    event_type: str
    occurred_at: str
    recorded_at: str | None = None
    subject: str | None = None
    account: str | None = None
    source: str | None = None
    source_key: str | None = None
    channel: str | None = None
    visibility: str | None = None
    observability: str | None = None
    value: str | None = None
    currency: str | None = None
    scopes: list[dict[str, Any]] | None = None
    properties: dict[str, Any] | None = None


class DealMessage(msgspec.Struct):
    type: str
    record: Deal | None = None


class EventMessage(msgspec.Struct):
    type: str
    record: Event | None = None


def recode() -> None:
    """Standard input to standard output: decode each line, encode it again."""
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    write = sys.stdout.buffer.write
    began = perf_counter()
    for line in sys.stdin.buffer:
        write(encode(decode(line)))
        write(b"\n")
    report({"loop_s": perf_counter() - began})


def upsert(path: str) -> None:
    """Standard input into a new SQLite file: checked events, 15 columns, no journeys."""
    decode = msgspec.json.Decoder(EventMessage).decode
    began = perf_counter()
    records = (decode(line).record for line in sys.stdin.buffer)
    write_rows(path, map(row, filter(None, records)), Event.__struct_fields__)
    report({"loop_s": perf_counter() - began})


def row(record: msgspec.Struct) -> tuple[Any, ...]:
    """The record's columns in the order of its fields; the last two are JSON."""
    *plain, array, mapping = msgspec.structs.astuple(record)
    encode = msgspec.json.encode
    return (*plain, encode(array).decode(), encode(mapping).decode())


def write_rows(path: str, rows: Iterable[tuple[Any, ...]], columns: tuple[str, ...]) -> None:
    """Upsert rows, 10,000 in each transaction; the first column is the key."""
    key, *others = columns
    names = ", ".join(others)
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode = wal")
    database.execute("pragma synchronous = normal")
    database.execute(f"create table if not exists rows ({key} text primary key, {names})")
    statement = (
        f"insert into rows values ({', '.join('?' * len(columns))}) on conflict ({key}) do update "
        f"set {', '.join(f'{name} = excluded.{name}' for name in others)}"
    )
    iterator = iter(rows)
    while batch := list(islice(iterator, ROWS)):
        with database:
            database.executemany(statement, batch)
    database.close()


def raw(lines_path: str, database_path: str) -> None:
    """Rates of single operations on the records' lines."""
    with Path(lines_path).open("rb") as source:
        lines = [line for line in islice(source, RAW_LINES) if b'"RECORD"' in line]
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    operations: dict[str, Callable[[bytes], Any]] = {
        "json.loads": json.loads,
        "orjson.loads": orjson.loads,
        "msgspec decode": decode,
        "msgspec decode into a type": msgspec.json.Decoder(DealMessage).decode,
        "msgspec decode + encode": lambda line: encode(decode(line)),
    }
    rates = {name: len(lines) / seconds(operation, lines) for name, operation in operations.items()}
    typed = msgspec.json.Decoder(DealMessage).decode
    rows = [row(deal) for line in lines if (deal := typed(line).record)]
    began = perf_counter()
    write_rows(database_path, rows, Deal.__struct_fields__)
    rates["sqlite3 executemany upsert, 15 columns"] = len(rows) / (perf_counter() - began)
    report(rates)


def seconds(operation: Callable[[bytes], Any], lines: list[bytes]) -> float:
    """How long the operation takes on all lines."""
    began = perf_counter()
    for line in lines:
        operation(line)
    return perf_counter() - began


def report(figures: dict[str, float]) -> None:
    """Hand figures to the bench, which reads the last line of standard error."""
    sys.stderr.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    {"recode": recode, "upsert": upsert, "raw": raw}[sys.argv[1]](*sys.argv[2:])
