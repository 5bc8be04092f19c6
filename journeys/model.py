"""The stage model: what each event type means for a journey, and what each category expects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, NamedTuple

from journeys.personas import Persona
from journeys.promises import Promise, promises_of
from journeys.regions import REGION_OF_EVENT
from journeys.roadblocks import RoadblockRule, rules_of
from journeys.roles import RoleWords, role_words
from journeys.telling import PROMISE, telling
from journeys.vocabulary import FAMILIES

# z-scores of a standard normal: where p75 lies between p50 and p90 of a log-normal dwell time.
P75_BETWEEN_P50_AND_P90 = 0.6745 / 1.2816

EVENT_ORDER: dict[str, int] = {
    name: rank for rank, name in enumerate(name for names in FAMILIES.values() for name in names)
}
DAY = timedelta(days=1)
DAYS_DIGITS = 3
ENGINE = 2  # raised when the same model makes other records, so that stores fold all again
FACTS: frozenset[str] = frozenset(FAMILIES["admin"])  # about ids, not about what happened


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the main line."""

    name: str
    side: str  # "before" or "after" the purchase
    headline: str


@dataclass(frozen=True, slots=True)
class Dwell:
    """How long a stage is expected to take: half of the journeys, and nine in ten."""

    p50: timedelta
    p90: timedelta

    @property
    def p75(self) -> timedelta:
        """Three in four, of a log-normal dwell time with these two quantiles."""
        if self.p50 <= timedelta(0):
            return self.p90
        ratio: float = (self.p90 / self.p50) ** P75_BETWEEN_P50_AND_P90
        return self.p50 * ratio


class Limits(NamedTuple):
    """How long a stage may take before it is slow, and before it is stalled."""

    slow: timedelta | None
    stalled: timedelta | None


NO_LIMITS = Limits(None, None)


class Stay(NamedTuple):
    """What is expected of a stay in a stage, and how a record shows it when it has lasted so long.

    Shared by all records, for there are few of these and many of those.
    """

    p75: timedelta
    p90: timedelta
    before: Mapping[str, float]
    after_p75: Mapping[str, float]
    after_p90: Mapping[str, float]


def stay_of(dwell: Dwell) -> Stay:
    """An expected dwell as records show it."""
    days = {
        "p50_days": round(dwell.p50 / DAY, DAYS_DIGITS),
        "p90_days": round(dwell.p90 / DAY, DAYS_DIGITS),
    }
    return Stay(dwell.p75, dwell.p90, *({**days, "percentile": share} for share in (0, 75, 90)))


