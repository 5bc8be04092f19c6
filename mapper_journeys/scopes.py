"""Scopes: the closures that say what an event was about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from journeys.vocabulary import GRAINS, ROLES
from mapper_journeys.each import compile_each
from mapper_journeys.errors import BadRuleError
from mapper_journeys.ids import compile_id, compile_ids, first_of
from mapper_journeys.language import ScopeRule
from mapper_journeys.paths import Reach, Read, Row
from mapper_journeys.values import Value, compile_choice, is_value
from mapper_journeys.wire import ScopeRecord

STRENGTH = {role: rank for rank, role in enumerate(ROLES)}  # 0 is the strongest


def compile_scopes(scopes: Sequence[ScopeRule], reach: Reach) -> Read:
    """The reader of all scopes; the same grain and id is one scope, with its strongest role."""
    if not scopes:
        return lambda row: ()
    readers = [_compile_scope(scope, f"scopes[{at}]", reach) for at, scope in enumerate(scopes)]
    if len(readers) == 1 and scopes[0].each is None:
        return readers[0]

    def read(row: Row) -> tuple[ScopeRecord, ...]:
        found: dict[tuple[str, str], ScopeRecord] = {}
        for reader in readers:
            for scope in reader(row):
                same = found.setdefault((scope.grain, scope.id), scope)
                if STRENGTH[scope.role] < STRENGTH[same.role]:
                    same.role = scope.role
        return tuple(found.values())

    return read


def _compile_scope(scope: ScopeRule, key: str, reach: Reach) -> Read:
    inner = reach if scope.each is None else reach.inside_each()
    grain = compile_choice(scope.grain, f"{key}.grain", inner, GRAINS)
    role = compile_choice(scope.role, f"{key}.role", inner, ROLES)
    if grain.constant and grain.literals[0] is None:
        raise BadRuleError(f"{key}.grain", f"must be one of {', '.join(GRAINS)}.")
    if isinstance(scope.id, Mapping) and not is_value(scope.id):
        read_id = first_of(compile_ids(scope.id, f"{key}.id", inner))
    else:
        read_id = compile_id(scope.id, f"{key}.id", inner)
    read = _scope_reader(grain, read_id, role)
    if scope.each is None:
        return read
    elements = compile_each(scope.each, f"{key}.each", reach)
    return lambda row: [made for element in elements(row) for made in read((*row, element))]


def _scope_reader(grain: Value, read_id: Read, role: Value) -> Read:
    if grain.constant and role.constant:
        of, as_role = grain.literals[0], role.literals[0] or "primary"

        def read_fixed(row: Row) -> tuple[ScopeRecord, ...]:
            found = read_id(row)
            return () if found is None else (ScopeRecord(of, found, as_role),)

        return read_fixed
    read_grain, read_role = grain.read, role.read

    def read(row: Row) -> tuple[ScopeRecord, ...]:
        found, of = read_id(row), read_grain(row)
        if found is None or of is None:
            return ()
        return (ScopeRecord(of, found, read_role(row) or "primary"),)

    return read
