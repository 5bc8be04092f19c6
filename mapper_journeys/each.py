"""What an `each` goes through: the elements of a list, or the fields of an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any

import msgspec

from mapper_journeys.errors import BadRuleError
from mapper_journeys.paths import Reach, Read, Row
from mapper_journeys.scalars import text
from mapper_journeys.values import compile_path, compile_text

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def compile_each(spec: object, key: str, reach: Reach) -> Read:
    """The reader of all elements: of a path, or of what ``entries`` or ``split`` name."""
    if not isinstance(spec, Mapping):
        found = compile_path(spec, key, reach).read
        return lambda row: _elements(found(row))
    if set(spec) == {"split", "by"}:
        return _compile_split(spec, key, reach)
    if set(spec) - {"prefix"} == {"entries"}:
        return _compile_entries(spec, key, reach)
    raise BadRuleError(
        key,
        "must be a path such as $.field, {entries: $.field, prefix: …} or {split: $.field, by: …}.",
    )


def _compile_split(spec: Mapping[Any, Any], key: str, reach: Reach) -> Read:
    by = spec["by"]
    if not isinstance(by, str) or not by:
        raise BadRuleError(f"{key}.by", "must be the text that stands between the parts.")
    whole = compile_text(spec["split"], f"{key}.split", reach).read

    def read(row: Row) -> list[str]:
        parts = (part.strip() for part in (whole(row) or "").split(by))
        return list(dict.fromkeys(part for part in parts if part))

    return read


def _compile_entries(spec: Mapping[Any, Any], key: str, reach: Reach) -> Read:
    prefix = spec.get("prefix", "")
    prefixes = prefix if isinstance(prefix, list) else [prefix]
    if not all(isinstance(each, str) for each in prefixes):
        raise BadRuleError(f"{key}.prefix", "must be a text or a list of texts.")
    fronts = sorted(prefixes, key=len, reverse=True)  # the longest that fits is taken off
    whole = compile_path(spec["entries"], f"{key}.entries", reach).read

    def read(row: Row) -> list[Any]:
        found = whole(row)
        return list(_entries(found, fronts)) if isinstance(found, dict) else []

    return read


def _entries(found: Mapping[str, Any], fronts: list[str]) -> Iterator[dict[str, Any]]:
    for name, value in found.items():
        front = next((each for each in fronts if name.startswith(each)), None)
        if front is not None:
            yield {"id": name.removeprefix(front), "value": value}


def _elements(found: Any) -> list[Any]:
    """A list, or one object; nothing for null. Text that holds JSON is what it holds."""
    if type(found) is str and found.lstrip()[:1] in ("[", "{"):
        try:
            found = _decode(found)
        except (msgspec.DecodeError, RecursionError, InvalidOperation):
            return []
    if found is None or found == "":
        return []
    return found if isinstance(found, list) else [found]


def part_of(element: Any) -> str:
    """What names an element within its list, wherever it stands: its id, else its content."""
    own = element.get("id") if isinstance(element, dict) else None
    if isinstance(own, (dict, list)) or own in (None, ""):
        content = msgspec.json.encode(element, order="sorted", enc_hook=str)
        return blake2b(content, digest_size=8).hexdigest()
    return str(text(own, "`each`"))
