"""Rules: data that says what a record stands for, compiled to one closure per rule and stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from journeys.vocabulary import EVENT_TYPES
from mapper_journeys.conditions import Holds, compile_when
from mapper_journeys.each import compile_each, part_of
from mapper_journeys.errors import BadRuleError, RuleError
from mapper_journeys.events import KnownNames, compile_event
from mapper_journeys.language import ProductRule, Rule
from mapper_journeys.paths import Columns, Reach, Read, Row
from mapper_journeys.products import compile_product
from mapper_journeys.wire import Made, Make

EVERY_RULE = "*"  # stands for the rule's name where no rule could read the record at all


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that could not read a record."""

    rule: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class StreamRules:
    """The compiled rules of one stream."""

    stream: str
    columns: tuple[str, ...]  # what a row must hold, in order
    makes: tuple[tuple[str, Holds | None, Make], ...]  # name, `when` and closure of each rule


def row_of(columns: Sequence[str], record: Mapping[str, Any]) -> Row:
    """The columns of a record; what is missing is None."""
    return tuple([record.get(name) for name in columns])


def apply(rules: StreamRules, row: Row, key: str | None) -> tuple[list[Made], Sequence[Failure]]:
    """The events and products that one record stands for, and the rules that could not read it.

    ``key`` is the record's key as text, None if the record has none. A rule that fails makes
    nothing of that record.
    """
    made: list[Made] = []
    failures: tuple[Failure, ...] = ()
    for name, holds, make in rules.makes:
        try:
            if holds is None or holds(row):
                make(row, key, made)
        except RuleError as error:
            failures += (Failure(name, error.reason, error.fix),)
    return made, failures


def compile_rules(
    rules: Sequence[Rule], own_types: AbstractSet[str] = frozenset()
) -> tuple[dict[str, StreamRules], list[str]]:
    """The compiled rules by stream, and a sentence for each rule that says what it may not.

    ``own_types`` are the event types that the stage model declares besides the vocabulary.
    """
    errors = _duplicate_names(rules)
    known = KnownNames(EVENT_TYPES | own_types, frozenset(rule.name for rule in rules))
    compiled: dict[str, StreamRules] = {}
    for stream in dict.fromkeys(stream for rule in rules for stream in rule.streams):
        columns, makes = Columns(), []
        for rule in rules:
            if stream not in rule.streams:
                continue
            try:
                makes.append((rule.name, *_compile_rule(rule, stream, columns, known=known)))
            except BadRuleError as error:
                errors.append(f"Rule '{rule.name}': {error}")
        compiled[stream] = StreamRules(stream, tuple(columns.names), tuple(makes))
    return compiled, list(dict.fromkeys(errors))


def _duplicate_names(rules: Sequence[Rule]) -> list[str]:
    names = [rule.name for rule in rules]
    return [
        f"Rule '{name}': the `name` is used more than once; it is part of the event id and must "
        "be unique among presets, rules_files and rules."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _compile_rule(
    rule: Rule, stream: str, columns: Columns, *, known: KnownNames
) -> tuple[Holds | None, Make]:
    reach = Reach(columns)
    inner = reach if rule.each is None else reach.inside_each()
    of_record, of_element = compile_when(rule.when, inner)
    make: Callable[..., None]
    if isinstance(rule, ProductRule):
        make = compile_product(rule, inner)
    else:
        make = compile_event(rule, stream, inner, known=known)
    if rule.each is None:
        return _all_of(of_record), make
    elements = compile_each(rule.each, "each", reach)
    return _all_of(of_record), _repeat(elements, _all_of(of_element), make)


def _all_of(tests: Sequence[Holds]) -> Holds | None:
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda row: all(test(row) for test in tests)


def _repeat(elements: Read, holds: Holds | None, make: Callable[..., None]) -> Make:
    def make_each(row: Row, key: str | None, made: list[Made]) -> None:
        parts: dict[str, int] = {}
        of_all: list[Made] = []  # all elements or none
        for element in elements(row):
            part = part_of(element)
            parts[part] = again = parts.get(part, 0) + 1
            if again > 1:  # two elements with one id are still two
                part = f"{part}#{again}"
            inner = (*row, element)
            if holds is None or holds(inner):
                make(inner, key, of_all, part)
        made += of_all

    return make_each
