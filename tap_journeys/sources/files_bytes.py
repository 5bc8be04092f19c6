"""The bytes of one file: unpacked, cut into lines, and how many of them lie behind.

Oddities: in UTF-16 and its like the newline byte may be half of a letter, so that such a file is
encoded anew while it is read, and can only be read from its start.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK_SIZE = 1024 * 1024  # bytes
BOM = codecs.BOM_UTF8
MARK = "\udcff"  # stands for bad bytes; not valid in UTF-8, so that its line is found broken

codecs.register_error("journeys_mark", lambda error: (MARK, getattr(error, "end", 0)))


class UnreadableError(Exception):
    """A file cannot be read at all; the text says why and what to do."""


@dataclass
class Progress:
    """How much of a file lies behind the last record that was taken."""

    offset: int = 0  # bytes
    lines: int = 0
    held: bool = False  # the offset stays: the row after it may still be being written
    unfinished: bool = False  # the file ends in a line that cannot be read yet
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def advance(self, *lines: bytes) -> None:
        """Leave the lines of one record behind, unless more of the last one may come."""
        if lines[-1].endswith(b"\n"):
            self.lines += len(lines)
            for line in () if self.held else lines:
                self.offset += len(line)
                self.digest.update(line)

    def bookmark(self) -> dict[str, Any]:
        """What the next run needs to go on from here."""
        return {"offset": self.offset, "digest": self.digest.hexdigest()}

    def skip_bom(self, file: io.BufferedReader) -> None:
        """Leave a byte order mark behind, if there is one."""
        if file.peek(len(BOM)).startswith(BOM):
            self.offset += len(BOM)
            self.digest.update(file.read(len(BOM)))

    @classmethod
    def of_prefix(cls, file: io.BufferedReader, offset: int, digest: object) -> Progress | None:
        """The progress that a bookmark names; None if the file no longer begins as it did."""
        progress = cls()
        file.seek(0)
        while progress.offset < offset:
            chunk = file.read(min(CHUNK_SIZE, offset - progress.offset))
            if not chunk:
                return None
            progress.offset += len(chunk)
            progress.lines += chunk.count(b"\n")
            progress.digest.update(chunk)
        return progress if progress.digest.hexdigest() == digest else None


def keeps_ascii(encoding: str) -> bool:
    """Whether the newline byte always is a newline, so that lines can be cut before decoding."""
    ascii_bytes = bytes(range(128))
    try:
        return ascii_bytes.decode("ascii").encode(encoding) == ascii_bytes
    except UnicodeError:
        return False


@contextmanager
def open_lines(path: Path, encoding: str, *, zipped: bool) -> Iterator[io.BufferedReader]:
    """The file's bytes, unpacked; encoded anew as UTF-8 where lines could not be cut otherwise."""
    with path.open("rb", buffering=CHUNK_SIZE) as file:
        raw: Any = file
        if zipped:
            raw = gzip.GzipFile(fileobj=file)
        if not keeps_ascii(encoding):
            raw = _Recoded(raw, encoding)
        yield file if raw is file else io.BufferedReader(raw, CHUNK_SIZE)


class _Recoded(io.RawIOBase):
    """Text in any encoding, as UTF-8."""

    def __init__(self, raw: Any, encoding: str) -> None:
        self._text = io.TextIOWrapper(raw, encoding, errors="journeys_mark", newline="\n")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = self._text.read(CHUNK_SIZE).encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
