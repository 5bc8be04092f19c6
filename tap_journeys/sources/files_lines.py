"""CSV and JSON lines as records: where each one ends in the file, and which lines are broken.

Oddities: a CSV row may be made of many lines, so that a stray quote could swallow the rest of the
file; a row that does not fit the header therefore gives up its first line only. A last line that
has no newline may still be being written; it does not count as read.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from tap_journeys.sources.files_bytes import Progress, UnreadableError

MAX_ROW_LINES = 1000  # lines of one CSV row; beyond, its quote is taken for a stray one
MAX_DEPTH = 200  # of nested JSON; every later program must be able to read it, too
MAX_FIELD_SIZE = 2**31 - 1  # characters; the csv module's own limit is 128 KiB
BAD_BYTES = "bytes that do not fit the encoding"
TOO_DEEP = "JSON that is nested too deeply"

csv.field_size_limit(MAX_FIELD_SIZE)

Record = dict[str, Any]
Report = Callable[[int, str], None]  # line number, kind of fault; never the line's content
_decode_json = msgspec.json.Decoder(float_hook=Decimal).decode  # 19.90 stays 19.90


class _BrokenRowError(Exception):
    """No row can be made of these lines; the text is the kind of fault."""


def jsonl_records(
    lines: Iterable[bytes], progress: Progress, encoding: str, report: Report, *, growing: bool
) -> Iterator[Record]:
    """One record per line. A line counts as read when the next record is asked for."""
    utf8 = encoding == "utf-8"
    for line in lines:
        fault = "not a JSON object"
        try:
            record = _decode_json(line if utf8 else line.decode(encoding))
            if type(record) is dict:
                if not _is_deep(line, record):
                    yield record
                    progress.advance(line)
                    continue
                fault = TOO_DEEP
        except UnicodeDecodeError:
            fault = BAD_BYTES
        except RecursionError:
            fault = TOO_DEEP
        except msgspec.DecodeError:
            if line.isspace():
                progress.advance(line)
                continue
            fault = "not valid JSON"
        if growing and not line.endswith(b"\n"):
            progress.unfinished = True
            return
        report(progress.lines + 1, fault)
        progress.advance(line)


def _is_deep(line: bytes, record: Record) -> bool:
    """Whether there are objects in objects beyond the limit; most lines need no second look."""
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return False
    level: list[Any] = [record]
    for _ in range(MAX_DEPTH):
        inner = (each.values() if type(each) is dict else each for each in level)
        level = [item for items in inner for item in items if type(item) in (dict, list)]
    return bool(level)


class CsvRows:
    """The rows of a CSV file, and the lines that each was made of."""

    def __init__(self, lines: Iterator[bytes], encoding: str, delimiter: str) -> None:
        self.taken: list[bytes] = []  # the lines of the current row
        self._lines = lines
        self._again: deque[bytes] = deque()  # lines that are parsed a second time
        self._limit = MAX_ROW_LINES
        self._encoding = encoding
        self._strict = csv.reader(self, delimiter=delimiter, strict=True)
        self._lenient = csv.reader(self, delimiter=delimiter)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line of the current row, asked for by the csv module."""
        if len(self.taken) == self._limit:
            raise _BrokenRowError("a quote that is not closed")
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            if self.taken:
                raise _BrokenRowError("a quote that is never closed")
            raise StopIteration
        self.taken.append(line)
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            raise _BrokenRowError(BAD_BYTES) from None

    def row(self) -> list[str] | None:
        """The fields of the next row, none of a blank line; None at the end of the file."""
        self.taken.clear()
        try:
            return next(self._strict, None)
        except csv.Error:
            if len(self.taken) > 1:
                raise _BrokenRowError("a quote where none may be") from None
        # Text behind a closing quote is let pass, but only where it cannot swallow other lines.
        self._again.appendleft(self.taken.pop())
        self._limit = 1
        try:
            return next(self._lenient, None)
        except csv.Error:
            raise _BrokenRowError("a carriage return where none may be") from None
        finally:
            self._limit = MAX_ROW_LINES

    def give_back(self) -> None:
        """Parse all lines of this row but the first one again."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def csv_header(rows: CsvRows, progress: Progress) -> list[str]:
    """The names of the columns, each one once; none when the file is empty."""
    try:
        while (fields := rows.row()) is not None:
            progress.advance(*rows.taken)
            if fields:
                return unique(fields)
    except _BrokenRowError as error:
        message = f"its header has {error}; set `encoding` and `delimiter`, or mend the file"
        raise UnreadableError(message) from None
    return []


def unique(names: list[str]) -> list[str]:
    """Every name once: an empty one becomes ``column_3``, a second ``tag`` becomes ``tag_2``."""
    unique: dict[str, None] = {}
    for number, given in enumerate(names, start=1):
        name = base = given or f"column_{number}"
        times = 1
        while name in unique or (name != given and name in names):
            times += 1
            name = f"{base}_{times}"
        unique[name] = None
    return list(unique)


def csv_records(
    rows: CsvRows, header: list[str], progress: Progress, report: Report, *, growing: bool
) -> Iterator[Record]:
    """One record per row. A row counts as read when the next record is asked for."""
    while True:
        try:
            fields = rows.row()
        except _BrokenRowError as error:
            fault = str(error)
        else:
            if fields is None:
                return
            if len(fields) == len(header):
                yield dict(zip(header, fields, strict=True))
            if not fields or len(fields) == len(header):
                progress.advance(*rows.taken)
                continue
            fault = f"{len(fields)} fields where the header has {len(header)}"
        unfinished = growing and not rows.taken[-1].endswith(b"\n")
        if unfinished and len(rows.taken) == 1:
            progress.unfinished = True
            return
        progress.held |= unfinished  # the row may become whole, so that it is read again then
        report(progress.lines + 1, fault)
        rows.give_back()
        progress.advance(*rows.taken)
