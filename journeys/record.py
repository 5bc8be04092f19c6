"""What a journey comes to: the stage record, and the visits that led there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Visit(NamedTuple):
    """One stay in one stage."""

    stage: str
    entered_at: datetime
    event_id: str  # the evidence; for what time alone brought about, the derived event's type
    cycle: int  # 1 for the first purchase, 2 after buying or renewing again …


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
