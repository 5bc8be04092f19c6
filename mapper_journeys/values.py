"""The values of a rule: a path into the record, a literal, or a table from theirs to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from operator import itemgetter
from typing import Any, NoReturn

Row = tuple[Any, ...]  # the record's columns that the rules read; the element of `each` is last
Read = Callable[[Row], Any]

LONGEST_PLAIN_NUMBER = 40  # digits; a larger exponent is a mistake, not an id or an amount
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
SELECTION = re.compile(r"(\[[^\[\].=]+=[^\[\]]*\])")  # of an element of a list: [key=page_title]
SCALARS = (str, bool, int, float, Decimal, type(None))  # the SDK reads JSON numbers as Decimal
FORMS = (
    "a path such as $.field, a literal, {from: $.field, map: {theirs: ours}, default: …}, "
    "{first: [$.field, $.other]} or {join: [$.field, $.other], by: /}"
)


class BadRuleError(Exception):
    """A rule says something that the language does not have: the key, and what is allowed."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"`{key}` {problem}")


class RuleError(Exception):
    """A rule cannot read one record: the reason, and what the author of the rule can do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


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


@dataclass(frozen=True, slots=True)
class Value:
    """One compiled value of a rule."""

    read: Read
    label: str  # names the key and the path in messages: "`value` ($.amount)"
    literals: tuple[Any, ...] = ()  # what it may be, as far as the rule itself says
    from_record: bool = True  # whether it may also be what the record says
    constant: bool = False  # whether it is a literal


def is_path(spec: object) -> bool:
    """Whether a text of a rule is a path rather than a literal."""
    return isinstance(spec, str) and (spec.startswith(("$.", "@.")) or spec == "@")


def is_value(spec: object) -> bool:
    """Whether a mapping of a rule is one value, rather than values by name or namespace."""
    return isinstance(spec, Mapping) and (
        "from" in spec or any(isinstance(spec.get(name), list) for name in ("first", "join"))
    )


def is_there(value: Any) -> bool:
    """Whether a record says something: not null, not empty text, not a list of such."""
    if isinstance(value, list):
        return any(is_there(item) for item in value)
    return value is not None and value != ""


def closest(word: object, known: Collection[str]) -> str:
    """A hint for a misspelt word, or nothing."""
    found = get_close_matches(str(word), sorted(known), n=1)
    return f" (did you mean '{found[0]}'?)" if found else ""


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
    start, *names = _names_of(spec)
    if "" in names:
        raise BadRuleError(key, f"has an empty name in its path {spec}.")
    if start == "@" and not reach.element:
        raise BadRuleError(
            key, f"reads {spec}, but there is no `each` around it; write $. instead."
        )
    return Value(_reader(start, names, reach), f"`{key}` ({spec})")


def _names_of(path: str) -> list[str]:
    """The steps of a path; ``a[k=v].b`` has three: a, [k=v], b."""
    first, *others = SELECTION.split(path)
    names = first.split(".")
    for selection, rest in zip(others[::2], others[1::2], strict=True):
        names += [selection, *(rest.removeprefix(".").split(".") if rest else ())]
    return names


def _reader(start: str, names: list[str], reach: Reach) -> Read:
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


def refuse_many(label: str) -> NoReturn:
    """Say that one value was expected where the record has a list or an object."""
    raise RuleError(
        f"{label} is a list or an object where one value is needed",
        "Name one field of it, or use `each`.",
    )


def text(value: Any, label: str) -> str | None:
    """A scalar as text: 17850 and 17850.0 are "17850", true is "true"; text stays as it is."""
    if type(value) is str or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if isinstance(value, (float, Decimal)):
        return _number_text(Decimal(str(value)))
    return refuse_many(label)


def _number_text(number: Decimal) -> str:
    if not number.is_finite() or abs(number.adjusted()) > LONGEST_PLAIN_NUMBER:
        return str(number)
    whole = number.to_integral_value()
    return str(int(whole)) if whole == number else format(number, "f")


def number(value: Any) -> Decimal | int | None:
    """A number, or text that is one; None for anything else."""
    kind = type(value)
    if kind is int or kind is Decimal:
        return value  # type: ignore[no-any-return]  # narrowed by the line above
    if kind is float:
        value = str(value)
    if isinstance(value, str):
        written = value.strip()
        return Decimal(written) if NUMBER.fullmatch(written) else None
    return None


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


def compile_id(spec: object, key: str, reach: Reach, namespace: str = "") -> Read:
    """The reader of an id, with its namespace in front if it has one; e-mails in lower case."""
    value = compile_value(spec, key, reach)
    source, label = value.read, value.label
    front = f"{namespace}:" if namespace else ""
    is_email = namespace == "email"

    def read(row: Row) -> str | None:
        found = source(row)
        if type(found) is not str:
            if type(found) is int:
                return f"{front}{found}"
            found = text(found, label)
            if found is None:
                return None
        found = found.strip()
        if not found:
            return None
        if "\0" in found:
            raise RuleError(f"{label} holds a NUL character", "Mend it in the source or the tap.")
        return front + (found.lower() if is_email else found)

    return read


def compile_ids(spec: object, key: str, reach: Reach) -> tuple[Read, ...]:
    """The readers of ``{namespace: path or paths, …}``, the preferred one first."""
    if not isinstance(spec, Mapping) or not spec:
        raise BadRuleError(key, "must be a mapping {namespace: $.path}.")
    for namespace in spec:
        if not isinstance(namespace, str) or not re.fullmatch(r"[^\s:]+", namespace):
            raise BadRuleError(key, "has a namespace that is empty or holds a space or a colon.")
    return tuple(
        compile_id(path, f"{key}.{namespace}", reach, namespace)
        for namespace, paths in spec.items()
        for path in (paths if isinstance(paths, list) else [paths])
    )


def first_of(ids: Sequence[Read]) -> Read:
    """The first id that is there."""

    def read(row: Row) -> str | None:
        for read_id in ids:
            found: str | None = read_id(row)
            if found is not None:
                return found
        return None

    return read


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


def compile_amount(spec: object, key: str, reach: Reach) -> Read:
    """The reader of a decimal, as plain text: never 1e5, never 1,234.50."""
    value = compile_value(spec, key, reach)
    source, label = value.read, value.label

    def read(row: Row) -> str | None:
        found = source(row)
        if type(found) is Decimal:
            plain = str(found)
            if "E" not in plain and len(plain) < LONGEST_PLAIN_NUMBER:
                return plain
        elif found is None or (type(found) is str and not found.strip()):
            return None
        amount = number(found)
        if amount is None or abs(Decimal(amount).adjusted()) > LONGEST_PLAIN_NUMBER:
            raise RuleError(
                f"{label} is not a decimal number",
                "Write plain digits with a point, without thousands separators or currency signs.",
            )
        return format(amount, "f" if type(amount) is Decimal else "d")

    return read


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
