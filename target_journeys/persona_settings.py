"""The settings of a persona: what must be known of somebody, and how often they did something."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Word = str | int | float | bool


class FactSettings(BaseModel):
    """What a fact must be; all that is named must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eq: Word | None = Field(None, description="Equal, as text or as numbers.")
    in_: list[Word] | None = Field(None, alias="in", description="Equal to one of these.")
    matches: str | None = Field(None, description="A regular expression that is found in it.")
    gte: int | float | None = Field(None, description="A number, at least this.")
    lte: int | float | None = Field(None, description="A number, at most this.")

    @model_validator(mode="after")
    def _says_something(self) -> FactSettings:
        if not self.model_fields_set:
            raise ValueError("a test needs one of eq, in, matches, gte, lte")
        return self

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error:
                raise ValueError("this is not a regular expression") from None
        return pattern


class CountSettings(BaseModel):
    """How often something must have happened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gte: int | None = Field(None, ge=1, description="At least this often.")
    lte: int | None = Field(None, ge=0, description="At most this often.")

    @model_validator(mode="after")
    def _says_something(self) -> CountSettings:
        if not self.model_fields_set:
            raise ValueError("a count needs gte or lte")
        return self


def short_forms(tests: object) -> object:
    """Tests of facts in full: a value stands for `eq`, a list for `in`."""
    if not isinstance(tests, dict):
        return tests
    short = {
        name: {"in" if isinstance(test, list) else "eq": test}
        for name, test in tests.items()
        if isinstance(test, (list, str, int, float))
    }
    return tests | short


class PersonaSettings(BaseModel):
    """One persona: all of its tests must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: dict[str, FactSettings] = Field(
        default_factory=dict, description="Property of the profile → what it must be."
    )
    counts: dict[str, CountSettings] = Field(
        default_factory=dict, description="Event type → how often it must have happened."
    )

    @field_validator("when", mode="before")
    @classmethod
    def _short_forms(cls, tests: object) -> object:
        return short_forms(tests)

    @model_validator(mode="after")
    def _says_something(self) -> PersonaSettings:
        if not self.when and not self.counts:
            raise ValueError("a persona needs `when` or `counts`")
        return self
