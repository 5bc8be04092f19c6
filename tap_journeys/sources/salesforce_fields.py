"""Fields of Salesforce's objects: what describe tells of them, and their values in one form.

REST and Bulk write the same value differently: moments end in ``+0000`` or in ``Z``, a CSV holds
nothing but text, an integer may come as ``0.0``, and an empty text is null. Records hold moments
with ``Z``, numbers, booleans, and ids of 18 characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
CURSORS = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")  # the first there is
NOT_READ = {"address", "location", "base64"}  # compounds of other fields, and files
NUMBERS = {"double", "currency", "percent"}
INTEGERS = {"int", "long"}
IDS = {"id", "reference"}
CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
SHORT_ID = re.compile(r"[0-9A-Za-z]{15}")
REST_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\+00:?00")
FORMATS = {"date": "date", "datetime": "date-time", "time": "time"}


def full_id(text: str) -> str:
    """The 18 characters of an id of 15; the last three say which letters are capitals."""
    if not SHORT_ID.fullmatch(text):
        return text
    five = (text[0:5], text[5:10], text[10:15])
    return text + "".join(
        CHECKS[sum(letter.isupper() << place for place, letter in enumerate(part))] for part in five
    )


def _moment(value: Any) -> Any:
    found = REST_MOMENT.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]}Z" if found else value


def _text(value: Any) -> Any:
    """The value of a field that may hold any type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else _moment(value)


def _boolean(value: Any) -> Any:
    return value.lower() == "true" if isinstance(value, str) else value


CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "datetime": _moment,
    "anyType": _text,
    **dict.fromkeys(INTEGERS, lambda value: int(float(value))),
    **dict.fromkeys(NUMBERS, float),
    **dict.fromkeys(IDS, lambda value: full_id(str(value))),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field; ``path`` is its name, or ``Opportunity.AccountId`` in the row it refers to."""

    path: str
    kind: str  # in describe's words
    filters: bool = True
    relation: str | None = None  # under which name a query reaches the other row …
    object: str | None = None  # … and of what object it is

    @property
    def schema(self) -> dict[str, Any]:
        """What a record holds of it."""
        if self.path == "Id":
            return {"type": "string"}
        if self.kind == "boolean":
            return {"type": ["boolean", "null"]}
        if self.kind in INTEGERS:
            return {"type": ["integer", "null"]}
        if self.kind in NUMBERS:
            return {"type": ["number", "null"]}
        if self.kind in FORMATS:
            return {"type": ["string", "null"], "format": FORMATS[self.kind]}
        return {} if self.kind == "complexvalue" else {"type": ["string", "null"]}

    def value(self, raw: Any) -> Any:
        """The value in its one form."""
        if raw is None or raw == "":
            return None
        try:
            return CONVERT[self.kind](raw) if self.kind in CONVERT else raw
        except (ValueError, TypeError):  # not of the kind that describe names: kept as it is
            return raw


def described(answer: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields that can be read, of an answer of describe."""
    return tuple(
        Field(
            each["name"],
            each["type"],
            each.get("filterable", True),
            each.get("relationshipName"),
            next(iter(each.get("referenceTo") or ()), None),
        )
        for each in answer["fields"]
        if each["type"] not in NOT_READ and not each.get("deprecatedAndHidden")
    )


def cursor_of(fields: Iterable[Field]) -> str | None:
    """The field in whose order rows are read; None where an object has no stamp."""
    names = {field.path for field in fields if field.filters}
    return next((name for name in CURSORS if name in names), None)


def schema_of(fields: Iterable[Field]) -> dict[str, Any]:
    """The JSON Schema of records; rows that are referred to are objects inside."""
    properties: dict[str, Any] = {}
    for field in fields:
        head, _, rest = field.path.partition(".")
        if rest:
            inside = properties.setdefault(head, {"type": ["object", "null"], "properties": {}})
            inside["properties"][rest] = field.schema
        else:
            properties[head] = field.schema
    return {"type": "object", "properties": properties}


def chunks(fields: Sequence[Field], always: Sequence[str], most: int) -> list[list[Field]]:
    """The fields in pieces of so many characters in an address; each begins with ``always``."""
    first = [field for field in fields if field.path in always]
    pieces, size = [list(first)], 0
    for field in fields:
        if field.path in always:
            continue
        needs = len(field.path) + len("%2C")
        if size + needs > most:
            pieces.append(list(first))
            size = 0
        pieces[-1].append(field)
        size += needs
    return pieces


def from_rest(fields: Iterable[Field], row: Mapping[str, Any]) -> Record:
    """The record of a row of REST, without `attributes`."""

    def value_of(head: str, rest: str) -> Any:
        value = row.get(head)
        return value.get(rest) if rest and value else value

    return _record(fields, value_of)


def from_csv(fields: Iterable[Field], row: Mapping[str, str]) -> Record:
    """The record of a row of Bulk."""
    return _record(fields, lambda head, rest: row.get(f"{head}.{rest}" if rest else head))


def _record(fields: Iterable[Field], value_of: Callable[[str, str], Any]) -> Record:
    """A row that is referred to is null where nothing is known of it: a CSV cannot tell more."""
    record: Record = {}
    inside: dict[str, Record] = {}
    for field in fields:
        head, _, rest = field.path.partition(".")
        value = field.value(value_of(head, rest))
        if not rest:
            record[head] = value
            continue
        record.setdefault(head, None)
        row = inside.setdefault(head, {})
        row[rest] = value
        if value is not None:
            record[head] = row
    return record
