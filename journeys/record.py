"""What a journey comes to: the stage record, and the visits that led there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple


class Visit(NamedTuple):
    """One stay in one stage."""

    stage: str
    entered_at: datetime
    event_id: str  # the evidence; for what time alone brought about, the derived event's type
    cycle: int  # 1 for the first purchase, 2 after buying or renewing again …


NO_TOUCHES: Mapping[str, Mapping[str, Mapping[str, int]]] = MappingProxyType({})


class StageRecord(NamedTuple):
    """Where one subject stands with one product (or category, or item) in one episode.

    A tuple, because making a frozen dataclass of so many fields took a fifth of the fold.
    """

    subject: str
    scope_grain: str  # "product", "category" or "item"
    scope_id: str
    episode: int
    product: str | None
    category: str | None
    account: str | None
    stage: str
    stage_entered_at: datetime
    previous_stage: str | None
    stages_skipped: tuple[str, ...]  # passed without any evidence
    path: tuple[Visit, ...]
    cycle: int
    regions: Mapping[str, Mapping[str, Any]]
    condition: str | None  # None once the journey has ended
    condition_since: datetime | None
    next_check_at: datetime | None  # when time alone may change this record
    outcome: str | None
    reason: str | None
    evidence: str | None  # of the outcome: "explicit" or "inferred"
    ended_at: datetime | None
    headline: str | None  # None once the journey has ended and nothing is open beside it
    crm_stage: str | None  # what the CRM says …
    observed_stage: str | None  # … and what the customer's own behaviour says
    disagreement: bool  # the two lie more than one stage apart
    candidates: tuple[str, ...]  # products touched, where consideration is about a category
    derived_from: str | None  # the category journey whose purchase started this one
    first_event_at: datetime
    last_event_at: datetime
    event_count: int
    valid_as_of: datetime  # event time up to which this record tells the truth
    model_hash: str
    persona: str | None = None  # who the subject was, at the end of the journey or now
    persona_since: datetime | None = None
    buying_team: Mapping[str, Any] | None = None  # of an account; see journeys.team
    # What the journey was like. Times in these are ISO 8601 text, as in `regions`.
    roadblocks: Sequence[Mapping[str, Any]] = ()  # what stood or stands in the way, and whose it is
    detours: Mapping[str, Any] | None = None  # backward moves, loops, extra steps, and their days
    promises: Sequence[Mapping[str, Any]] = ()  # one entry for each time that one was due
    goal: Mapping[str, Any] | None = None  # what the customer wanted to achieve
    visibility: Mapping[str, Any] | None = None  # events by what is known of them; the dark share
    touches: Mapping[str, Mapping[str, Mapping[str, int]]] = NO_TOUCHES  # stage, channel, type
    feedback: Sequence[Mapping[str, Any]] = ()  # answers, with the position at that time
    repeats: Sequence[Mapping[str, Any]] = ()  # contacts that tell the same again
    last_step: Mapping[str, Any] | None = None  # the last touch that was not an impression
    expected: Mapping[str, Any] | None = None  # of the current stage, and how far it is in it
    value: Mapping[str, str | None] | None = None  # amount, as decimal text, and currency
    funnels: Sequence[Mapping[str, Any]] = ()  # the steps of declared funnels that were reached
