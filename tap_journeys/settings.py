"""The tap's settings: their JSON Schema, and what is wrong with them, said without any value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from singer_sdk.plugin_base import JSONSchemaValidator
from singer_sdk.singerlib import resolve_schema_references

from journeys.settings import BUILT_IN, TOP_LEVEL
from tap_journeys.sources import SOURCES
from tap_journeys.sources.base import Source


def _source_schema(source: type[Source]) -> dict[str, Any]:
    schema: dict[str, Any] = resolve_schema_references(source.model_json_schema())
    schema.pop("$defs", None)
    return schema


def json_schema() -> dict[str, Any]:
    """JSON Schema of what the tap reads, without references."""
    return {
        "type": "object",
        "properties": {
            "sources": {
                "type": "object",
                "description": "What is read: the settings of each source under its name.",
                "properties": {name: _source_schema(source) for name, source in SOURCES.items()},
            },
            "start_date": {
                "type": ["string", "null"],
                "description": "Earliest moment to read; files have none and ignore it.",
            },
            "fail_on_refused": {
                "type": ["boolean", "null"],
                "description": "Whether to end with 3 when lines were set aside; true if left out.",
            },
        },
        "required": ["sources"],
    }


def check_sources(settings: object) -> tuple[list[Source], list[str]]:
    """The sources that are switched on, and what is wrong with their settings."""
    if not isinstance(settings, dict) or not settings:
        return [], [f"sources: must name at least one of: {', '.join(SOURCES)}"]
    sources: list[Source] = []
    errors: list[str] = []
    for name, given in settings.items():
        if name not in SOURCES:
            errors.append(f"sources.{name}: unknown source; known are: {', '.join(SOURCES)}")
            continue
        try:
            sources.append(SOURCES[name].model_validate(given))
        except ValidationError as error:
            for each in error.errors(include_input=False, include_url=False):
                place = ".".join(map(str, ("sources", name, *each["loc"])))
                errors.append(f"{place}: {each['msg'].removeprefix('Value error, ')}")
    return sources, errors


def check_others(settings: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings beside the sources."""
    known = (*TOP_LEVEL, *BUILT_IN)
    errors = [
        f"{name}: unknown setting; known are: {', '.join(known)}"
        for name in settings
        if name not in known
    ]
    properties = {name: each for name, each in schema["properties"].items() if name != "sources"}
    for error in JSONSchemaValidator({"properties": properties}).iter_errors(dict(settings)):
        place = ".".join(map(str, error.absolute_path))
        errors.append(f"{place}: does not fit `{error.validator}` of its schema, see --about")
    return errors
