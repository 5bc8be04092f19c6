"""Buying teams: who of an account takes part in buying a product, as what, and how far each is.

A team comes from the same events as the account's journeys. Members hold a role (of a deal, or of
their profile), or did something with the product within the category's `team_window`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from journeys.catalogue import Catalogue
from journeys.event import JourneyEvent
from journeys.fold import Folded, fold_subject, in_order
from journeys.model import Category, StageModel
from journeys.record import StageRecord
from journeys.team_evidence import Evidence, HeldRole, Key

SHARE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Member:
    """One person of a team; `stage` is where the own journey with the product stands."""

    subject: str
    roles: tuple[HeldRole, ...]
    state: str  # "new", "active" or "silent"
    since: datetime  # the first evidence
    last_at: datetime | None  # of what they did themselves
    touches: int
    stage: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class BuyingTeam:
    """The people of one account who take part in buying one product, or within one category."""

    subject: str  # the account's canonical id
    scope_grain: str  # "product" or "category"
    scope_id: str
    product: str | None
    category: str | None
    members: tuple[Member, ...]
    required: tuple[str, ...]
    present: tuple[str, ...]
    missing: tuple[str, ...]
    coverage: float | None  # share of the required roles; None: none is required
    covered: bool | None  # whether that is enough
    furthest_stage: str | None
    least_stage: str | None
    stage_spread: int | None  # stages between the two; None: nobody was seen
    top_share: float | None  # of all touches, those of the member with the most
    new: tuple[str, ...]
    silent: tuple[str, ...]
    next_check_at: datetime | None  # when time alone may change this team

    def summary(self) -> dict[str, Any]:
        """What a stage record shows of it."""
        return {
            "members": len(self.members),
            "roles_present": list(self.present),
            "roles_missing": list(self.missing),
            "coverage": self.coverage,
            "covered": self.covered,
            "furthest_stage": self.furthest_stage,
            "least_stage": self.least_stage,
            "stage_spread": self.stage_spread,
            "top_share": self.top_share,
            "new": len(self.new),
            "silent": len(self.silent),
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an account's people, beside the events of the account."""

    people: Mapping[str, str] = field(default_factory=dict)  # id → canonical id
    facts: Sequence[JourneyEvent] = ()  # titles and roles in events that name no account