@dataclass(frozen=True, slots=True)
class Category:
    """What one category expects, after inheritance."""

    stages: tuple[str, ...]
    grain_before_purchase: str  # "product" or "category"
    grain_after_purchase: str  # "product" or "item"
    expected: Mapping[str, Dwell]
    stalled_after: Mapping[str, timedelta]
    cart_abandoned_after: timedelta
    episode_gap: timedelta
    renewal_after: timedelta | None
    usage_window: timedelta
    usage_declining_below: float  # share of the own earlier usage
    contact_closes_after: timedelta
    account_journeys: bool  # of what members do without naming their account
    pipelines: Mapping[str, Mapping[str, str]]  # pipeline (or "*") → CRM stage → stage
    funnels: Mapping[str, tuple[str, ...]]  # name → event types in order
    required_roles: tuple[str, ...]  # of a buying team
    minimum_role_coverage: float  # share of the required roles with which a team is complete
    team_window: timedelta  # who did nothing for this long is silent
    touch_window: timedelta  # an observed touch lights the journey up for this long
    stall_rule: str  # "declared", "quantile" or "learned"
    repeat_window: timedelta  # a contact by another channel within it says the same again
    roadblocks: Mapping[str, Mapping[str, Any] | None]
    promises: Mapping[str, Mapping[str, Any] | None]
    internal_order: Mapping[str, tuple[str, ...]]  # step → steps that must be done before
    entry: Mapping[str, int] = field(default_factory=dict)  # stage name → index it is entered at
    limits: Mapping[str, Limits] = field(default_factory=dict)  # stage → slow and stalled after
    stays: Mapping[str, Stay] = field(default_factory=dict)  # stage → `expected`, as it is shown
    obstacles: Mapping[str, tuple[RoadblockRule, ...]] = field(default_factory=dict)
    owed: tuple[Promise, ...] = ()

    @property
    def lit_days(self) -> int:
        """The touch window in whole days, at least one."""
        return max(1, self.touch_window.days)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an event ends a journey."""

    outcome: str
    sides: tuple[str, ...]  # where the journey must stand for the event to end it
    stage: str  # where it stood, if only its end was seen
    by_reason: bool = False  # the outcome is looked up from the event's reason


@dataclass(frozen=True, slots=True)
class EventMeaning:
    """What one event type does to a journey; compiled once from the model."""

    rank: int  # order within one instant
    stage: str | None = None
    outcome: Outcome | None = None
    region: str | None = None
    is_fact: bool = False
    is_impression: bool = False
    is_purchase: bool = False
    is_renewal: bool = False
    is_crm: bool = False
    opens: bool = False
    tells: int = 0  # what the record looks at it for; bits of journeys.telling

    @property
    def opens_journey(self) -> bool:
        """Whether it says enough to start a journey by itself."""
        return bool(self.stage or self.outcome or self.region)


@dataclass(frozen=True, slots=True)
class StageModel:
    """All stages, what enters and ends them, and the categories."""

    name: str
    stages: tuple[Stage, ...]
    meanings: Mapping[str, EventMeaning]
    lost_reasons: Mapping[str, tuple[str, ...]]
    defaults: Category
    categories: Mapping[str, Mapping[str, Any]]
    products: Mapping[str, Mapping[str, Any]]
    hash: str
    rank: Mapping[str, int] = field(default_factory=dict)  # stage → its index
    has_promises: bool = False
    source_rank: Mapping[str, int] = field(default_factory=dict)
    roles: RoleWords = field(default_factory=RoleWords)
    personas: tuple[Persona, ...] = ()  # the first that fits counts
    # What the store's own journeys taught, by category path and stage; see `stall_rule`.
    learned: Mapping[tuple[str, str], Limits] = field(default_factory=dict)
    learned_dwell: Mapping[tuple[str, str], Dwell] = field(default_factory=dict)
    _resolved: dict[tuple[str | None, str | None], Category] = field(
        default_factory=dict, compare=False, repr=False
    )

    def category(self, path: str | None, product: str | None = None) -> Category:
        """What holds for a product: its own entry, its category's path, the default."""
        found = self._resolved.get((path, product))
        if found is None:
            found = self.defaults
            for prefix in prefixes(path):
                found = inherit(found, self.categories.get(prefix, {}), self.stages)
            found = inherit(found, self.products.get(product or "", {}), self.stages)
            self._resolved[path, product] = found
        return found


def measures_of(
    model: StageModel, category: Category, path: str | None, stage: str
) -> tuple[Limits, Stay | None]:
    """How long a stage may and usually does take: as learned, where that is wanted, or declared.

    What was learned of a category holds for those below it, until there is more of them.
    """
    limits, stay = category.limits.get(stage, NO_LIMITS), category.stays.get(stage)
    if category.stall_rule == "declared":
        return limits, stay
    for prefix in prefixes(path):
        limits = model.learned.get((prefix, stage), limits)
        if (prefix, stage) in model.learned_dwell:
            stay = stay_of(model.learned_dwell[prefix, stage])
    return limits, stay


UNDECLARED = EventMeaning(rank=len(EVENT_ORDER))  # a type nobody declared is evidence only


