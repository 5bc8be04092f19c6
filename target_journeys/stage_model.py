"""The stage model from settings: `standard.yml`, what the user laid over it, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from journeys.metrics import types_of
from journeys.model import Dwell, StageModel, build
from journeys.regions import STEPS
from journeys.vocabulary import DERIVED, EVENT_TYPES
from target_journeys.persona_settings import PersonaSettings
from target_journeys.promise_settings import PromiseSettings, RoadblockSettings
from target_journeys.wrong_settings import sentences

BeforeOrAfter = Literal["before", "after"]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a duration must be longer than nothing")
    return value


STANDARD_STAGES = (  # the fold knows these by name
    "aware",
    "considering",
    "evaluating",
    "buying",
    "receiving",
    "onboarding",
    "using",
    "renewing",
)
Duration = Annotated[timedelta, AfterValidator(_positive)]


class Closed(BaseModel):
    """Unknown keys are errors, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    nullable: ClassVar[frozenset[str]] = frozenset()  # where null means "none", not "inherited"

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_inherited(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key, value in data.items():
                if value is None and key in cls.model_fields and key not in cls.nullable:
                    raise ValueError(f"{key} must not be null; leave it out to inherit it")
        return data


class StageSettings(Closed):
    """One stage of the main line."""

    name: str
    side: BeforeOrAfter
    headline: str
    entered_by: list[str]


class OutcomeSettings(Closed):
    """How an event ends a journey."""

    event: str
    sides: list[BeforeOrAfter]
    outcome: str
    stage: str = Field(description="Where it stood, if only its end was seen.")
    by_reason: bool = False


class DwellSettings(Closed):
    """How long a stage is expected to take."""

    p50: timedelta = Field(ge=timedelta(0), description="Half of the journeys, ISO 8601: P7D.")
    p90: Duration = Field(description="Nine journeys in ten.")

    @model_validator(mode="after")
    def _in_order(self) -> DwellSettings:
        if self.p90 < self.p50:
            raise ValueError("p90 must not be shorter than p50")
        return self


class CategorySettings(Closed):
    """What one category (or product) expects; what is left out is inherited."""

    nullable = frozenset({"renewal_after"})

    stages: list[str] | None = Field(None, description="The stages that it has, in any order.")
    grain_before_purchase: Literal["product", "category"] | None = Field(
        None, description="What is considered: a product, or a category with candidates."
    )
    grain_after_purchase: Literal["product", "item"] | None = Field(
        None, description="What is owned: a product, or each bought item."
    )
    expected: dict[str, DwellSettings] | None = Field(
        None, description="Stage → expected dwell; slow from its p75, stalled from its p90."
    )
    stalled_after: dict[str, Duration] | None = Field(
        None, description="Stage → stalled from here on, instead of p90."
    )
    cart_abandoned_after: Duration | None = Field(
        None, description="A cart without an order for this long goes back."
    )
    episode_gap: Duration | None = Field(
        None, description="Silence before the purchase for this long is no decision."
    )
    renewal_after: Duration | None = Field(
        None, description="The renewal window opens this long after the purchase."
    )
    usage_window: Duration | None = Field(None, description="No usage for this long is dormant.")
    usage_declining_below: float | None = Field(
        None, gt=0, le=1, description="Share of the own earlier usage under which it declines."
    )
    contact_closes_after: Duration | None = Field(
        None, description="A call or chat without an end counts as open for this long."
    )
    account_journeys: bool | None = Field(
        None,
        description="Whether what members do without naming their account is the account's, too.",
    )
    pipelines: dict[str, dict[str, str]] | None = Field(
        None, description='Pipeline (or "*") → CRM stage → stage.'
    )
    funnels: dict[str, Annotated[list[str], Field(min_length=2)]] | None = Field(
        None, description="Funnel → event types in order; a step counts after all before it."
    )
    required_roles: list[str] | None = Field(
        None, description="The buying roles that a team needs."
    )
    minimum_role_coverage: float | None = Field(
        None, gt=0, le=1, description="Share of the required roles with which a team is covered."
    )
    team_window: Duration | None = Field(
        None,
        description="A member who did nothing for this long is silent; without a role, no member.",
    )
    touch_window: Duration | None = Field(
        None, description="For so many days after an observed touch a journey is not in the dark."
    )
    stall_rule: Literal["declared", "quantile", "learned"] | None = Field(
        None,
        description="Where slow and stalled begin: as declared here, at quantiles of the "
        "category's own journeys, or where progress has become unlikely.",
    )
    repeat_window: Duration | None = Field(
        None, description="A contact by another channel within it says the same again."
    )
    roadblocks: dict[str, RoadblockSettings | None] | None = Field(
        None, description="Roadblock → what opens and closes it, and whose it is; null: none."
    )
    promises: dict[str, PromiseSettings | None] | None = Field(
        None, description="Promise → what is owed to customers; null: not made here."
    )
    internal_order: dict[str, list[str]] | None = Field(
        None, description="Step of the buyer's own work → the steps that must be done before it."
    )


class StageModelSettings(Closed):
    """What a user lays over the standard model."""

    name: str | None = Field(None, description="Name of the model.")
    version: int | None = Field(None, description="Its version, for people.")
    stages: list[StageSettings] | None = Field(None, description="The main line, in order.")
    purchases: list[str] | None = Field(None, description="Event types that are a purchase.")
    renewals: list[str] | None = Field(None, description="Event types that renew.")
    impressions: list[str] | None = Field(None, description="Types that open no journey.")
    crm_evidence: list[str] | None = Field(None, description="What the CRM says.")
    opens: list[str] | None = Field(None, description="Types that open a case.")
    outcomes: list[OutcomeSettings] | None = Field(None, description="What ends a journey.")
    lost_reasons: dict[str, list[str]] | None = Field(
        None, description="Outcome → words looked for in the reason of a lost opportunity."
    )
    source_rank: list[str] | None = Field(
        None, description="Streams in the order in which they are believed within one instant."
    )
    event_types: dict[str, str | None] | None = Field(
        None, description="Own event types → the stage each enters, or null."
    )
    buying_roles: list[str] | None = Field(None, description="What a member of a team may be.")
    role_names: dict[str, str] | None = Field(
        None, description="What a source calls a role → the buying role it means."
    )
    role_titles: dict[str, list[str]] | None = Field(
        None,
        description="Buying role → words of the title of somebody whose role no source names.",
    )
    personas: dict[str, PersonaSettings] | None = Field(
        None, description="Persona → the tests that must hold; the first that fits counts."
    )
    defaults: CategorySettings | None = Field(None, description="What every category starts from.")
    categories: dict[str, CategorySettings] | None = Field(
        None, description="Category path → what differs there."
    )
    products: dict[str, CategorySettings] | None = Field(
        None, description="Product id → what differs there."
    )

    @field_validator("event_types", mode="before")
    @classmethod
    def _a_list_is_evidence_only(cls, value: Any) -> Any:
        return dict.fromkeys(value) if isinstance(value, list) else value


class StageModelError(ValueError):
    """The stage model cannot be used; the message names the key and what is allowed."""


def load(setting: str | Mapping[str, Any]) -> StageModel:
    """The model of the ``stage_model`` setting: ``standard``, a YAML file's path, or inline.

    Raises :class:`StageModelError`.
    """
    text = (files("journeys") / "standard.yml").read_text(encoding="utf-8")
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # seven times as fast with libyaml
    standard = yaml.load(text, fast)
    data = _checked(standard)
    if setting != "standard":
        above = _read(setting) if isinstance(setting, str) else setting
        data = _laid_over(data, _checked(above))
    _check_names(data)
    try:
        model = build(data)
        for path in data["categories"]:
            model.category(path)
        for product in data["products"]:
            model.category(None, product)
        check_promises(model)
    except StageModelError:
        raise
    except ValueError as error:
        raise StageModelError(f"stage_model: {error}") from None
    return model


def _read(path: str) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StageModelError(
            f"stage_model: {path} cannot be read ({error.strerror}). "
            "Name 'standard', the path of a YAML file, or write the model inline."
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise StageModelError(f"stage_model: {path}{where} is not YAML.") from None
    if not isinstance(found, Mapping):
        raise StageModelError(f"stage_model: {path} must hold a mapping.")
    return found


def _checked(data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        settings = StageModelSettings.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        hint = ""
        if first["type"] == "extra_forbidden":
            hint = f" Allowed at the top: {', '.join(StageModelSettings.model_fields)}."
            if first["loc"][0] == "personas":
                hint = " Allowed: when, counts; of a test: eq, in, matches, gte, lte."
            elif len(first["loc"]) > 1:
                hint = f" Allowed for a category: {', '.join(CategorySettings.model_fields)}."
        raise StageModelError(f"{next(sentences(error, 'stage_model'))}.{hint}") from None
    return settings.model_dump(exclude_unset=True, by_alias=True)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        merged[key] = _laid_over(old, value) if both else value  # type: ignore[arg-type]  # both are dicts
    return merged


def _check_names(data: dict[str, Any]) -> None:
    """Every stage and event type that the model names exists; durations become dwells."""
    stages = [stage["name"] for stage in data["stages"]]
    missing = [name for name in STANDARD_STAGES if name not in stages]
    if missing:
        raise StageModelError(
            f"stage_model.stages: the standard stage '{missing[0]}' must stay. Leave it out under "
            "`stages` of defaults or of a category instead."
        )
    known = EVENT_TYPES | set(data["event_types"])
    derived = sorted(set(data["event_types"]) & (EVENT_TYPES | set(DERIVED)))
    if derived:
        raise StageModelError(f"stage_model.event_types: {derived[0]} exists already.")
    types = [
        *(("stages", name) for stage in data["stages"] for name in stage["entered_by"]),
        *(("outcomes", outcome["event"]) for outcome in data["outcomes"]),
        *(
            (key, name)
            for key in ("purchases", "renewals", "impressions", "crm_evidence", "opens")
            for name in data[key]
        ),
        *types_of_experience(data),
        *(
            (f"personas.{persona}.counts", name)
            for persona, each in data["personas"].items()
            for name in each.get("counts", {})
        ),
    ]
    for key, name in types:
        if name not in known:
            raise StageModelError(
                f"stage_model.{key}: event type '{name}' is unknown. Take one of "
                "docs/reference/events.md or declare it under stage_model.event_types."
            )
    named = [("event_types", stage) for stage in data["event_types"].values() if stage]
    named += [("outcomes", outcome["stage"]) for outcome in data["outcomes"]]
    groups = [
        ("defaults", data["defaults"]),
        *((f"categories.{path}", each) for path, each in data["categories"].items()),
        *((f"products.{path}", each) for path, each in data["products"].items()),
    ]
    for key, group in groups:
        named += [(f"{key}.stages", stage) for stage in group.get("stages", [])]
        named += [(f"{key}.expected", stage) for stage in group.get("expected", {})]
        named += [(f"{key}.stalled_after", stage) for stage in group.get("stalled_after", {})]
        for name, promise in group.get("promises", {}).items():
            where = f"{key}.promises.{name}"
            named += [
                (f"{where}.scope", s) for s in (promise or {}).get("scope", {}).get("stage", ())
            ]
        for pipeline in group.get("pipelines", {}).values():
            named += [(f"{key}.pipelines", stage) for stage in pipeline.values()]
        for funnel, steps in group.get("funnels", {}).items():
            for step in steps:
                if step not in known:
                    raise StageModelError(
                        f"stage_model.{key}.funnels.{funnel}: event type '{step}' is unknown. Take "
                        "one of docs/reference/events.md or declare it under "
                        "stage_model.event_types."
                    )
            group["funnels"][funnel] = tuple(steps)
        for name in ("stages", "required_roles"):
            if name in group:
                group[name] = tuple(group[name])
        order = group.get("internal_order", {})
        _check_steps(key, order)
        order |= {step: tuple(before) for step, before in order.items()}
        _check_roles(f"{key}.required_roles", group.get("required_roles", ()), data)
        for stage, dwell in group.get("expected", {}).items():
            group["expected"][stage] = Dwell(dwell["p50"], dwell["p90"])
    _check_roles("role_names", data["role_names"].values(), data)
    _check_roles("role_titles", data["role_titles"], data)
    for key, stage in named:
        if stage not in stages:
            raise StageModelError(
                f"stage_model.{key}: stage '{stage}' is unknown. Known: {', '.join(stages)}."
            )


def types_of_experience(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The event types that promises and roadblocks name, and where."""
    groups = {"defaults": data["defaults"]}
    for kind in ("categories", "products"):
        groups |= {f"{kind}.{name}": group for name, group in data[kind].items()}
    for where, group in groups.items():
        for kind in ("promises", "roadblocks"):
            for name, each in group.get(kind, {}).items():
                for key in ("from", "to", "count", "opened_by", "closed_by", "moved_by"):
                    for event_type in sorted(types_of((each or {}).get(key))):
                        yield f"{where}.{kind}.{name}.{key}", event_type


def check_promises(model: StageModel) -> None:
    """Every promise owes something that can be missed."""
    for path in (None, *model.categories):
        for promise in model.category(path).owed:
            kind, dated = promise.metric.kind, bool(promise.metric.dated_by)
            limits = {
                "time": promise.within is not None or dated,
                "count": promise.at_least is not None or promise.at_most is not None,
                "value": (promise.within, promise.at_least, promise.at_most) != (None, None, None),
                "never": True,
            }
            if not limits[kind]:
                needed = {"time": "within", "count": "at_most"}.get(kind, "at_least or at_most")
                where = "defaults" if path is None else f"categories.{path}"
                raise StageModelError(
                    f"stage_model.{where}.promises.{promise.name}: nothing is promised. "
                    f"Say {needed}."
                )
            if kind == "value" and promise.metric.measure is None:
                where = "defaults" if path is None else f"categories.{path}"
                raise StageModelError(
                    f"stage_model.{where}.promises.{promise.name}: nothing is measured. "
                    "Say `to`, or which `property` of the event holds the number."
                )


def _check_roles(key: str, roles: Iterable[str], data: Mapping[str, Any]) -> None:
    """Every buying role that the model names is declared."""
    for role in roles:
        if role not in data["buying_roles"]:
            raise StageModelError(
                f"stage_model.{key}: role '{role}' is unknown. "
                f"Known: {', '.join(data['buying_roles'])}. Own ones go into buying_roles."
            )


def _check_steps(key: str, order: Mapping[str, Iterable[str]]) -> None:
    """Every step of the buyer's own work that the model names exists."""
    for step in (name for after, before in order.items() for name in (after, *before)):
        if step not in STEPS:
            raise StageModelError(
                f"stage_model.{key}.internal_order: step '{step}' is unknown. "
                f"Known: {', '.join(STEPS)}."
            )
