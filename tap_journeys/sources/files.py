"""Files: offline touchpoints and exports in CSV, JSON lines or Parquet.

Oddities: a file that grew is read on from where it was left, one that was replaced is read again;
gzip, Parquet and UTF-16 can only be read as a whole. Broken lines are set aside, the rest is read.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tap_journeys.sources import files_parquet
from tap_journeys.sources.base import Source, wrong_configuration
from tap_journeys.sources.files_columns import HASH, format_of
from tap_journeys.sources.files_stream import FileStream

if TYPE_CHECKING:
    from singer_sdk import Stream, Tap


class FileSettings(BaseModel):
    """One stream and the files it is read from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="Name of the stream.")
    path: str = Field(
        min_length=1,
        description="The files: a path or a pattern (`*`, `?`, `[ab]`, `**` for any folders), "
        "relative to the current directory.",
    )
    format: Literal["csv", "jsonl", "parquet"] | None = Field(
        None, description="Format of the files; told from each file's suffix when left out."
    )
    delimiter: str = Field(
        ",", min_length=1, max_length=1, description="What separates the fields of a CSV row."
    )
    encoding: str = Field("utf-8", description="Encoding of CSV and JSON lines.")
    primary_keys: tuple[str, ...] = Field(
        (),
        description="Columns that together name a record; when left out, a hash of the whole "
        f"record is added as `{HASH}`.",
    )

    @field_validator("delimiter")
    @classmethod
    def _delimiter_separates(cls, delimiter: str) -> str:
        if delimiter in '\r\n"':
            raise ValueError("must not be a quote or the end of a line")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str) -> str:
        try:
            "a".encode(encoding)  # `lookup` also knows what is no encoding of text
            name = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise ValueError("must be an encoding that Python knows") from None
        return "utf-8" if name == "utf-8-sig" else name  # a byte order mark may always be there


class Files(Source):
    """Offline touchpoints and exports: CSV, JSON lines, Parquet."""

    files: tuple[FileSettings, ...] = Field(
        alias="streams", min_length=1, description="The streams, each with its files."
    )

    @field_validator("files")
    @classmethod
    def _names_differ(cls, files: tuple[FileSettings, ...]) -> tuple[FileSettings, ...]:
        if len({settings.name for settings in files}) < len(files):
            raise ValueError("two streams have the same name")
        return files

    def streams(self, tap: Tap) -> list[Stream]:
        errors = [
            f"sources.files.streams.{number}: {files_parquet.MISSING}"
            for number, settings in enumerate(self.files)
            if format_of(settings, settings.path) == "parquet" and not files_parquet.is_installed()
        ]
        if errors:
            raise wrong_configuration(*errors)
        return [FileStream(tap, settings) for settings in self.files]