def prefixes(path: str | None) -> list[str]:
    """``a/b/c`` → ``a``, ``a/b``, ``a/b/c``."""
    if not path:
        return []
    parts = path.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def inherit(parent: Category, overrides: Mapping[str, Any], stages: tuple[Stage, ...]) -> Category:
    """The parent with the overrides laid over it; mappings are merged, the rest replaced."""
    merged: dict[str, Any] = {
        key: merge(getattr(parent, key), value) if isinstance(value, Mapping) else value
        for key, value in overrides.items()
    }
    child = replace(parent, **merged)
    order = {stage.name: index for index, stage in enumerate(stages)}
    present = sorted(order[name] for name in child.stages)
    entry: dict[str, int] = {}
    for stage in stages:
        own = order[stage.name]
        same_side = [index for index in present if stages[index].side == stage.side]
        lower = [index for index in same_side if index <= own]
        higher = [index for index in same_side if index >= own]
        nearest = lower[-1:] + higher[:1] if stage.side == "before" else higher[:1] + lower[-1:]
        if not nearest:
            raise ValueError(f"stages must keep at least one stage {stage.side} the purchase")
        entry[stage.name] = nearest[0]
    names = tuple(stages[index].name for index in present)
    return replace(
        child,
        stages=names,
        entry=entry,
        limits={
            name: limits_of(child.expected.get(name), child.stalled_after.get(name))
            for name in names
        },
        stays={name: stay_of(child.expected[name]) for name in names if name in child.expected},
        obstacles=rules_of(child.roadblocks),
        owed=promises_of(child.promises),
    )


def limits_of(dwell: Dwell | None, stalled: timedelta | None) -> Limits:
    """Slow from the expected p75 on, stalled from what is declared, else p90."""
    if dwell is None:
        return Limits(None, stalled)
    return Limits(dwell.p75, stalled or dwell.p90)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings laid over each other, also where their values are mappings."""
    return {
        **below,
        **{
            key: merge(below.get(key) or {}, value) if isinstance(value, Mapping) else value
            for key, value in above.items()
        },
    }


def build(data: Mapping[str, Any]) -> StageModel:
    """The model from checked data: the shape of ``standard.yml``, durations as timedelta.

    Raises ``ValueError`` or ``KeyError`` on data that the settings' models did not check.
    """
    stages = tuple(Stage(s["name"], s["side"], s["headline"]) for s in data["stages"])
    entered = {event: s["name"] for s in data["stages"] for event in s["entered_by"]}
    entered |= {event: stage for event, stage in data["event_types"].items() if stage}
    outcomes = {
        o["event"]: Outcome(o["outcome"], tuple(o["sides"]), o["stage"], o.get("by_reason", False))
        for o in data["outcomes"]
    }
    names = [*EVENT_ORDER, *(name for name in data["event_types"] if name not in EVENT_ORDER)]
    tells = telling(data)
    meanings = {
        name: EventMeaning(
            rank=rank,
            stage=entered.get(name),
            outcome=outcomes.get(name),
            region=REGION_OF_EVENT.get(name),
            is_fact=name in FACTS,
            is_impression=name in data["impressions"],
            is_purchase=name in data["purchases"],
            is_renewal=name in data["renewals"],
            is_crm=name in data["crm_evidence"],
            opens=name in data["opens"],
            tells=tells.get(name, 0),
        )
        for rank, name in enumerate(names)
    }
    defaults = inherit(Category(**data["defaults"]), {}, stages)
    return StageModel(
        name=data["name"],
        stages=stages,
        meanings=meanings,
        lost_reasons={k: tuple(v) for k, v in data["lost_reasons"].items()},
        defaults=defaults,
        categories=data["categories"],
        products=data["products"],
        hash=content_hash({**data, "engine": ENGINE}),
        has_promises=any(bits & PROMISE for bits in tells.values()),
        rank={stage.name: index for index, stage in enumerate(stages)},
        source_rank={name: rank for rank, name in enumerate(data["source_rank"])},
        roles=role_words(data["buying_roles"], data["role_names"], data["role_titles"]),
        personas=tuple(
            Persona(name, each.get("when", {}), each.get("counts", {}))
            for name, each in data["personas"].items()
        ),
    )


def content_hash(data: Mapping[str, Any]) -> str:
    """16 hex digits that change when, and only when, the model changes."""

    def plain(value: object) -> object:
        return value.total_seconds() if isinstance(value, timedelta) else vars_of(value)

    text = json.dumps(data, sort_keys=True, default=plain)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def vars_of(value: object) -> dict[str, Any]:
    """A dataclass as a plain mapping."""
    return {f.name: getattr(value, f.name) for f in fields(value)}  # type: ignore[arg-type]  # only Dwell gets here
