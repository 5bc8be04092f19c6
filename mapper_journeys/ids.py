"""Ids of people, accounts and things: ``{namespace: $.path, …}``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mapper_journeys.errors import BadRuleError, RuleError
from mapper_journeys.paths import Reach, Read, Row
from mapper_journeys.scalars import text
from mapper_journeys.values import compile_value


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
