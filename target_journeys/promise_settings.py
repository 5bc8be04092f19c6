"""The settings of a promise and of a roadblock: what is owed, and what stands in the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from target_journeys.persona_settings import FactSettings, short_forms

Word = Annotated[str, Field(min_length=1)]
Words = list[Word]


class Strict(BaseModel):
    """Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScopeSettings(Strict):
    """Whom a promise is made to; what is left out does not matter."""

    stage: Words | None = Field(None, description="Stages of the journey when it falls due.")
    channel: Words | None = Field(None, description="Channels of the event that it begins with.")
    persona: Words | None = Field(None, description="Personas of the stage model.")
    priority: Words | None = Field(None, description="`priority` of the event it begins with.")

    @field_validator("*", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class PromiseSettings(Strict):
    """One promise: a metric or events of your own, what is owed, and to whom."""

    metric: (
        Literal[
            "first_reply",
            "resolution",
            "delivery",
            "pickup_wait",
            "contacts_to_resolve",
            "no_repeat",
            "csat",
            "ces",
            "nps",
        ]
        | None
    ) = Field(None, description="What is measured; or `from`, and perhaps `to`.")
    from_: Word | Words | None = Field(
        None, alias="from", description="Event types it begins with."
    )
    to: Word | Words | None = Field(None, description="Event types that it ends with.")
    count: Word | Words | None = Field(
        None, description="Event types that are counted from the one to the other."
    )
    property: Word | None = Field(
        None, description="Number among the properties: of `from`, or the minutes until `to`."
    )
    per: Word | None = Field(
        None, description="Property that tells occasions apart: `ticket`, `order` …"
    )
    within: timedelta | None = Field(
        None, gt=timedelta(0), description="The longest time that is promised, ISO 8601."
    )
    at_least: float | None = Field(None, description="The least score or count that is promised.")
    at_most: float | None = Field(None, description="The highest count or number.")
    target: float | None = Field(
        None, gt=0, le=1, description="Share of the occasions in which it is to be kept; 1."
    )
    weight: float | None = Field(None, gt=0, description="How much it counts beside others; 1.")
    scope: ScopeSettings | None = Field(None, description="Whom it is made to; everybody.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> PromiseSettings:
        own = [name for name in ("from_", "to", "count", "property", "per") if getattr(self, name)]
        if self.metric is not None and own:
            raise ValueError(f"`metric` and `{own[0].rstrip('_')}` exclude each other")
        if self.count is not None and self.to is None and self.from_ is not None:
            raise ValueError("`count` needs `to`: until when is counted")
        return self


class RoadblockSettings(Strict):
    """One kind of roadblock."""

    opened_by: Words | None = Field(None, description="Event types that put it in the way.")
    closed_by: Words | None = Field(None, description="Event types that remove it.")
    moved_by: Words | None = Field(
        None, description="Event types whose `waiting_on` or `status` tells who is waited for."
    )
    owner: Literal["us", "them", "third_party"] | None = Field(
        None, description="Who has to remove it, where the event's `owner` does not say."
    )
    per: Word | None = Field(None, description="Property that tells one from another.")
    when: dict[str, FactSettings] | None = Field(
        None, description="Property of the opening event → what it must be."
    )

    @field_validator("when", mode="before")
    @classmethod
    def _short_forms(cls, tests: object) -> object:
        return short_forms(tests)
