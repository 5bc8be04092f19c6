"""The mapper's settings, and the rules and event types that they name."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers import capabilities
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from journeys.settings import TOP_LEVEL
from mapper_journeys.errors import closest
from mapper_journeys.language import Rule, parse_rules
from mapper_journeys.rules import StreamRules, compile_rules

PRESETS = files("mapper_journeys") / "presets"
SDK_SETTINGS = frozenset(
    name
    for constant, schema in vars(capabilities).items()
    if constant.endswith("_CONFIG")
    for name in schema["properties"]
)


class Settings(BaseModel):
    """What the mapper reads of the one configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    presets: list[str] = Field([], description="Names of rule sets that ship with the package.")
    rules: list[dict[str, Any]] = Field([], description="Your own rules, written here.")
    rules_files: list[str] = Field(
        [], description="YAML files with lists of rules, relative to the working directory."
    )
    stage_model: str | dict[str, Any] = Field(
        "standard",
        description="`standard`, a YAML file or the model itself; "
        "the mapper reads its `event_types`, so that rules may emit them.",
    )


def load(config: Mapping[str, Any]) -> dict[str, StreamRules]:
    """The compiled rules of a configuration, by stream; an error lists all faults."""
    known = (*TOP_LEVEL, *sorted(SDK_SETTINGS))
    errors = [
        f"`{name}` is not a setting{closest(name, known)}; "
        f"tap, mapper and target know {', '.join(TOP_LEVEL)}."
        for name in config
        if name not in known
    ]
    own = {name: value for name, value in config.items() if name in Settings.model_fields}
    try:
        settings = Settings.model_validate(own)
    except ValidationError as error:
        _refuse(errors + [_sentence(dict(each)) for each in error.errors(include_input=False)])
    rules, faults = _all_rules(settings)
    own_types, more = _own_types(settings.stage_model)
    compiled, wrong = compile_rules(rules, own_types)
    _refuse(errors + faults + more + wrong)
    return compiled


def _refuse(errors: list[str]) -> None:
    if errors:
        raise ConfigValidationError("The settings cannot be used.", errors=errors)


def _sentence(detail: Mapping[str, Any]) -> str:
    places = [place for place in detail["loc"] if place not in ("str", "dict[str,any]")]
    key = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in places).lstrip(".")
    return f"`{key}` {detail['msg'].replace('Input should be', 'must be')}."


def _all_rules(settings: Settings) -> tuple[list[Rule], list[str]]:
    rules: list[Rule] = []
    errors: list[str] = []
    for specs, origin, faults in _rule_lists(settings):
        found, wrong = parse_rules(specs, origin)
        rules += found
        errors += faults + wrong
    return rules, errors


def _rule_lists(settings: Settings) -> Iterable[tuple[list[Any], str, list[str]]]:
    """Lists of rules, where each is from, and what is wrong with it as a list."""
    for name in settings.presets:
        known = preset_names()
        if name in known:
            yield _rule_list((PRESETS / f"{name}.yml").read_bytes(), f"preset '{name}'")
        else:
            hint = closest(name, known)
            fault = f"`presets`: there is no preset '{name}'{hint}; there are {', '.join(known)}."
            yield [], name, [fault]
    for name in settings.rules_files:
        try:
            yield _rule_list(Path(name).read_bytes(), name)
        except OSError as error:
            fault = f"`rules_files`: {name} cannot be read: {error.strerror}."
            yield [], name, [fault]
    yield list(settings.rules), "`rules`", []


def preset_names() -> list[str]:
    """The rule sets that ship with the package."""
    names = (entry.name for entry in PRESETS.iterdir())
    return sorted(name.removesuffix(".yml") for name in names if name.endswith(".yml"))


def _rule_list(content: bytes, origin: str) -> tuple[list[Any], str, list[str]]:
    specs, fault = _read_yaml(content, origin)
    if fault:
        return [], origin, [fault]
    if specs is not None and not isinstance(specs, list):
        return [], origin, [f"{origin} must hold a list of rules."]
    return specs or [], origin, []


def _own_types(stage_model: str | Mapping[str, Any]) -> tuple[frozenset[str], list[str]]:
    """The event types that the stage model declares besides the vocabulary."""
    model: Any = stage_model
    if isinstance(stage_model, str):
        if stage_model == "standard":
            return frozenset(), []
        try:
            model, fault = _read_yaml(Path(stage_model).read_bytes(), stage_model)
        except OSError as error:
            fault = f"`stage_model`: {stage_model} cannot be read: {error.strerror}."
        if fault:
            return frozenset(), [fault]
    types = (model.get("event_types") if isinstance(model, Mapping) else None) or ()
    if not isinstance(types, (list, Mapping, tuple)):
        return frozenset(), ["`stage_model.event_types` must be a list or a mapping of names."]
    return frozenset(str(name) for name in types), []


# YAML as people expect it


class _AsExpected(SafeConstructor, Resolver):
    """YAML 1.2 scalars, as everywhere but in PyYAML: `no`, `on` and 2026-01-02 are text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem="a key is there twice", problem_mark=key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_AsExpected.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+", list("-+0123456789")),
    ("merge", r"<<", ["<"]),
):
    _AsExpected.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


class _Loader(_AsExpected, yaml.SafeLoader):
    """Says what is wrong, in the same words everywhere."""


if yaml.__with_libyaml__:

    class _FastLoader(_AsExpected, yaml.CSafeLoader):
        """Seven times as fast."""

else:
    _FastLoader = _Loader  # type: ignore[misc,assignment]  # the same, but slow


def _read_yaml(content: bytes, origin: str) -> tuple[Any, str]:
    """What a YAML file says, and what is wrong with it: the place, never the content."""
    try:
        with suppress(yaml.YAMLError):
            return yaml.load(content.decode(), _FastLoader), ""
        return yaml.load(content.decode(), _Loader), ""
    except UnicodeDecodeError:
        return None, f"{origin} is not UTF-8 text."
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        return None, f"{origin}{place}: this is not valid YAML ({_problem(error)})."
    except (yaml.YAMLError, ValueError, RecursionError):
        return None, f"{origin} is not valid YAML."


def _problem(error: yaml.MarkedYAMLError) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|<[^>]*>", "…", error.problem or "syntax")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the settings; other plugins' keys may stand beside them."""
    schema = Settings.model_json_schema()
    schema.pop("additionalProperties")
    return schema
