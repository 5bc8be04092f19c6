"""The Singer stream of the files source: which files are read, from where on, and what is said.

A bookmark holds for every file its size and time, so that an unchanged one is not opened, and for
text files how far it was read with a digest of that part, so that a longer one is read on.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tap_journeys.sources.base import SourceStream
from tap_journeys.sources.files_bytes import Progress, UnreadableError, keeps_ascii, open_lines
from tap_journeys.sources.files_columns import (
    HASH,
    UNREADABLE,
    format_of,
    is_zipped,
    line_encoding,
    schema_of,
)
from tap_journeys.sources.files_lines import (
    CsvRows,
    Record,
    csv_header,
    csv_records,
    jsonl_records,
)
from tap_journeys.sources.files_parquet import parquet_records

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_journeys.sources.files import FileSettings

WARNINGS_PER_FILE = 10

_canonical = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
_FileState = dict[str, dict[str, Any]]


def _why(error: Exception) -> str:
    """Why a file cannot be read and what to do; nothing of its content."""
    match error:
        case UnreadableError():
            return str(error)
        case gzip.BadGzipFile() | EOFError() | zlib.error():
            return "it is not a whole gzip file; replace it and run again"
        case PermissionError():
            return "permission denied; let this user read it and run again"
        case OSError(strerror=str(reason)):
            return f"{reason}; see to that and run again"
    return "it cannot be read; replace it and run again"


def _state_name(path: str) -> str:
    """The path as a JSON string can hold it: file names need not be valid text."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_file(path: str) -> bool:
    """Whether the path is worth opening; one that may not be looked at is, to hear why."""
    try:
        return Path(path).is_file()
    except OSError:
        return True


class FileStream(SourceStream):
    """The records of the files that one pattern names, one file after the other."""

    def __init__(self, tap: Tap, settings: FileSettings) -> None:
        self.settings = settings
        # `glob`, because pathlib matches hidden files and takes no absolute pattern
        found = sorted(glob.glob(settings.path, recursive=True))  # noqa: PTH207
        self.paths = [path for path in found if _is_file(path)]
        super().__init__(tap, schema=schema_of(settings, self.paths), name=settings.name)
        self.primary_keys = list(settings.primary_keys) or [HASH]
        self._path = ""  # the file being read,
        self._progress = Progress()  # how far,
        self._faults = 0  # and how many of its lines were set aside

    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Every record that no earlier run has read."""
        if not self.paths:
            self.logger.warning("Stream '%s': no file matches %s", self.name, self.settings.path)
        self._head = self.record_head()
        self.stream_state["files"] = files = self._known_files()
        keys = self.settings.primary_keys
        for path in self.paths:
            self._path, self._progress, self._faults = path, Progress(), 0
            try:
                for record in self._read(path, files):
                    if not keys:
                        digest = hashlib.blake2b(_canonical(record), digest_size=16)
                        record[HASH] = digest.hexdigest()
                    elif any(record.get(key) is None for key in keys):
                        self._set_aside(self._progress.lines + 1, "no value for a primary key")
                        continue
                    self.taken += 1
                    yield record
                    if self.stopped:
                        return
            except UNREADABLE as error:
                self.fail(f"{path}: {_why(error)}; what was read of it before is kept.")
            if self._progress.unfinished:
                self.unfinished += 1
                self.logger.info("%s: its last line is not finished; the next run reads it", path)
            if self._faults > WARNINGS_PER_FILE:
                more = self._faults - WARNINGS_PER_FILE
                self.logger.warning("%s: %s more lines set aside", path, f"{more:,}")

    def _known_files(self) -> _FileState:
        """The bookmarks of earlier runs, without the files that are gone."""
        known = self.stream_state.get("files")
        if not isinstance(known, dict):
            return {}
        here = {_state_name(path) for path in self.paths}
        return {
            name: bookmark
            for name, bookmark in known.items()
            if name in here and isinstance(bookmark, dict)
        }

    def _read(self, path: str, files: _FileState) -> Iterator[Record]:
        """The new records of one file, and its bookmark when all of them were taken."""
        kind = format_of(self.settings, path)
        if kind is None:
            raise UnreadableError("its suffix names no format; set `format` or narrow `path`")
        stat = Path(path).stat()
        seen = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        bookmark = files.get(_state_name(path), {})
        if seen.items() <= bookmark.items():
            return
        if kind == "parquet":
            for record in parquet_records(Path(path)):
                yield record
                self._progress.lines += 1
        elif is_zipped(path) or not keeps_ascii(self.settings.encoding):
            yield from self._read_lines(path, kind, None)
        else:
            for record in self._read_lines(path, kind, bookmark):
                if (self.taken + 1) % self.STATE_MSG_FREQUENCY == 0:
                    # the STATE that follows this record covers the ones before it
                    files[_state_name(path)] = self._progress.bookmark()
                yield record
            seen |= self._progress.bookmark()
        files[_state_name(path)] = seen

    def _read_lines(
        self, path: str, kind: str, bookmark: dict[str, Any] | None
    ) -> Iterator[Record]:
        """The records of a text file; without a bookmark it is complete and read as a whole."""
        settings, encoding = self.settings, line_encoding(self.settings)
        with open_lines(Path(path), settings.encoding, zipped=is_zipped(path)) as file:
            behind = None
            if bookmark and isinstance(offset := bookmark.get("offset"), int):
                behind = Progress.of_prefix(file, offset, bookmark.get("digest"))
                file.seek(0)
            progress, growing = self._progress, bookmark is not None
            progress.skip_bom(file)
            if kind == "csv":
                rows = CsvRows(file, encoding, settings.delimiter)
                header = csv_header(rows, progress)
                if header and not set(settings.primary_keys) <= set(header):
                    raise UnreadableError(
                        "its header lacks a column that `primary_keys` names; is `delimiter` right?"
                    )
            if behind and behind.offset > progress.offset:
                file.seek(behind.offset)
                self._progress = progress = behind
            if kind == "csv":
                yield from csv_records(rows, header, progress, self._set_aside, growing=growing)
            else:
                yield from jsonl_records(file, progress, encoding, self._set_aside, growing=growing)

    def _set_aside(self, line: int, fault: str) -> None:
        """Leave a line out and say so, but not its content."""
        self.set_aside += 1
        self._faults += 1
        if self._faults <= WARNINGS_PER_FILE:
            self.logger.warning("%s, line %s: %s; set aside", self._path, f"{line:,}", fault)

    def place(self) -> str:
        """The file and line."""
        return f"{self._path}, line {self._progress.lines + 1:,}"
