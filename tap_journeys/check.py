"""What a login lets us read: streams, rows, whom and what they name, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys.side_by_side import together
from tap_journeys.sources import SOURCES
from tap_journeys.sources.base import ApiStream, Record, Source
from tap_journeys.sources.errors import MissingScopeError, NotThereError

if TYPE_CHECKING:
    from singer_sdk import Tap

PAGES = 3  # that are looked at until one has rows
ENOUGH = 100  # rows


class Finding(NamedTuple):
    """One line of a check: "ok", "warning" or "error", and what was found."""

    level: str
    text: str


def check(tap: Tap, sources: Sequence[Source], streams: Sequence[ApiStream]) -> Iterator[Finding]:
    """What every source says of its login, then what the first rows of every stream hold.

    Nothing is written anywhere, and no row's content is shown.
    """
    names = {kind: name for name, kind in SOURCES.items()}
    for source in sources:
        for level, text in source.check(tap):
            yield Finding(level, f"{names.get(type(source), 'source')}: {text}")
    for stream, found in together(first_rows, streams):
        yield describe(stream, found)


def first_rows(stream: ApiStream) -> list[Record]:
    """A few rows, of the first page that has any."""
    for part in islice(stream.plan({}), PAGES):
        for page in islice(stream.read(part), PAGES):
            if page.records:
                return list(page.records[:ENOUGH])
    return []


def describe(stream: ApiStream, found: list[Record] | Exception) -> Finding:
    """One line about a stream."""
    match found:
        case MissingScopeError():
            return Finding("warning", f"{stream.name}: not readable, {found}")
        case NotThereError():
            return Finding("warning", f"{stream.name}: the vendor does not have it ({found})")
        case FatalAPIError() | RetriableAPIError():
            return Finding("error", f"{stream.name}: {found}")
        case Exception():
            return Finding("error", f"{stream.name}: {type(found).__name__}")
        case []:
            return Finding("warning", f"{stream.name}: readable, but no row was seen")
    rows = len(found)
    said = [f"{rows} rows seen" if rows > 1 else "1 row seen"]
    for what, paths in (("customer", stream.customer_paths), ("product", stream.product_paths)):
        if paths:
            share = sum(any(holds(row, path) for path in paths) for row in found) / rows
            said.append(f"{share:.0%} name a {what}")
            if not share:
                said.append(f"fill in one of {', '.join(paths)}, or map another field")
    return Finding("ok", f"{stream.name}: {'; '.join(said)}")


def holds(value: Any, path: str) -> bool:
    """Whether something stands at a dotted path; in a list, whether an element has it."""
    name, _, rest = path.partition(".")
    if isinstance(value, list):
        return any(holds(each, path) for each in value)
    if not isinstance(value, dict):
        return False
    found = value.get(name)
    return holds(found, rest) if rest else found not in (None, "", [], {})
