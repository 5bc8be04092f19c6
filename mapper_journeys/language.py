"""What a rule may say, and a sentence for each thing that it may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mapper_journeys.errors import closest


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ScopeRule(_Closed):
    """One entry of `scopes`."""

    grain: Any
    id: Any
    role: Any = "primary"
    each: Any = None


class Fields(_Closed):
    """`fields` of a rule that emits products."""

    name: Any = None
    category: Any = None
    aliases: Any = None
    relations: Any = None
    attributes: Any = None


class EventRule(_Closed):
    """A rule that makes events."""

    name: str = Field(min_length=1)
    streams: list[str] = Field(min_length=1)
    emit: Literal["event"] = "event"
    when: dict[str, Any] = {}
    each: Any = None
    event_type: Any
    occurred_at: Any
    recorded_at: Any = None
    date_format: str | None = None
    timezone: str | None = None
    subject: Any = None
    account: Any = None
    scopes: list[ScopeRule] = []
    channel: Any = None
    visibility: Any = None
    observability: Any = None
    value: Any = None
    currency: Any = None
    properties: dict[str, Any] = {}
    supersedes: Any = None


class ProductRule(_Closed):
    """A rule that makes products."""

    name: str = Field(min_length=1)
    streams: list[str] = Field(min_length=1)
    emit: Literal["product"]
    when: dict[str, Any] = {}
    each: Any = None
    product_id: Any
    fields: Fields


Rule = EventRule | ProductRule
INNER: dict[str, type[BaseModel]] = {"scopes": ScopeRule, "fields": Fields}


def parse_rules(specs: Iterable[object], origin: str) -> tuple[list[Rule], list[str]]:
    """The rules of one list, and a sentence for each thing that is wrong with the others."""
    rules: list[Rule] = []
    errors: list[str] = []
    for number, spec in enumerate(specs, start=1):
        if not isinstance(spec, Mapping):
            errors.append(f"Rule number {number} of {origin} must be a mapping of keys to values.")
            continue
        name = spec.get("name")
        label = f"Rule '{name}'" if isinstance(name, str) else f"Rule number {number}"
        model = ProductRule if spec.get("emit") == "product" else EventRule
        try:
            rules.append(model.model_validate(dict(spec)))
        except ValidationError as error:
            for detail in error.errors(include_input=False, include_url=False):
                errors.append(f"{label} of {origin}: {_sentence(dict(detail), model)}")
    return rules, errors


def _sentence(detail: dict[str, Any], model: type[BaseModel]) -> str:
    places = [place for place in detail["loc"] if place != "[key]"]
    key = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in places).lstrip(".")
    if detail["type"] == "extra_forbidden":
        owner = INNER.get(str(places[0]), model) if len(places) > 1 else model
        known = list(owner.model_fields)
        return f"unknown key `{key}`{closest(places[-1], known)}; allowed are {', '.join(known)}."
    if detail["type"] == "missing":
        return f"`{key}` is missing."
    problem = str(detail["msg"]).replace("Input should be", "must be")
    return f"`{key}` {problem[:1].lower()}{problem[1:]}."
