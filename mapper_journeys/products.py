"""Product rules: the closures that make products of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mapper_journeys.errors import BadRuleError, RuleError
from mapper_journeys.ids import compile_id
from mapper_journeys.language import ProductRule
from mapper_journeys.paths import Reach, Read, Row, flat
from mapper_journeys.scalars import text
from mapper_journeys.values import compile_mapping, compile_path, compile_text, compile_value
from mapper_journeys.wire import Made, ProductRecord

RELATIONS = ("substitutes", "accessories", "consumables")


def compile_product(rule: ProductRule, reach: Reach) -> Callable[..., None]:
    """The closure that appends the product of a row."""
    product_id = compile_id(rule.product_id, "product_id", reach)
    name = compile_text(rule.fields.name, "fields.name", reach).read
    category = compile_text(rule.fields.category, "fields.category", reach).read
    aliases = _compile_texts(rule.fields.aliases, "fields.aliases", reach)
    relations = _compile_relations(rule.fields.relations, reach)
    attributes = _compile_attributes(rule.fields.attributes, reach)
    label = compile_value(rule.product_id, "product_id", reach).label

    def make(row: Row, key: str | None, made: list[Made], part: str = "") -> None:
        found = product_id(row)
        if found is None:
            raise RuleError(
                f"{label} is null, empty or missing",
                "Add a `when` that leaves such records out, or name another `product_id`.",
            )
        made.append(
            ProductRecord(
                found, name(row), category(row), aliases(row), relations(row), attributes(row)
            )
        )

    return make


def _compile_texts(spec: object, key: str, reach: Reach) -> Read:
    """Names from a list of paths and literals, or from one path that yields a list; each once."""
    if spec is None:
        return lambda row: ()
    parts = spec if isinstance(spec, list) else [spec]
    values = [compile_value(part, key, reach) for part in parts]

    def read(row: Row) -> tuple[str, ...]:
        found = flat([value.read(row) for value in values])
        texts = [text(item, f"`{key}`") for item in found]
        return tuple(dict.fromkeys(item.strip() for item in texts if item and item.strip()))

    return read


def _compile_relations(spec: object, reach: Reach) -> Read:
    if not isinstance(spec, Mapping):
        return _compile_object(spec, "fields.relations", reach)
    for name in spec:
        if name not in RELATIONS:
            known = ", ".join(RELATIONS)
            problem = f"has the unknown relation '{name}'; allowed are {known}."
            raise BadRuleError("fields.relations", problem)
    reads = {
        name: _compile_texts(ids, f"fields.relations.{name}", reach) for name, ids in spec.items()
    }
    return lambda row: {name: ids for name, read in reads.items() if (ids := read(row))}


def _compile_attributes(spec: object, reach: Reach) -> Read:
    if isinstance(spec, Mapping):
        return compile_mapping(spec, "fields.attributes", reach)
    return _compile_object(spec, "fields.attributes", reach)


def _compile_object(spec: object, key: str, reach: Reach) -> Read:
    if spec is None:
        return lambda row: {}
    value = compile_path(spec, key, reach)

    def read(row: Row) -> dict[str, Any]:
        found = value.read(row)
        if found is None or isinstance(found, dict):
            return found or {}
        raise RuleError(f"{value.label} is not an object", "Name a field that is one.")

    return read
