"""What is wrong with settings, in sentences that name them and never hold their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError
from singer_sdk.exceptions import ConfigValidationError


def sentences(error: ValidationError, *above: str) -> Iterator[str]:
    """One for each mistake; ``above`` is where the checked settings lie in the file."""
    for each in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in (*above, *each["loc"]))
        yield f"{where}: {each['msg']}" if where else each["msg"]


def wrong(sentences: Iterable[str]) -> ConfigValidationError:
    """The SDK's error about these mistakes."""
    return ConfigValidationError("Config validation failed", errors=list(sentences), schema={})
