"""`SELECT … FROM … WHERE …`: what SOQL and BigQuery's SQL have in common, read and evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

Get = Callable[[str], Any]  # a row's value by the name of its column


class SelectError(Exception):
    """The text is not a query that is understood here."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two languages part."""

    folds_case: bool = False  # 'acme' = 'ACME'
    null_differs: bool = False  # x != 1 is true where x is null
    mixes: bool = True  # a AND b OR c without parentheses
    params: Mapping[str, Any] = field(default_factory=dict)  # what @name stands for


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the answer: a field, or a function of a field."""

    name: str  # "*" for all
    function: str = ""  # upper case; empty for the field itself
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison; `value` is a list after IN and a pair after BETWEEN."""

    name: str
    sign: str
    value: Any


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions that hold together: AND, OR, or NOT of one."""

    word: str
    parts: tuple[Where, ...]


Where = Compare | Logic


@dataclass(frozen=True, slots=True)
class Order:
    """One column of ORDER BY."""

    name: str
    descending: bool = False
    nulls_first: bool | None = None  # None: as the dialect has it


@dataclass(frozen=True, slots=True)
class Select:
    """A query that was read."""

    columns: tuple[Column, ...]
    source: str
    where: Where | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0

    def comparisons(self) -> Iterator[Compare]:
        """Every comparison of the WHERE clause."""
        waiting = [self.where] if self.where else []
        while waiting:
            part = waiting.pop()
            if isinstance(part, Compare):
                yield part
            else:
                waiting += part.parts


def mapped(where: Where | None, change: Callable[[Compare], Compare]) -> Where | None:
    """The condition with each comparison changed."""
    if where is None or isinstance(where, Compare):
        return change(where) if where else None
    parts = (mapped(part, change) for part in where.parts)
    return Logic(where.word, tuple(part for part in parts if part))


def holds(where: Where | None, get: Get, dialect: Dialect) -> bool:
    """Whether the row is wanted; what is unknown (null) is not."""
    return where is None or _truth(where, get, dialect) is True


def ordered(
    rows: Iterable[Any], order: Iterable[Order], get: Callable[[Any, str], Any]
) -> list[Any]:
    """The rows in the order that the query asks for; ties stay as they came."""
    result = list(rows)
    for by in reversed(list(order)):
        some = [row for row in result if get(row, by.name) is not None]
        none = [row for row in result if get(row, by.name) is None]
        some.sort(key=partial(_swapped, get, by.name), reverse=by.descending)
        result = none + some if by.nulls_first is not False else some + none
    return result


def _swapped(get: Callable[[Any, str], Any], name: str, row: Any) -> Any:
    return get(row, name)


def _truth(where: Where, get: Get, dialect: Dialect) -> bool | None:
    if isinstance(where, Compare):
        return _compare(where, get(where.name), dialect)
    truths = [_truth(part, get, dialect) for part in where.parts]
    if where.word == "NOT":
        return None if truths[0] is None else not truths[0]
    decisive = where.word == "OR"
    return decisive if decisive in truths else None if None in truths else not decisive


def _compare(compare: Compare, left: Any, dialect: Dialect) -> bool | None:
    sign, right = compare.sign, compare.value
    if sign in {"IS", "IS NOT"} or right is None:
        return (left is None) == (sign in {"IS", "="})
    if left is None:
        return (dialect.null_differs and sign in {"!=", "NOT IN"}) or None
    if dialect.folds_case:
        left, right = _folded(left), _folded(right)
    try:
        return COMPARISONS[sign](left, right)
    except TypeError:
        raise SelectError(f"{compare.name} cannot be compared with this value") from None


def _folded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_folded(part) for part in value]
    return value.casefold() if isinstance(value, str) else value


def _like(left: str, pattern: str) -> bool:
    parts = re.split(r"(\\.|%|_)", pattern, flags=re.DOTALL)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
    return re.fullmatch(regex, left, re.DOTALL) is not None


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "IN": lambda left, right: left in right,
    "NOT IN": lambda left, right: left not in right,
    "LIKE": _like,
    "NOT LIKE": lambda left, right: not _like(left, right),
    "BETWEEN": lambda left, right: right[0] <= left <= right[1],
}

AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {  # of the values that are not null
    "COUNT": len,
    "COUNT_DISTINCT": lambda values: len(set(values)),
    "MAX": lambda values: max(values, default=None),
    "MIN": lambda values: min(values, default=None),
    "SUM": lambda values: sum(values) if values else None,
}
