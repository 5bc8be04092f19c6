"""All events of one subject in, its stage records out: the one place that computes journeys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from journeys.catalogue import Catalogue, Resolved
from journeys.consent import note_consent
from journeys.episode import Episode
from journeys.event import JourneyEvent, Scope, version_key
from journeys.model import UNDECLARED, Category, EventMeaning, StageModel
from journeys.personas import Assigned, assigned
from journeys.personas import at as persona_at
from journeys.promises import for_persona
from journeys.record import StageRecord, Visit
from journeys.regions import OPENS_AT, concerns
from journeys.snapshots import SNAPSHOTS, history
from journeys.telling import VALUE
from journeys.touches import FEEDBACK

__all__ = ["Folded", "StageRecord", "Visit", "fold", "fold_subject"]


NO_PRODUCT = "no product"
UNMAPPED_STAGE = "CRM stage not in the model"
CANDIDATE_CEILING = "considering"  # as far as a mere mention carries a journey


@dataclass(slots=True)
class Folded:
    """What the events of one subject come to."""

    records: list[StageRecord] = field(default_factory=list)
    first_at: datetime | None = None  # of all events, with and without a product
    last_at: datetime | None = None
    touchpoints: int = 0  # events without a scope: they belong to the customer, not to a product
    # (stream, reason, whether a person is named) → events
    unresolved: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    consents: dict[str, bool] = field(default_factory=dict)  # purpose → given or withdrawn
    feedback: dict[str, JourneyEvent] = field(default_factory=dict)  # kind → the last answer
    other_names: set[str] = field(default_factory=set)  # scope ids that the catalogue may change
    persona: str | None = None  # now
    persona_since: datetime | None = None


def fold(
    model: StageModel,
    events: Iterable[JourneyEvent],
    *,
    subject: str | None = None,
    catalogue: Catalogue | None = None,
    as_of: datetime | None = None,
) -> list[StageRecord]:
    """The stage records of one subject, by scope and episode.

    Order, repetition and arrival of the events do not matter. ``subject`` is the canonical id that
    the records carry (by default the first event's own); ``as_of`` is the moment at which
    conditions are judged (by default the last event's).
    """
    kept = in_order(model, events)
    if not kept:
        return []
    who = subject or kept[0].subject or kept[0].account or ""
    return fold_subject(model, kept, who, catalogue or Catalogue(), as_of).records


def fold_subject(
    model: StageModel,
    events: Iterable[JourneyEvent],
    subject: str,
    catalogue: Catalogue,
    as_of: datetime | None,
    *,
    is_account: bool = False,
) -> Folded:
    """As :func:`fold`, with what could not be attributed.

    For an account, the events that name none are what its members do for themselves; a category
    may keep these out (``account_journeys``).
    """
    kept = in_order(model, events)
    folded = Folded()
    lines: dict[tuple[str, str], Line] = {}
    if any(event.event_type in SNAPSHOTS for event in kept):
        kept = history(kept)
    for event in kept:
        meaning = model.meanings.get(event.event_type, UNDECLARED)
        if meaning.is_fact:
            if not is_account or event.subject is None:  # a member decides for nobody else
                note_consent(folded.consents, event)
            continue
        if event.event_type in FEEDBACK:
            folded.feedback[FEEDBACK[event.event_type]] = event
        if not event.scopes:
            folded.touchpoints += 1
            if meaning.opens_journey:
                folded.unresolved[event.source, NO_PRODUCT, event.subject is not None] += 1
            continue
        of_member = is_account and event.account is None
        for route in routes(model, catalogue, event, meaning, folded):
            if of_member and not route.category.account_journeys:
                continue
            line = lines.get(route.key)
            if line is None:
                line = lines[route.key] = Line(model, route)
            line.take(event, meaning, route, lines)
        if event.event_type == "opportunity_stage_changed" and is_unmapped(model, event):
            folded.unresolved[event.source, UNMAPPED_STAGE, event.subject is not None] += 1
    if kept:
        folded.first_at, folded.last_at = kept[0].occurred_at, kept[-1].occurred_at
        moment = max(as_of, kept[-1].occurred_at) if as_of else kept[-1].occurred_at
        for key in sorted(lines):
            folded.records.extend(lines[key].records(subject, moment))
        if model.personas:
            own = [event for event in kept if not is_account or event.subject is None]
            with_personas(folded, assigned(model.personas, own, model.roles), moment)
        if model.has_promises:
            folded.records = [made_to(model, record) for record in folded.records]
    return folded


def with_personas(folded: Folded, found: Sequence[Assigned], moment: datetime) -> None:
    """Say who the subject is now, and on each record who it was when the journey ended."""
    folded.persona, folded.persona_since = persona_at(found, moment)
    if found:
        folded.records = [
            record._replace(persona=name, persona_since=since)
            for record in folded.records
            for name, since in [persona_at(found, record.ended_at or moment)]
        ]


def made_to(model: StageModel, record: StageRecord) -> StageRecord:
    """The record without the promises that are made to others than its persona."""
    if not record.promises:
        return record
    promises = model.category(record.category, record.product).owed
    return record._replace(promises=for_persona(promises, record.promises, record.persona))


def in_order(model: StageModel, events: Iterable[JourneyEvent]) -> list[JourneyEvent]:
    """One version of each event, none that another supersedes, in the model's order."""
    given = events if isinstance(events, list) else list(events)
    latest = {event.event_id: event for event in given}
    if len(latest) < len(given):
        for event in given:
            known = latest[event.event_id]
            if known != event and version_key(event) > version_key(known):
                latest[event.event_id] = event
    superseded = {event.supersedes for event in latest.values() if event.supersedes}
    kept = [event for event in latest.values() if event.event_id not in superseded]
    if len(kept) > 1:
        meanings, sources, last = model.meanings, model.source_rank, len(model.source_rank)
        kept.sort(
            key=lambda event: (
                event.occurred_at,
                sources.get(event.source, last),
                meanings.get(event.event_type, UNDECLARED).rank,
                event.event_id,
            )
        )
    return kept


@dataclass(frozen=True, slots=True)
class Route:
    """The journey that an event goes to, and in which role."""

    key: tuple[str, str]  # grain, id
    category: Category
    product: str | None
    category_path: str | None
    primary: bool
    candidate: str | None = None  # a product that a category journey considers
    wins: bool = False  # the purchase that ends a category journey


@dataclass(frozen=True, slots=True)
class Placement:
    """What one scope of an event type comes to; the same until the catalogue changes."""

    routes: tuple[Route, ...]
    doubts: tuple[str, ...]
    renamed: bool  # the catalogue gave it another name than the event did


def routes(
    model: StageModel,
    catalogue: Catalogue,
    event: JourneyEvent,
    meaning: EventMeaning,
    folded: Folded,
) -> Sequence[Route]:
    """The journeys that an event belongs to, each once, primary scopes first."""
    found: Sequence[Route] = ()
    for scope in event.scopes:
        key = (scope.grain, scope.id, scope.role, event.event_type, model.hash)
        placement: Placement | None = catalogue.memo.get(key)
        if placement is None:
            placement = place(model, catalogue, scope, event, meaning)
            catalogue.remember(key, placement)
        for doubt in placement.doubts:
            folded.unresolved[event.source, doubt, event.subject is not None] += 1
        if placement.renamed or placement.doubts:
            folded.other_names.add(scope.id)
        found = (*found, *placement.routes) if found else placement.routes
    if len(found) > 1:
        once: dict[tuple[str, str], Route] = {}
        for route in sorted(found, key=lambda route: not route.primary):
            once.setdefault(route.key, route)
        return list(once.values())
    return found


def place(
    model: StageModel,
    catalogue: Catalogue,
    scope: Scope,
    event: JourneyEvent,
    meaning: EventMeaning,
) -> Placement:
    """Ask the catalogue what a scope means, and the model where its journey is kept."""
    resolved = catalogue.resolve(scope)
    found = tuple(route for each in resolved for route in placed(model, each, event, meaning))
    return Placement(
        found,
        tuple(each.doubt for each in resolved if each.doubt),
        any(route.key[1] != scope.id for route in found),
    )


def placed(
    model: StageModel, resolved: Resolved, event: JourneyEvent, meaning: EventMeaning
) -> Iterator[Route]:
    """Where the category's grain puts one scope: on the category, the product or the item."""
    category = model.category(resolved.category, resolved.product)
    primary = resolved.role == "primary"
    if resolved.grain == "category":
        yield Route(("category", resolved.id), category, None, resolved.category, primary)
        return
    if resolved.product is None:
        return  # an item that no link names a product for
    is_before = before_purchase(model, event, meaning)
    if category.grain_before_purchase == "category" and resolved.category is not None:
        key = ("category", resolved.category)
        if is_before or (meaning.is_purchase and primary):
            yield Route(
                key,
                model.category(resolved.category),
                None,
                resolved.category,
                primary,
                candidate=resolved.product,
                wins=meaning.is_purchase,
            )
        if is_before:
            return
    if category.grain_after_purchase == "item" and resolved.grain == "item" and not is_before:
        yield Route(("item", resolved.id), category, resolved.product, resolved.category, primary)
    else:
        key = ("product", resolved.product)
        yield Route(key, category, resolved.product, resolved.category, primary)


def before_purchase(model: StageModel, event: JourneyEvent, meaning: EventMeaning) -> bool:
    """Whether an event speaks of the time before the purchase."""
    if meaning.stage is not None:
        index = model.defaults.entry[meaning.stage]
        return model.stages[index].side == "before"
    if meaning.outcome is not None:
        return meaning.outcome.sides == ("before",)
    return event.event_type in ("opportunity_stage_changed", "cart_removed", "cart_viewed")


def crm_target(category: Category, event: JourneyEvent) -> int | None:
    """The stage that the CRM's own stage name stands for."""
    pipeline = str(event.properties.get("pipeline", "*"))
    stage = str(event.properties.get("stage", ""))
    for name in (pipeline, "*"):
        mapped = category.pipelines.get(name, {}).get(stage)
        if mapped is not None:
            return category.entry[mapped]
    return None


def is_unmapped(model: StageModel, event: JourneyEvent) -> bool:
    """Whether a CRM stage is named that no pipeline of the model knows."""
    known = (model.defaults, *(model.category(path) for path in model.categories))
    return all(crm_target(category, event) is None for category in known)


class Line:
    """The episodes of one subject with one scope."""

    __slots__ = ("category", "category_path", "episodes", "key", "model", "product")

    def __init__(self, model: StageModel, route: Route) -> None:
        self.model = model
        self.key = route.key
        self.category = route.category
        self.product = route.product
        self.category_path = route.category_path
        self.episodes: list[Episode] = []

    def take(
        self,
        event: JourneyEvent,
        meaning: EventMeaning,
        route: Route,
        lines: dict[tuple[str, str], Line],
    ) -> None:
        """Let one event open, move or end an episode."""
        episode = self.episodes[-1] if self.episodes else None
        if episode is not None:
            episode.advance(event.occurred_at)
        if route.wins:
            self._win(event, route)
            return
        target = self._target(event, meaning)
        if not route.primary:
            ceiling = self.category.entry[CANDIDATE_CEILING]
            if target is None or self.model.stages[target].side != "before":
                return
            if self.model.stages[target].name == "buying":
                return
            target, meaning = (
                min(target, ceiling),
                EventMeaning(rank=meaning.rank, stage="considering"),
            )
        if episode is None or (
            episode.outcome is not None and reopens(self, episode, meaning, target)
        ):
            if not opens(event, meaning, target):
                if episode is None:
                    return
            else:
                episode = self._open(event, meaning, lines)
        if route.candidate is not None:
            episode.candidates.add(route.candidate)
        episode.take(event, meaning, target)

    def _target(self, event: JourneyEvent, meaning: EventMeaning) -> int | None:
        if event.event_type == "opportunity_stage_changed":
            return crm_target(self.category, event)
        return None if meaning.stage is None else self.category.entry[meaning.stage]

    def _open(
        self, event: JourneyEvent, meaning: EventMeaning, lines: dict[tuple[str, str], Line]
    ) -> Episode:
        episode = Episode(self.model, self.category, len(self.episodes) + 1)
        origin = lines.get(("category", self.category_path or ""))
        if meaning.is_purchase and self.key[0] != "category" and origin and origin.episodes:
            won = origin.episodes[-1]
            if won.outcome == "won" and won.ended_at == event.occurred_at:
                episode.derived_from = f"category:{self.category_path}#{won.number}"
        self.episodes.append(episode)
        return episode

    def _win(self, event: JourneyEvent, route: Route) -> None:
        """The purchase of one candidate ends the category's episode."""
        episode = self.episodes[-1] if self.episodes else None
        if episode is None or episode.outcome is not None:
            return
        episode.candidates.add(route.candidate or "")
        episode.take(event, EventMeaning(rank=0, tells=VALUE), None)
        episode.close("won", event.occurred_at, evidence="explicit")

    def records(self, subject: str, as_of: datetime) -> Iterator[StageRecord]:
        """One record per episode, first to last."""
        if self.episodes:
            self.episodes[-1].advance(as_of)
        for episode in self.episodes:
            yield episode.record((subject, *self.key), (self.product, self.category_path), as_of)


def opens(event: JourneyEvent, meaning: EventMeaning, target: int | None) -> bool:
    """Whether an event says enough to start a journey."""
    if meaning.is_impression:
        return False
    if target is not None or meaning.outcome is not None:
        return True
    return meaning.region is not None and concerns(event)


def reopens(line: Line, ended: Episode, meaning: EventMeaning, target: int | None) -> bool:
    """Whether an event after the end starts the next episode, or only adds to the last one.

    What follows a purchase (a delivery, usage, a ticket) belongs to the episode that had the
    purchase; everything that speaks of buying again starts anew.
    """
    stages = line.model.stages
    if meaning.is_purchase or meaning.is_renewal:
        return True
    if target is not None and stages[target].side == "before":
        return True
    if ended.here.side == "after":
        return False
    if target is not None:
        return True
    if meaning.outcome is not None:
        return ended.evidence == "inferred"
    if meaning.region is not None:
        return stages[line.category.entry[OPENS_AT[meaning.region]]].side == "after"
    return False
