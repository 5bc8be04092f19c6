"""Conditions of a rule: which records it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any

from mapper_journeys.errors import BadRuleError, closest
from mapper_journeys.paths import Reach, Row
from mapper_journeys.scalars import SCALARS, is_there, number, text
from mapper_journeys.values import compile_path

Test = Callable[[Any], bool]  # of one value
Holds = Callable[[Row], bool]  # of a record

ORDERS = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def compile_when(when: Mapping[str, Any], reach: Reach) -> tuple[list[Holds], list[Holds]]:
    """The tests of a record, and those of one element of `each`; all of them must hold."""
    of_record: list[Holds] = []
    of_element: list[Holds] = []
    for path, condition in when.items():
        if path.startswith("$"):
            raise BadRuleError("when", f"writes its keys without $., not as '{path}'.")
        at_element = path == "@" or path.startswith("@.")
        spelt = path if at_element else f"$.{path}"
        holds = _compile_holds(spelt, condition, f"when.{path}", reach)
        (of_element if at_element else of_record).append(holds)
    return of_record, of_element


def _compile_holds(path: str, condition: object, key: str, reach: Reach) -> Holds:
    read = compile_path(path, key, reach).read
    test = compile_condition(condition, key)
    if isinstance(condition, Mapping):
        return lambda row: test(read(row))
    wanted = frozenset(_texts(condition, key, may_be_null=True))

    def holds(row: Row) -> bool:  # what most rules ask, in one step
        value = read(row)
        return value in wanted if type(value) is str else test(value)

    return holds


def compile_condition(condition: object, key: str) -> Test:
    """The test of one value: a scalar, a list of them, or one condition."""
    if not isinstance(condition, Mapping):
        return _one_of(condition, key)
    if len(condition) != 1:
        raise BadRuleError(key, f"must hold exactly one condition of {', '.join(CONDITIONS)}.")
    ((name, operand),) = condition.items()
    if name not in CONDITIONS:
        known = ", ".join(CONDITIONS)
        hint = closest(name, CONDITIONS)
        raise BadRuleError(key, f"has the unknown condition '{name}'{hint}; allowed are {known}.")
    return CONDITIONS[name](operand, f"{key}.{name}")


def _one_of(operand: object, key: str) -> Test:
    wanted = frozenset(_texts(operand, key, may_be_null=True))

    def test(value: Any) -> bool:
        if type(value) is str:
            return value in wanted
        if isinstance(value, list):
            return any(test(item) for item in value)
        return not isinstance(value, dict) and text(value, key) in wanted

    return test


def _in(operand: object, key: str) -> Test:
    if not isinstance(operand, list):
        raise BadRuleError(key, "must be a list of literals.")
    return _one_of(operand, key)


def _prefix(operand: object, key: str) -> Test:
    starts = tuple(_texts(operand, key))
    return _of_text(lambda value: value.startswith(starts), key)


def _suffix(operand: object, key: str) -> Test:
    ends = tuple(_texts(operand, key))
    return _of_text(lambda value: value.endswith(ends), key)


def _contains(operand: object, key: str) -> Test:
    parts = _texts(operand, key)
    in_text = _of_text(lambda value: any(part in value for part in parts), key)
    is_item = _one_of(operand, key)
    return lambda value: is_item(value) if isinstance(value, list) else in_text(value)


def _matches(operand: object, key: str) -> Test:
    if not isinstance(operand, str):
        raise BadRuleError(key, "must be a regular expression.")
    try:
        pattern = re.compile(operand)
    except re.error as error:
        raise BadRuleError(key, f"is no regular expression: {error}.") from None
    return _of_text(lambda value: pattern.search(value) is not None, key)


def _of_text(test: Callable[[str], bool], key: str) -> Test:
    def holds(value: Any) -> bool:
        if isinstance(value, list):
            return any(holds(item) for item in value)
        written = None if isinstance(value, dict) else text(value, key)
        return written is not None and test(written)

    return holds


def _order(name: str) -> Callable[[object, str], Test]:
    compare = ORDERS[name]

    def compile_order(operand: object, key: str) -> Test:
        if isinstance(operand, bool) or not isinstance(operand, (str, int, float, Decimal)):
            raise BadRuleError(key, "must be a number, or text that sorts like ISO dates do.")
        limit = number(operand)
        if limit is None:
            return _of_text(lambda value: bool(compare(value, str(operand))), key)
        return _of_number(lambda value: bool(compare(value, limit)))

    return compile_order


def _of_number(test: Callable[[Decimal | int], bool]) -> Test:
    def holds(value: Any) -> bool:
        if isinstance(value, list):
            return any(holds(item) for item in value)
        found = number(value)
        return found is not None and test(found)

    return holds


def _exists(operand: object, key: str) -> Test:
    if not isinstance(operand, bool):
        raise BadRuleError(key, "must be true or false.")

    def test(value: Any) -> bool:
        there = value != "" if type(value) is str else is_there(value)
        return there is operand

    return test


def _not(operand: object, key: str) -> Test:
    test = compile_condition(operand, key)
    return lambda value: not test(value)


def _texts(operand: object, key: str, *, may_be_null: bool = False) -> list[Any]:
    literals = operand if isinstance(operand, list) else [operand]
    for literal in literals:
        if not isinstance(literal, SCALARS) or (literal is None and not may_be_null):
            raise BadRuleError(key, "must be a literal or a list of literals.")
    return [text(literal, key) for literal in literals]


CONDITIONS: dict[str, Callable[[object, str], Test]] = {
    "in": _in,
    "prefix": _prefix,
    "suffix": _suffix,
    "contains": _contains,
    "matches": _matches,
    **{name: _order(name) for name in ORDERS},
    "exists": _exists,
    "not": _not,
}