@dataclass(slots=True)
class Teams:
    """The teams of one account, at any moment."""

    model: StageModel
    catalogue: Catalogue
    account: str
    events: Sequence[JourneyEvent]  # in order, with what is known of the people besides
    people: Mapping[str, str]  # id → canonical id of the person
    _evidence: dict[datetime, Evidence] = field(default_factory=dict)
    _stages: dict[tuple[str, datetime], list[StageRecord]] = field(default_factory=dict)

    def now(self, moment: datetime) -> list[BuyingTeam]:
        """All teams of the account at a moment, by grain and id."""
        return [
            team
            for key in sorted(self._at(moment).scopes)
            if (team := self.team(key, moment)) is not None
        ]

    def team(self, key: Key, moment: datetime) -> BuyingTeam | None:
        """The team of one product or category at a moment; None where nobody takes part."""
        evidence = self._at(moment)
        if key not in evidence.scopes:
            return None
        product, path = evidence.scopes[key]
        category = self.model.category(path, product)
        members = [
            self._member(evidence, key, name, category, moment)
            for name in sorted(evidence.members(key, moment - category.team_window))
        ]
        if not members:
            return None
        held = {role.role for member in members for role in member.roles}
        present = tuple(role for role in self.model.roles.roles if role in held)
        missing = tuple(role for role in category.required_roles if role not in held)
        required = len(category.required_roles)
        coverage = share(required - len(missing), required)
        ranks = {stage.name: rank for rank, stage in enumerate(self.model.stages)}
        stood = sorted({ranks[m.stage] for m in members if m.stage and m.outcome is None})
        touches = [member.touches for member in members]
        return BuyingTeam(
            subject=self.account,
            scope_grain=key[0],
            scope_id=key[1],
            product=product,
            category=path,
            members=tuple(members),
            required=category.required_roles,
            present=present,
            missing=missing,
            coverage=coverage,
            covered=None if coverage is None else coverage >= category.minimum_role_coverage,
            furthest_stage=self.model.stages[stood[-1]].name if stood else None,
            least_stage=self.model.stages[stood[0]].name if stood else None,
            stage_spread=stood[-1] - stood[0] if stood else None,
            top_share=share(max(touches), sum(touches)),
            new=tuple(member.subject for member in members if member.state == "new"),
            silent=tuple(member.subject for member in members if member.state == "silent"),
            next_check_at=min(checks(members, category.team_window, moment), default=None),
        )

    def _at(self, moment: datetime) -> Evidence:
        """What the events up to a moment say."""
        found = self._evidence.get(moment)
        if found is None:
            found = self._evidence[moment] = Evidence(self.model, self.catalogue, self.people)
            for event in self.events:
                if event.occurred_at <= moment:
                    found.take(event)
        return found

    def _member(
        self, evidence: Evidence, key: Key, name: str, category: Category, moment: datetime
    ) -> Member:
        roles = evidence.roles(key, name)
        touches = evidence.touches.get(key, {}).get(name, [])
        last_at = touches[-1] if touches else None
        since = min([*touches[:1], *(role.since for role in roles)])
        state = "active"
        if (last_at or since) + category.team_window <= moment:
            state = "silent"
        elif since + category.team_window > moment:
            state = "new"
        stands = self._stands(evidence, key, name, moment)
        return Member(
            name,
            tuple(role for role in roles if role.role),
            state,
            since,
            last_at,
            len(touches),
            None if stands is None else stands.stage,
            None if stands is None else stands.outcome,
        )

    def _stands(
        self, evidence: Evidence, key: Key, name: str, moment: datetime
    ) -> StageRecord | None:
        """A member's own journey: the latest with the product, else with what is chosen among."""
        records = self._stages.get((name, moment))
        if records is None:
            events = evidence.own.get(name, ())
            records = fold_subject(
                self.model, events, name, self.catalogue, moment, is_account=True
            ).records
            self._stages[name, moment] = records
        product, path = evidence.scopes[key]
        choices: tuple[Callable[[StageRecord], bool], ...] = (
            lambda r: (r.scope_grain, r.scope_id) == key,
            lambda r: product is not None and r.product == product,
            lambda r: product is not None and (r.scope_grain, r.scope_id) == ("category", path),
        )
        for fits in choices:
            found = [record for record in records if fits(record)]
            if found:
                return max(found, key=lambda record: (record.first_event_at, record.episode))
        return None


def fold_account(
    model: StageModel,
    events: Iterable[JourneyEvent],
    account: str,
    catalogue: Catalogue,
    as_of: datetime | None,
    known: Known,
) -> tuple[Folded, list[BuyingTeam]]:
    """As :func:`journeys.fold.fold_subject` for an account, with its buying teams.

    The records say what the team comes to: now, and of an episode that another one followed, when
    it ended.
    """
    given = list(events)
    folded = fold_subject(model, given, account, catalogue, as_of, is_account=True)
    evidence = in_order(model, [*given, *known.facts])
    if not any(event.subject is not None for event in evidence):
        return folded, []
    moment = evidence[-1].occurred_at if as_of is None else max(as_of, evidence[-1].occurred_at)
    teams = Teams(model, catalogue, account, evidence, known.people)
    last = {(each.scope_grain, each.scope_id): each.episode for each in folded.records}
    records = []
    for record in folded.records:
        key = (record.scope_grain, record.scope_id)
        is_last = record.episode == last[key]
        if key[0] == "item" and record.product is not None:
            key = ("product", record.product)
        team = teams.team(key, moment if is_last else record.ended_at or moment)
        records.append(record if team is None else record._replace(buying_team=team.summary()))
    folded.records = records
    return folded, teams.now(moment)


def checks(members: Iterable[Member], window: timedelta, moment: datetime) -> Iterator[datetime]:
    """When members stop being new, fall silent, or are members no more."""
    for member in members:
        for at in (member.since + window, (member.last_at or member.since) + window):
            if at > moment:
                yield at


def share(part: int, whole: int) -> float | None:
    """A share of something; None where there is nothing."""
    return round(part / whole, SHARE_DIGITS) if whole else None
