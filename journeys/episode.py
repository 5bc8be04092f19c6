"""One episode of one journey while its events go by, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from journeys.condition import condition, expected, worst
from journeys.detours import STRAIGHT, detours
from journeys.event import JourneyEvent
from journeys.funnels import funnels
from journeys.goals import goal_of
from journeys.model import (
    Category,
    EventMeaning,
    Outcome,
    Stage,
    StageModel,
    measures_of,
)
from journeys.promises import NONE_TOLD, told
from journeys.record import StageRecord, Visit
from journeys.regions import OPENS_AT, RETURNING, SEEKING_SUPPORT, Regions, concerns
from journeys.repeats import repeats
from journeys.roadblocks import CLEAR, in_the_way
from journeys.telling import ANSWER, CONTACT, GOAL, HINDRANCE, PROMISE, VALUE
from journeys.touches import Touch, feedback, last_step, seen
from journeys.worth import value

NEVER = datetime.max.replace(tzinfo=UTC)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
NOWHERE = Stage("", "", "")  # before anything has happened


@dataclass(slots=True, eq=False)
class Episode:
    """The state that the events of one episode build up."""

    model: StageModel
    category: Category
    number: int
    stage: int | None = None  # index into model.stages
    here: Stage = NOWHERE  # that stage itself
    entered_at: datetime = NEVER
    clock_from: datetime = NEVER
    previous: int | None = None
    path: list[Visit] = field(default_factory=list)
    visited: int = 0  # the stages of the path, as bits
    furthest: int = 0
    cycle: int = 1
    cycle_at: datetime = LONG_AGO
    purchased_at: datetime = LONG_AGO
    purchases: dict[str, set[str]] = field(default_factory=dict)  # event type → what was bought
    open_cases: set[str] = field(default_factory=set)  # opportunities and trials still open
    cart: int = 0
    cart_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    evidence: str | None = None
    ended_at: datetime | None = None
    crm: int | None = None
    observed: int | None = None
    candidates: set[str] = field(default_factory=set)
    derived_from: str | None = None
    account: str | None = None
    regions: Regions | None = None
    due: datetime | None = None  # when time alone moves or ends this episode
    touches: list[JourneyEvent] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # touches before each visit of the path
    watched: list[Touch] = field(default_factory=list)  # those that tell more
    tells: int = 0  # what; bits of journeys.telling
    strayed: bool = False  # it went back, or entered a stage again
    step: JourneyEvent | None = None  # the last touch that was not an impression

    # -- what an event does ----------------------------------------------------------------

    def take(self, event: JourneyEvent, meaning: EventMeaning, target: int | None) -> None:
        """Let one event change this episode; ``target`` is the stage it speaks of, if any."""
        if event.account is not None:
            self.account = event.account
        if not meaning.is_impression:
            self.step = event
        if self.outcome is None:
            if target is not None:
                self._weigh(meaning, target)
                self._move(event, meaning, target)
            if meaning.opens or event.event_type in CASE_ENDS:
                self._case(event)
            if event.event_type in CART_EVENTS:
                self._cart(event)
        if meaning.region is not None and concerns(event):
            self._region(event, meaning.region)
        if meaning.outcome is not None and self.outcome is None:
            self._end(event, meaning.outcome)
        self._schedule()
        self.touches.append(event)
        if meaning.tells:
            self.tells |= meaning.tells
            self.watched.append((event, self.here.name))

    def _weigh(self, meaning: EventMeaning, target: int) -> None:
        """Keep what the CRM says apart from what the customer did."""
        if meaning.is_crm:
            self.crm = target
        elif self.observed is None or target > self.observed:
            self.observed = target

    def _move(self, event: JourneyEvent, meaning: EventMeaning, target: int) -> None:
        at = event.occurred_at
        again = False
        if meaning.is_purchase:
            again = self._bought_again(event)
        elif meaning.is_renewal:
            again = self.here.side == "after"
        if again:
            self.cycle += 1
            self.cycle_at = at
            self._enter(target, at, event.event_id)
        elif self.stage is None or target > self.stage:
            if self.here.side != "after":
                self.cycle_at = at
            self._enter(target, at, event.event_id)
        elif (
            event.event_type == "opportunity_stage_changed"
            and target < self.stage
            and self.here.side == "before"
        ):
            self._enter(target, at, event.event_id)

    def _bought_again(self, event: JourneyEvent) -> bool:
        """Whether this is another purchase of the same kind, and not its repetition."""
        seen = self.purchases.setdefault(event.event_type, set())
        key = str(event.properties.get("order") or event.source_key or event.event_id)
        again = bool(seen) and key not in seen and event.occurred_at > self.purchased_at
        seen.add(key)
        self.purchased_at = event.occurred_at
        return again and self.here.side == "after"

    def _case(self, event: JourneyEvent) -> None:
        """Keep track of what is openly still being decided."""
        kind, case = event.event_type, opportunity_of(event)
        if kind == "trial_started":
            self.open_cases.add("trial")
        elif kind == "trial_ended":
            self.open_cases.discard("trial")
            self.clock_from = event.occurred_at
        elif kind not in CASE_ENDS:
            self.open_cases.add(case)
        elif case in self.open_cases or event.properties.get("opportunity"):
            self.open_cases.discard(case)
        else:
            self.open_cases.clear()  # it does not say which: then it speaks of all

    def _cart(self, event: JourneyEvent) -> None:
        """An emptied cart goes back; a filled one runs against the clock."""
        if self.here.name != "buying":
            return
        self.cart_at = event.occurred_at
        if event.event_type == "cart_added":
            self.cart += 1
        elif event.event_type == "cart_removed":
            self.cart -= 1
            if self.cart <= 0:
                self._leave_cart(event.occurred_at, event.event_id)

    def _leave_cart(self, at: datetime, event_id: str) -> None:
        self.cart, self.cart_at = 0, None
        order = self.model.rank
        buying = order["buying"]
        earlier = [order[visit.stage] for visit in self.path if order[visit.stage] < buying]
        self._enter(earlier[-1] if earlier else self.category.entry["considering"], at, event_id)
        self.observed = self.stage

    def _region(self, event: JourneyEvent, region: str) -> None:
        if self.stage is None:
            inferred = self.category.entry[OPENS_AT[region]]
            self._enter(inferred, event.occurred_at, event.event_id)
        if self.regions is None:
            self.regions = Regions()
        self.regions.apply(event)

    def _end(self, event: JourneyEvent, outcome: Outcome) -> None:
        if self.stage is None:
            inferred = self.category.entry[outcome.stage]
            self._enter(inferred, event.occurred_at, event.event_id)
        if event.properties.get("partial") in (True, "true", "True"):
            return
        if self.here.side not in outcome.sides:
            return
        if event.event_type == "opportunity_lost" and self.open_cases:
            return  # another opportunity for the same product goes on
        reason = event.properties.get("reason")
        name = self._lost(str(reason or "")) if outcome.by_reason else outcome.outcome
        self.close(name or outcome.outcome, event.occurred_at, evidence="explicit")
        self.reason = None if reason is None else str(reason)

    def _lost(self, reason: str) -> str | None:
        text = reason.casefold()
        for outcome, words in self.model.lost_reasons.items():
            if any(word in text for word in words):
                return outcome
        return None

    def close(self, outcome: str, at: datetime, *, evidence: str) -> None:
        """End the episode."""
        self.outcome, self.ended_at, self.evidence = outcome, at, evidence
        self.due = None

    # -- what time does --------------------------------------------------------------------

    def advance(self, until: datetime) -> None:
        """Let time alone do what it would have done before ``until``."""
        while self.due is not None and self.due <= until:
            at = self.due
            if self.cart_at is not None and at == self.cart_at + self.category.cart_abandoned_after:
                self._leave_cart(at, "cart_abandoned")
            elif self.here.side == "before":
                self.close("no_decision", at, evidence="inferred")
            else:
                self._enter(self.category.entry["renewing"], at, "renewal_window_opened")
            self._schedule()

    def _schedule(self) -> None:
        """Find the next moment at which time alone changes the main line."""
        self.due = None
        if self.outcome is not None or self.stage is None:
            return
        if self.here.side == "before":
            if self.cart_at is not None and self.here.name == "buying":
                self.due = self.cart_at + self.category.cart_abandoned_after
            if not self.open_cases and self.step is not None:
                gap = self.step.occurred_at + self.category.episode_gap
                self.due = gap if self.due is None else min(self.due, gap)
        elif self.category.renewal_after is not None and self.here.name == "using":
            renewing = self.category.entry["renewing"]
            if renewing > self.stage:
                self.due = max(self.cycle_at + self.category.renewal_after, self.entered_at)

    # -- the main line ---------------------------------------------------------------------

    def _enter(self, target: int, at: datetime, event_id: str) -> None:
        if self.stage is not None and target <= self.stage and self.path[-1].cycle == self.cycle:
            self.strayed = True
        self.previous = self.stage
        self.stage, self.here = target, self.model.stages[target]
        self.visited |= 1 << target
        self.furthest = max(self.furthest, target)
        self.entered_at = self.clock_from = at
        self.path.append(Visit(self.here.name, at, event_id, self.cycle))
        self.starts.append(len(self.touches))

    def _skipped(self) -> tuple[str, ...]:
        """Stages of the category that were passed without any evidence."""
        if self.visited == (1 << self.furthest + 1) - 1:
            return ()
        stages = self.model.stages[: self.furthest]
        return tuple(
            stage.name
            for index, stage in enumerate(stages)
            if not self.visited >> index & 1 and stage.name in self.category.stages
        )

    def _funnels(self) -> tuple[dict[str, Any], ...]:
        stays = list(zip((visit.stage for visit in self.path), self.starts, strict=True))
        return funnels(self.category.funnels, self.touches, stays)

    # -- the result ------------------------------------------------------------------------

    def record(
        self, key: tuple[str, str, str], about: tuple[str | None, str | None], as_of: datetime
    ) -> StageRecord:
        """The record at a moment; ``key``: subject, grain, id; ``about``: product, category."""
        assert self.stage is not None
        stages, category = self.model.stages, self.category
        valid = last_at = self.touches[-1].occurred_at
        regions: dict[str, dict[str, Any]] = {}
        checks = [self.due] if self.due is not None else []
        if self.regions is not None:
            regions, check = self.regions.states(
                as_of,
                contact_closes_after=category.contact_closes_after,
                usage_window=category.usage_window,
                declining_below=category.usage_declining_below,
                internal_order=category.internal_order,
            )
            if self.outcome is not None:
                regions.pop("engagement", None)  # nobody waits for a customer who left
            elif check is not None:
                checks.append(check)
        watched, tells = self.watched, self.tells
        way = in_the_way(category.obstacles, watched) if tells & HINDRANCE else CLEAR
        aside = STRAIGHT
        if self.strayed:
            aside = detours(self.path, self.model.rank, self.ended_at or last_at)
        said = repeats(watched, category.repeat_window) if tells & CONTACT else ()
        kept = NONE_TOLD
        if tells & PROMISE and category.owed:
            kept = told(category.owed, watched, said, category.repeat_window, as_of)
            if kept.next_check_at is not None:
                checks.append(kept.next_check_at)
        doing = since = None
        stay = None
        if self.outcome is None:
            begun = self.clock_from
            limits, usual = measures_of(self.model, category, about[1], self.here.name)
            dwell = condition(category, self.here.name, begun, as_of, limits)
            doing, since, check = worst(dwell, way.blocked, way.waits, aside.since)
            if check is not None:
                checks.append(check)
            if dwell.since > valid:
                valid = dwell.since
            if usual is not None:
                stay, check = expected(usual, begun, as_of)
                if check is not None:
                    checks.append(check)
        elif self.ended_at is not None:
            valid = max(valid, self.ended_at)
        if kept.decided_at is not None:
            valid = max(valid, kept.decided_at)
        headline = None if self.outcome is not None else self.here.headline
        if regions.get("return", {}).get("state") in RETURNING:
            headline = "Returning"
        elif regions.get("support", {}).get("state") in SEEKING_SUPPORT:
            headline = "Seeking support"
        crm, observed = self.crm, self.observed
        skipped = self._skipped()
        all_touches, visibility = seen(
            self.touches,
            self.path,
            self.starts,
            category.lit_days,
            len(skipped),
        )
        return StageRecord(  # in the order of its fields: by name it takes three times as long
            *key,
            self.number,
            *about,
            self.account,
            self.here.name,
            self.entered_at,
            None if self.previous is None else stages[self.previous].name,
            skipped,
            tuple(self.path),
            self.cycle,
            regions,
            doing,
            since,
            min(checks, default=None),
            self.outcome,
            self.reason,
            self.evidence,
            self.ended_at,
            headline,
            None if crm is None else stages[crm].name,
            None if observed is None else stages[observed].name,
            crm is not None and observed is not None and abs(crm - observed) > 1,
            tuple(sorted(self.candidates)),
            self.derived_from,
            self.touches[0].occurred_at,
            last_at,
            len(self.touches),
            valid,
            self.model.hash,
            None,  # persona, since when, and buying team: known to those who ask for the record
            None,
            None,
            way.roadblocks,
            aside.found,
            kept.occasions,
            goal_of(watched, self.ended_at) if tells & GOAL else None,
            visibility,
            all_touches,
            feedback(watched) if tells & ANSWER else (),
            said,
            None if self.step is None else last_step(self.step),
            stay,
            value(watched, self.model.meanings) if tells & VALUE else None,
            self._funnels() if category.funnels else (),
        )


CART_EVENTS = frozenset(
    {
        "cart_added",
        "cart_removed",
        "cart_viewed",
        "checkout_started",
        "checkout_step_completed",
        "payment_entered",
        "payment_failed",
    }
)
CASE_ENDS = frozenset({"opportunity_won", "opportunity_lost", "trial_ended"})


def opportunity_of(event: JourneyEvent) -> str:
    """The opportunity an event belongs to: named by the rule, else the record itself."""
    return str(event.properties.get("opportunity") or event.source_key)
