"""The values of a rule: a path into the record, a literal, or a table from theirs to ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mapper_journeys.errors import BadRuleError, RuleError
from mapper_journeys.paths import Reach, Read, Row, is_path, names_of, path_reader
from mapper_journeys.scalars import SCALARS, is_there, text

FORMS = (
    "a path such as $.field, a literal, {from: $.field, map: {theirs: ours}, default: …}, "
    "{first: [$.field, $.other]} or {join: [$.field, $.other], by: /}"
)


@dataclass(frozen=True, slots=True)
class Value:
    """One compiled value of a rule."""

    read: Read
    label: str  # names the key and the path in messages: "`value` ($.amount)"
    literals: tuple[Any, ...] = ()  # what it may be, as far as the rule itself says
    from_record: bool = True  # whether it may also be what the record says
    constant: bool = False  # whether it is a literal


def is_value(spec: object) -> bool:
    """Whether a mapping of a rule is one value, rather than values by name or namespace."""
    return isinstance(spec, Mapping) and (
        "from" in spec or any(isinstance(spec.get(name), list) for name in ("first", "join"))
    )


def compile_value(spec: object, key: str, reach: Reach) -> Value:
    """The reader of any value of a rule."""
    if is_path(spec):
        return compile_path(spec, key, reach)
    if isinstance(spec, Mapping):
        forms = {"first": _compile_first, "join": _compile_join}
        compile_form = next((forms[name] for name in forms if name in spec), _compile_map)
        return compile_form(spec, key, reach)
    if not isinstance(spec, SCALARS):
        raise BadRuleError(key, f"must be {FORMS}.")
    return Value(lambda row: spec, f"`{key}`", (spec,), from_record=False, constant=True)


def compile_path(spec: object, key: str, reach: Reach) -> Value:
    """The reader of a path, ``$.a.b`` or ``@.a.b``."""
    if not isinstance(spec, str) or not is_path(spec):
        raise BadRuleError(key, "must be a path such as $.field.")
    start, *names = names_of(spec)
    if "" in names:
        raise BadRuleError(key, f"has an empty name in its path {spec}.")
    if start == "@" and not reach.element:
        raise BadRuleError(
            key, f"reads {spec}, but there is no `each` around it; write $. instead."
        )
    return Value(path_reader(start, names, reach), f"`{key}` ({spec})")


def _compile_map(spec: Mapping[Any, Any], key: str, reach: Reach) -> Value:
    for name in spec:
        if name not in ("from", "map", "default"):
            problem = f"has the unknown key '{name}'; allowed are from, map and default."
            raise BadRuleError(key, problem)
    table, default = spec.get("map"), compile_value(spec.get("default"), f"{key}.default", reach)
    if not isinstance(table, Mapping):
        raise BadRuleError(f"{key}.map", "must be a mapping {theirs: ours}.")
    for ours in table.values():
        if is_path(ours) or not isinstance(ours, SCALARS):
            raise BadRuleError(f"{key}.map", "may hold literals only.")
    source = compile_path(spec.get("from"), f"{key}.from", reach)
    ours_by_text = {text(theirs, f"`{key}.map`"): ours for theirs, ours in table.items()}
    read_source, label, otherwise = source.read, source.label, default.read

    def read(row: Row) -> Any:
        theirs = read_source(row)
        if type(theirs) is not str:
            theirs = text(theirs, label)
        return ours_by_text[theirs] if theirs in ours_by_text else otherwise(row)

    return Value(
        read,
        label,
        literals=(*table.values(), *default.literals),
        from_record=default.from_record,
    )


def _compile_first(spec: Mapping[Any, Any], key: str, reach: Reach) -> Value:
    parts = spec["first"]
    if len(spec) > 1 or not isinstance(parts, list) or not parts:
        raise BadRuleError(key, "must be {first: [$.field, …]}, with nothing beside the list.")
    values = [compile_value(part, f"{key}.first[{at}]", reach) for at, part in enumerate(parts)]
    reads = [value.read for value in values]
    paths = ", ".join(part for part in parts if is_path(part))

    def read(row: Row) -> Any:
        for read_part in reads:
            found = read_part(row)
            if is_there(found):
                return found
        return None

    return Value(
        read,
        f"`{key}` ({paths})" if paths else f"`{key}`",
        literals=tuple(literal for value in values for literal in value.literals),
        from_record=any(value.from_record for value in values),
    )


def _compile_join(spec: Mapping[Any, Any], key: str, reach: Reach) -> Value:
    parts, by = spec["join"], spec.get("by")
    if set(spec) != {"join", "by"} or not isinstance(parts, list) or not isinstance(by, str):
        raise BadRuleError(key, "must be {join: [$.field, …], by: text}, and nothing beside.")
    values = [compile_text(part, f"{key}.join[{at}]", reach) for at, part in enumerate(parts)]
    reads = [value.read for value in values]

    def read(row: Row) -> str | None:
        found = [part for part in (read_part(row) for read_part in reads) if part]
        return by.join(found) or None

    return Value(read, f"`{key}` ({', '.join(map(str, parts))})")


def compile_text(
    spec: object, key: str, reach: Reach, change: Callable[[str], str] = str.strip
) -> Value:
    """A text without the spaces around it, or changed otherwise; null and empty are None."""
    value = compile_value(spec, key, reach)
    source, label = value.read, value.label

    def read(row: Row) -> str | None:
        found = source(row)
        if type(found) is not str:
            found = text(found, label)
            if found is None:
                return None
        return change(found.strip()) or None

    return replace(value, read=read)


def compile_choice(spec: object, key: str, reach: Reach, allowed: Collection[str]) -> Value:
    """A value that must be one of a few words: literals are checked now, the record's later."""
    value = compile_value(spec, key, reach)
    words = ", ".join(allowed)
    for literal in value.literals:
        if literal is not None and literal not in allowed:
            raise BadRuleError(key, f"is '{literal}', but must be one of {words}.")
    same = {word: word for word in allowed}  # a default is left out by identity, not by equality
    if value.constant:
        fixed = same.get(value.literals[0])
        return replace(value, read=lambda row: fixed, literals=(fixed,))
    source, label = value.read, value.label

    def read(row: Row) -> Any:
        found = text(source(row), label) or None
        if found is None or found in same:
            return found and same[found]
        raise RuleError(f"{label} is not one of {words}", f"Translate it under `{key}` with a map.")

    return replace(value, read=read)


def compile_mapping(specs: Mapping[str, Any], key: str, reach: Reach) -> Read:
    """The reader of ``{name: value, …}``; what is null is left out."""
    reads = [
        (name, compile_value(spec, f"{key}.{name}", reach).read) for name, spec in specs.items()
    ]

    def read(row: Row) -> dict[str, Any]:
        made = {}
        for name, read_value in reads:
            found = read_value(row)
            if found is not None:
                made[name] = found
        return made

    return read
