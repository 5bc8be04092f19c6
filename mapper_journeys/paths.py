"""Paths into a record: ``$.a.b``, ``@.a``, ``$.list.0.a``, ``$.list[name=x].value``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from mapper_journeys.scalars import SCALARS, text

Row = tuple[Any, ...]  # the record's columns that the rules read; the element of `each` is last
Read = Callable[[Row], Any]

SELECTION = re.compile(r"(\[[^\[\].=]+=[^\[\]]*\])")  # of an element of a list: [key=page_title]


class Columns:
    """The top-level fields of one stream's records that its rules read, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def at(self, name: str) -> int:
        """The place of a field in the row; asks for it to be there."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a path may read: the stream's columns and, inside an `each`, the element."""

    columns: Columns
    element: bool = False

    def inside_each(self) -> Reach:
        return replace(self, element=True)


def is_path(spec: object) -> bool:
    """Whether a text of a rule is a path rather than a literal."""
    return isinstance(spec, str) and (spec.startswith(("$.", "@.")) or spec == "@")


def names_of(path: str) -> list[str]:
    """The steps of a path; ``a[k=v].b`` has three: a, [k=v], b."""
    first, *others = SELECTION.split(path)
    names = first.split(".")
    for selection, rest in zip(others[::2], others[1::2], strict=True):
        names += [selection, *(rest.removeprefix(".").split(".") if rest else ())]
    return names


def path_reader(start: str, names: list[str], reach: Reach) -> Read:
    """The reader of a path: where it begins (``$`` or ``@``), and its steps."""
    if start == "@":
        return _walk(itemgetter(-1), names) if names else itemgetter(-1)
    if len(names) == 1:
        return itemgetter(reach.columns.at(names[0]))
    if any(SELECTION.fullmatch(name) for name in names):
        return _walk(itemgetter(reach.columns.at(names[0])), names[1:])
    whole = itemgetter(reach.columns.at(".".join(names)))  # flattened records keep dots in names
    outer: Read = itemgetter(reach.columns.at(names[0]))
    last = names[-1]
    if len(names) > 2:
        outer = _walk(outer, names[1:-1])

    def read(row: Row) -> Any:
        value = whole(row)
        if value is not None:
            return value
        value = outer(row)
        return value.get(last) if type(value) is dict else _step(value, last)

    return read


def _walk(outer: Read, names: list[str]) -> Read:
    first = names[0]
    if len(names) > 1:
        return _walk(_walk(outer, names[:1]), names[1:])
    if SELECTION.fullmatch(first):
        field, _, wanted = first[1:-1].partition("=")
        return lambda row: _selected(outer(row), field, wanted)

    def read(row: Row) -> Any:
        value = outer(row)
        return value.get(first) if type(value) is dict else _step(value, first)

    return read


def _step(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list):
        if name.isascii() and name.isdigit():
            return next(iter(value[int(name) :]), None)
        found = [_step(item, name) for item in value]
        return [item for item in flat(found) if item is not None]
    return None


def _selected(value: Any, field: str, wanted: str) -> Any:
    """The first element of a list whose field says so."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            found = item.get(field)
            if type(found) is not str and isinstance(found, SCALARS):
                found = text(found, field)
            if found == wanted:
                return item
    return None


def flat(values: list[Any]) -> list[Any]:
    """The list without lists inside it."""
    made: list[Any] = []
    for value in values:
        made.extend(flat(value) if isinstance(value, list) else [value])
    return made
