"""Settings from the environment, as Meltano and `--config ENV` give them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from target_journeys.wrong_settings import wrong

PREFIX = "TARGET_JOURNEYS_"


def variable(name: str) -> str:
    """The variable of a setting; `destinations.webhook.token` has one of its own."""
    return PREFIX + name.upper().replace(".", "_")


def from_environment(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What the environment says of these settings: whole keys as JSON, secrets inside them as text.

    Raises the SDK's ``ConfigValidationError``, which names variables and never their values.
    """
    found: dict[str, Any] = {}
    for name, each in schema["properties"].items():
        if text := os.environ.get(variable(name)):
            found[name] = _value(name, each, text)
    for path in secrets(schema):
        if text := os.environ.get(variable(".".join(path))):
            inner = found
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            inner[path[-1]] = text
    return found


def _value(name: str, schema: Mapping[str, Any], text: str) -> Any:
    types = {each.get("type") for each in [schema, *schema.get("anyOf", [])]}
    if "boolean" in types:
        return text.lower()
    if types & {"object", "array"}:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return _nested(value)
        if isinstance(value, list):
            return value
        if "string" not in types:
            raise wrong([f"Setting '{name}': the variable {variable(name)} is not JSON."])
    return text


def _nested(value: Mapping[str, Any]) -> dict[str, Any]:
    """Meltano writes `{"webhook.url": …, "webhook.token": null}` for what it knows of an object."""
    found: dict[str, Any] = {}
    for name, each in value.items():
        *front, last = name.split(".")
        if each is None and front:
            continue  # declared and not set
        inner = found
        for part in front:
            inner = inner.setdefault(part, {})
        inner[last] = each
    return found


def secrets(schema: Mapping[str, Any], front: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all secrets in a schema."""
    for name, each in schema.get("properties", {}).items():
        kinds = [each, *each.get("anyOf", [])]
        if any(kind.get("format") == "password" for kind in kinds):
            yield (*front, name)
        for kind in kinds:
            yield from secrets(kind, (*front, name))
