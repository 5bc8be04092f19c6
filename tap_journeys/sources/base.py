"""What every source is: closed settings that know their streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from singer_sdk import Stream
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.conform import TypeConformanceLevel

if TYPE_CHECKING:
    from singer_sdk import Tap


def wrong_configuration(*errors: str) -> ConfigValidationError:
    """The error that stops before the first record; its lines hold places, never values."""
    return ConfigValidationError("; ".join(errors), errors=list(errors))


class Source(BaseModel, ABC):
    """Settings of one source; being there switches it on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def streams(self, tap: Tap) -> list[Stream]:
        """The streams these settings ask for."""


class SourceStream(Stream):
    """A stream that tells the tap how its run went instead of ending it."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # records are JSON already

    def __init__(self, tap: Tap, schema: dict[str, object] | None, name: str) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.taken = 0  # records read from the source
        self.failures = 0  # what could not be read; its state is kept
        self.set_aside = 0  # broken lines or records that were left out
        self.unfinished = 0  # last lines that are left for the next run

    def fail(self, message: str) -> None:
        """Say in one line what could not be read and what to do; the run goes on."""
        self.failures += 1
        self.logger.error("Stream '%s': %s", self.name, message)
