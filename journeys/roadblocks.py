"""What stands in the way of a journey, whose it is to remove, and who is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from journeys.event import JourneyEvent
from journeys.personas import holds
from journeys.regions import WAITING, ticket_of
from journeys.touches import Touch

OWNERS = ("us", "them", "third_party")
WAITS = ("waiting_on_us", "waiting_on_customer")
OWNER_OF_WAIT = {"us": "us", "customer": "them", "third_party": "third_party"}

# Whose move it is in a deal: what each event makes of it. None: nobody is waited for.
MOVES: Mapping[str, str | None] = {
    **dict.fromkeys(
        ("demo_requested", "quote_requested", "rfi_received", "rfp_received", "cancel_requested"),
        "waiting_on_us",
    ),
    **dict.fromkeys(
        ("quote_sent", "proposal_sent", "contract_sent", "renewal_quoted"), "waiting_on_customer"
    ),
    **dict.fromkeys(
        (
            "demo_held",
            "meeting_held",
            "opportunity_stage_changed",
            "opportunity_won",
            "opportunity_lost",
            "contract_signed",
            "purchase_order_issued",
            "order_placed",
            "repurchased",
            "renewed",
            "upgraded",
            "downgraded",
            "subscription_cancelled",
        )
    ),
}


@dataclass(frozen=True, slots=True)
class RoadblockRule:
    """Which events put something in the way, and which remove it."""

    name: str
    opened_by: frozenset[str]
    closed_by: frozenset[str]
    owner: str
    per: str | None  # property that tells one from another: ticket, order …
    when: Mapping[str, Any]  # property of the opening event → test


@dataclass(slots=True)
class Obstacle:
    """One roadblock while its events go by."""

    name: str
    owner: str
    since: datetime
    stage: str
    channel: str | None
    event_id: str
    until: datetime | None = None
    wait: str | None = None  # who is waited for; None: it blocks
    wait_since: datetime | None = None

    def described(self) -> dict[str, Any]:
        """The roadblock as the record shows it."""
        return {
            "type": self.name,
            "owner": self.owner,
            "since": self.since,
            "until": self.until,
            "stage": self.stage,
            "channel": self.channel,
            "event_id": self.event_id,
        }


class InTheWay(NamedTuple):
    """All roadblocks of a journey, and since when it is blocked or waits for somebody."""

    roadblocks: tuple[dict[str, Any], ...]
    blocked: datetime | None
    waits: Mapping[str, datetime]  # "waiting_on_us" or "waiting_on_customer" → since


CLEAR = InTheWay((), None, {})


def in_the_way(rules: Mapping[str, Sequence[RoadblockRule]], watched: Iterable[Touch]) -> InTheWay:
    """What stood and stands in the way, by a journey's touches in order and rules by event type."""
    found: list[Obstacle] = []
    still: dict[tuple[str, str | None], Obstacle] = {}
    move: tuple[str, datetime] | None = None
    for event, stage in watched:
        for rule in rules.get(event.event_type, ()):
            _apply(rule, event, stage, still, found)
        if event.event_type in MOVES:
            move = _moved(event, move)
    waits: dict[str, datetime] = {}
    if move is not None:
        waits[move[0]] = move[1]
    blocked: datetime | None = None
    for each in still.values():
        if each.wait is not None and each.wait_since is not None:
            waits[each.wait] = min(each.wait_since, waits.get(each.wait, each.wait_since))
        else:
            blocked = each.since if blocked is None else min(blocked, each.since)
    return InTheWay(tuple(each.described() for each in found), blocked, waits)


def _apply(
    rule: RoadblockRule,
    event: JourneyEvent,
    stage: str,
    still: dict[tuple[str, str | None], Obstacle],
    found: list[Obstacle],
) -> None:
    kind, at = event.event_type, event.occurred_at
    name = key_of(event, rule.per)
    if kind in rule.closed_by:
        for key in [key for key in still if key[0] == rule.name and matches(key[1], name)]:
            still.pop(key).until = at
        return
    obstacle = still.get((rule.name, name))
    if kind in rule.opened_by and obstacle is None:
        if not all(holds(test, event.properties.get(key)) for key, test in rule.when.items()):
            return
        obstacle = Obstacle(rule.name, rule.owner, at, stage, event.channel, event.event_id)
        still[rule.name, name] = obstacle
        found.append(obstacle)
    if obstacle is None:
        return
    named = event.properties.get("waiting_on") or event.properties.get("status")
    state = WAITING.get(str(named).lower())
    if state in ("resolved", "closed"):
        still.pop((rule.name, name)).until = at
        return
    owner = OWNER_OF_WAIT.get(str(event.properties.get("waiting_on")).lower())
    if owner is None:
        stated = event.properties.get("owner")
        owner = stated if stated in OWNERS else None
    if state is not None or kind in rule.opened_by:
        wait = state if state in WAITS else None
        if wait != obstacle.wait:
            obstacle.wait, obstacle.wait_since = wait, at
        obstacle.owner = owner or ("them" if wait == "waiting_on_customer" else rule.owner)
    elif owner is not None:
        obstacle.owner = owner


def _moved(event: JourneyEvent, move: tuple[str, datetime] | None) -> tuple[str, datetime] | None:
    """Whose move it is after an event of a deal."""
    kind = event.event_type
    after = MOVES[kind]
    if kind == "opportunity_stage_changed" and (named := event.properties.get("waiting_on")):
        after = WAITING.get(str(named).lower())
    if after not in WAITS:
        return None
    return move if move is not None and move[0] == after else (after, event.occurred_at)


def key_of(event: JourneyEvent, per: str | None) -> str | None:
    """Which of several an event is about, by a property; None where it does not say."""
    if per is None:
        return None
    if per == "ticket" and event.event_type.startswith("ticket_"):
        return ticket_of(event)
    value = event.properties.get(per)
    return None if value is None or value == "" else str(value)


def matches(known: str | None, named: str | None) -> bool:
    """Whether an event that names this, or nothing, speaks of that."""
    return known is None or named is None or known == named


def rules_of(
    data: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, tuple[RoadblockRule, ...]]:
    """Roadblock rules from settings, by event type; one that is null does not hold."""
    found: dict[str, tuple[RoadblockRule, ...]] = {}
    for name, each in data.items():
        if each is None or "opened_by" not in each:
            continue
        rule = RoadblockRule(
            name,
            frozenset(each["opened_by"]),
            frozenset(each.get("closed_by", ())),
            each.get("owner", "us"),
            each.get("per"),
            each.get("when", {}),
        )
        for event_type in {*rule.opened_by, *rule.closed_by, *each.get("moved_by", ())}:
            found[event_type] = (*found.get(event_type, ()), rule)
    return found
