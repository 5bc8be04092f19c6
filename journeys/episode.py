"""One episode of one journey while its events go by, in order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from journeys.condition import condition
from journeys.event import JourneyEvent
from journeys.model import Category, EventMeaning, Outcome, StageModel
from journeys.record import StageRecord, Visit
from journeys.regions import OPENS_AT, RETURNING, SEEKING_SUPPORT, Regions, concerns

NEVER = datetime.max.replace(tzinfo=UTC)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Episode:
    """The state that the events of one episode build up."""

    def __init__(self, model: StageModel, category: Category, number: int) -> None:
        self.model = model
        self.category = category
        self.number = number
        self.stage: int | None = None  # index into model.stages
        self.entered_at = self.clock_from = NEVER
        self.previous: int | None = None
        self.path: list[Visit] = []
        self.visited = 0  # the stages of the path, as bits
        self.furthest = 0
        self.cycle = 1
        self.cycle_at = self.purchased_at = LONG_AGO
        self.purchases: dict[str, set[str]] = {}  # event type → what was bought
        self.open_cases: set[str] = set()  # opportunities and trials that are still open
        self.cart: int = 0
        self.cart_at: datetime | None = None
        self.outcome: str | None = None
        self.reason: str | None = None
        self.evidence: str | None = None
        self.ended_at: datetime | None = None
        self.crm: int | None = None
        self.observed: int | None = None
        self.candidates: set[str] = set()
        self.derived_from: str | None = None
        self.account: str | None = None
        self.regions: Regions | None = None
        self.count = 0
        self.first_at = self.last_at = self.active_at = NEVER
        self.due: datetime | None = None  # when time alone moves or ends this episode

    # -- what an event does ----------------------------------------------------------------

    def take(self, event: JourneyEvent, meaning: EventMeaning, target: int | None) -> None:
        """Let one event change this episode; ``target`` is the stage it speaks of, if any."""
        at = event.occurred_at
        if not self.count:
            self.first_at = self.active_at = at
        self.count += 1
        self.last_at = at
        if event.account is not None:
            self.account = event.account
        if not meaning.is_impression:
            self.active_at = at
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
            again = self.stage is not None and self._side() == "after"
        if again:
            self.cycle += 1
            self.cycle_at = at
            self._enter(target, at, event.event_id)
        elif self.stage is None or target > self.stage:
            if self.stage is None or self._side() == "before":
                self.cycle_at = at
            self._enter(target, at, event.event_id)
        elif (
            event.event_type == "opportunity_stage_changed"
            and target < self.stage
            and self._side() == "before"
        ):
            self._enter(target, at, event.event_id)

    def _bought_again(self, event: JourneyEvent) -> bool:
        """Whether this is another purchase of the same kind, and not its repetition."""
        seen = self.purchases.setdefault(event.event_type, set())
        key = str(event.properties.get("order") or event.source_key or event.event_id)
        again = bool(seen) and key not in seen and event.occurred_at > self.purchased_at
        seen.add(key)
        self.purchased_at = event.occurred_at
        return again and self.stage is not None and self._side() == "after"

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
        if self.stage is None or self._stage_name() != "buying":
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
        order = {stage.name: index for index, stage in enumerate(self.model.stages)}
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
        if self._side() not in outcome.sides:
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
            elif self._side() == "before":
                self.close("no_decision", at, evidence="inferred")
            else:
                self._enter(self.category.entry["renewing"], at, "renewal_window_opened")
            self._schedule()

    def _schedule(self) -> None:
        """Find the next moment at which time alone changes the main line."""
        self.due = None
        if self.outcome is not None or self.stage is None:
            return
        if self._side() == "before":
            if self.cart_at is not None and self._stage_name() == "buying":
                self.due = self.cart_at + self.category.cart_abandoned_after
            if not self.open_cases:
                gap = self.active_at + self.category.episode_gap
                self.due = gap if self.due is None else min(self.due, gap)
        elif self.category.renewal_after is not None and self._stage_name() == "using":
            renewing = self.category.entry["renewing"]
            if renewing > self.stage:
                self.due = max(self.cycle_at + self.category.renewal_after, self.entered_at)

    # -- the main line ---------------------------------------------------------------------

    def _stage_name(self) -> str:
        assert self.stage is not None
        return self.model.stages[self.stage].name

    def _side(self) -> str:
        assert self.stage is not None
        return self.model.stages[self.stage].side

    @property
    def side(self) -> str | None:
        """Before or after the purchase; None while nothing has happened."""
        return None if self.stage is None else self._side()

    def _enter(self, target: int, at: datetime, event_id: str) -> None:
        self.previous = self.stage
        self.stage = target
        self.visited |= 1 << target
        self.furthest = max(self.furthest, target)
        self.entered_at = self.clock_from = at
        self.path.append(Visit(self.model.stages[target].name, at, event_id, self.cycle))

    def _skipped(self) -> tuple[str, ...]:
        """Stages of the category that were passed without any evidence."""
        stages = self.model.stages[: self.furthest]
        return tuple(
            stage.name
            for index, stage in enumerate(stages)
            if not self.visited >> index & 1 and stage.name in self.category.stages
        )

    # -- the result ------------------------------------------------------------------------

    def record(
        self, key: tuple[str, str, str], names: tuple[str | None, str | None], as_of: datetime
    ) -> StageRecord:
        """The record at a moment; ``key``: subject, grain, id; ``names``: product, category."""
        assert self.stage is not None
        stages, category = self.model.stages, self.category
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
        doing = since = None
        valid = self.last_at
        if self.outcome is None:
            doing, since, check = condition(category, self._stage_name(), self.clock_from, as_of)
            if check is not None:
                checks.append(check)
            valid = max(valid, since)
        elif self.ended_at is not None:
            valid = max(valid, self.ended_at)
        headline = None if self.outcome is not None else stages[self.stage].headline
        if regions.get("return", {}).get("state") in RETURNING:
            headline = "Returning"
        elif regions.get("support", {}).get("state") in SEEKING_SUPPORT:
            headline = "Seeking support"
        crm, observed = self.crm, self.observed
        return StageRecord(
            subject=key[0],
            scope_grain=key[1],
            scope_id=key[2],
            episode=self.number,
            product=names[0],
            category=names[1],
            account=self.account,
            stage=stages[self.stage].name,
            stage_entered_at=self.entered_at,
            previous_stage=None if self.previous is None else stages[self.previous].name,
            stages_skipped=self._skipped(),
            path=tuple(self.path),
            cycle=self.cycle,
            regions=regions,
            condition=doing,
            condition_since=since,
            next_check_at=min(checks, default=None),
            outcome=self.outcome,
            reason=self.reason,
            evidence=self.evidence,
            ended_at=self.ended_at,
            headline=headline,
            crm_stage=None if crm is None else stages[crm].name,
            observed_stage=None if observed is None else stages[observed].name,
            disagreement=crm is not None and observed is not None and abs(crm - observed) > 1,
            candidates=tuple(sorted(self.candidates)),
            derived_from=self.derived_from,
            first_event_at=self.first_at,
            last_event_at=self.last_at,
            event_count=self.count,
            valid_as_of=valid,
            model_hash=self.model.hash,
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
