"""The target's settings: its own keys of the one configuration file, closed and checked once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from journeys.settings import BUILT_IN, TOP_LEVEL
from target_journeys.destinations import DESTINATIONS
from target_journeys.destinations.base import Destination
from target_journeys.environment import from_environment
from target_journeys.experience_settings import ExperienceSettings
from target_journeys.people_settings import AccountSettings, ConsentSettings, IdentitySettings
from target_journeys.policy import Policy
from target_journeys.wrong_settings import sentences, wrong

ENVIRONMENT = "ENV"  # in place of a file, as the SDK has it

_Destinations = create_model(
    "_Destinations",
    __config__=ConfigDict(extra="forbid", frozen=True),
    **{
        name: (member | None, Field(None, description=member.__doc__))
        for name, member in DESTINATIONS.items()
    },  # type: ignore[call-overload]  # pydantic's stubs cannot see through the mapping
)


class Settings(BaseModel):
    """What `target-journeys` and `journeys` read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = Field(
        "sqlite:///journeys.db",
        description="Where events and journeys are kept: sqlite:///PATH, relative to the current "
        "directory.",
    )
    stage_model: str | dict[str, Any] = Field(
        "standard",
        description="`standard`, the path of a YAML file, or what is laid over it, inline.",
    )
    destinations: _Destinations = Field(  # type: ignore[valid-type]  # made from DESTINATIONS
        default_factory=_Destinations,
        description="Who is told of changes; being there switches a destination on.",
    )
    identity: IdentitySettings = Field(
        default_factory=IdentitySettings,
        description="Whom links may join: limits, and ids that name nobody.",
    )
    accounts: AccountSettings = Field(
        default_factory=AccountSettings,
        description="Who belongs to which account, beside what events say.",
    )
    consent: ConsentSettings = Field(
        default_factory=ConsentSettings,
        description="What a person must have consented to; each destination has its own `purpose`.",
    )
    experience: ExperienceSettings = Field(
        default_factory=ExperienceSettings,
        description="How journeys are counted, and when a difference is an experience gap.",
    )
    as_of: AwareDatetime | None = Field(
        None,
        description="Judge conditions at this moment instead of now (replays, demonstrations).",
    )
    fail_on_refused: bool = Field(
        True, description="End with exit code 3 when rows are refused or waiting, or arrive broken."
    )

    @model_validator(mode="after")
    def _domains_need_addresses(self) -> Settings:
        if self.identity.pseudonymous and self.accounts.email_domain:
            raise ValueError(
                "accounts.email_domain needs the addresses that identity.pseudonymous does not "
                "keep; switch one of them off"
            )
        return self

    def active_destinations(self) -> dict[str, Destination]:
        """The destinations that are switched on, by name."""
        found = {name: getattr(self.destinations, name) for name in DESTINATIONS}
        return {name: member for name, member in found.items() if member is not None}

    def policy(self) -> Policy:
        """What may be done with people."""
        return Policy(
            identity=self.identity.rules(),
            accounts=self.accounts.rules(),
            pseudonyms=self.identity.pseudonyms(),
            purpose=self.consent.journeys,
        )

    def moment(self, now: datetime) -> datetime:
        """The moment at which conditions are judged."""
        return self.as_of or now.replace(microsecond=0)


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file; `ENV` is the environment."""
    if str(path) == ENVIRONMENT:
        return from_environment(settings_schema())
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise wrong([f"--config: {path} is not a readable JSON object."])
    return found


def read_settings(config: Mapping[str, Any]) -> Settings:
    """The target's part of a configuration.

    Raises the SDK's ``ConfigValidationError``, whose errors name settings, never their values.
    """
    unknown = sorted(set(config) - set(TOP_LEVEL) - set(BUILT_IN))
    if unknown:
        known = ", ".join(TOP_LEVEL)
        raise wrong(f"Setting '{name}' is unknown. Known: {known}." for name in unknown)
    own = {name: config[name] for name in Settings.model_fields if name in config}
    try:
        return Settings.model_validate(own)
    except ValidationError as error:
        raise wrong(sentences(error)) from None


def settings_schema() -> dict[str, Any]:
    """The settings as JSON Schema without references, secrets marked."""
    schema = Settings.model_json_schema()
    found: dict[str, Any] = inlined(schema, schema.pop("$defs", {}))
    return found


def inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with every ``$ref`` replaced by what it names."""
    if isinstance(node, Mapping):
        if "$ref" in node:
            named = definitions[str(node["$ref"]).rpartition("/")[2]]
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return inlined({**named, **rest}, definitions)
        made = {key: inlined(value, definitions) for key, value in node.items()}
        return made | ({"secret": True} if node.get("format") == "password" else {})
    if isinstance(node, list):
        return [inlined(each, definitions) for each in node]
    return node
