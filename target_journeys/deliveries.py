"""Rows of the outbox with what they tell now: records are read afresh for every attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from pydantic import SecretStr

from journeys.consent import allows
from journeys.event import isoformat
from target_journeys.destinations.base import Delivery, Destination, Member
from target_journeys.forgotten import Forgotten
from target_journeys.rows import KEY_LENGTH, as_mapping, json_text, team_mapping
from target_journeys.seen import KEY_COLUMNS, told
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_outbox import Row
from target_journeys.stores.sqlite_schema import STAGE_COLUMNS, TEAM_COLUMNS

Stage = Sequence[object]
TEAM_KEY = TEAM_COLUMNS[:3]
ENTERED, CATEGORY = (STAGE_COLUMNS.index(name) for name in ("stage_entered_at", "category"))


@dataclass(frozen=True, slots=True)
class Described:
    """One row, and what its destination is told by it."""

    row: Row
    delivery: Delivery
    entered: str | None  # JSON: since when the stages are that it tells, by journey
    entered_or_in_doubt: str | None  # … or were, if what was told before is later
    about: str | None  # JSON: who the subject is


class ToldAs(msgspec.Struct, array_like=True):
    """What a row was told as, for as long as a job has it."""

    delivery_id: str
    op: str
    version: int
    entered: str | None

    @classmethod
    def of(cls, each: Described) -> str:
        """As JSON."""
        told = each.delivery
        return json_text([told.delivery_id, told.op, told.version, each.entered])


def as_accepted(each: Described) -> Described:
    """An accepted row as it was told, although it may have changed since."""
    was = msgspec.json.decode(each.row.told_as or "", type=ToldAs)
    delivery = each.delivery._replace(delivery_id=was.delivery_id, op=was.op, version=was.version)
    return replace(each, delivery=delivery, entered=was.entered)


def describe(
    store: SQLiteStore, name: str, destination: Destination, rows: Sequence[Row], now: datetime
) -> list[Described]:
    """These rows as deliveries to one destination."""
    keys = {row.number: msgspec.json.decode(row.key) for row in rows}
    subjects = {str(key[0]) for key in keys.values()}
    stages: dict[str, list[Stage]] = {}
    by_key: dict[Stage, Stage] = {}
    for stage in store.stages_of(subjects):
        stages.setdefault(str(stage[0]), []).append(stage)
        by_key[stage[:KEY_LENGTH]] = stage
    people = store.customers_of(subjects)
    forgotten = Forgotten(store) if any(row.op == "erase" for row in rows) else ()
    members = members_of(store, destination, people) if destination.with_members else {}
    events = [row.order_key for row in rows if row.kind == "transition"]
    latest = store.outbox.latest_entered(name, events) if events else {}
    at = isoformat(now)
    found = []
    for row in rows:
        key = keys[row.number]
        subject = str(key[0])
        known = people.get(subject)
        about = row.about if known is None else f'["{known[1]}",{known[2]}]'
        who, ids = msgspec.json.decode(about) if about else ("people", [subject])
        # Journeys of others may go with somebody who is forgotten; these others stay.
        is_forgotten = row.op == "erase" and who == "people" and subject in forgotten
        if is_forgotten:
            ids = [name for name in ids if name in forgotten]
        own = stages.get(subject, [])
        op, entered, in_doubt = row.op, {}, {}
        if row.kind == "transition":
            one = by_key.get(tuple(key[:KEY_LENGTH]))
            own = [] if one is None else [one]
            data = _transition(msgspec.json.decode(row.payload or "{}"), own)
            late = data["entered_at"] < latest.get(row.order_key, "")
        else:
            if destination.grain == "journey":
                one = by_key.get(tuple(key))
                own = [] if one is None else [one]
            own = [each for each in own if destination.wants(each[CATEGORY])]
            if row.op != "upsert":  # also of somebody who takes back the consent, or is forgotten
                own = []
            op = "upsert" if own else "delete"
            entered = {json_text(each[1:KEY_LENGTH]): each[ENTERED] for each in own}
            data = _data(destination, key, own, who)
            before = msgspec.json.decode(row.entered_at) if row.entered_at else {}
            late, in_doubt = False, entered
            if before:
                late = any(entered[each] < before[each] for each in entered.keys() & before.keys())
                in_doubt = before | {
                    each: max(since, before.get(each, since)) for each, since in entered.items()
                }
        text = f"journeys|{name}|{row.key}|{row.version}|{op}|{row.content}"
        delivery = Delivery(
            hashlib.sha256(text.encode()).hexdigest(),
            row.kind,
            op,
            row.key,
            row.version,
            at,
            data,
            correction=late,
            who=who,
            ids=tuple(ids),
            erased=is_forgotten,
            members=members.get(tuple(key[: len(TEAM_KEY)]), ()),
        )
        if row.kind == "transition":
            found.append(Described(row, delivery, None, None, about))
        else:
            both = json_text(entered), json_text(in_doubt)
            found.append(Described(row, delivery, *both, about))
    return found


def members_of(
    store: SQLiteStore, destination: Destination, customers: Mapping[str, Sequence[object]]
) -> dict[tuple[object, ...], tuple[Member, ...]]:
    """(account, grain, scope id) → who is in its buying team and may be told of, by all ids."""
    accounts = [subject for subject, row in customers.items() if row[1] == "accounts"]
    teams = [team_mapping(row) for row in store.teams_of(accounts)] if accounts else []
    names = {member["subject"] for team in teams for member in team["members"]}
    if (purpose := destination.purpose) is not None:
        consents = store.consents_of(names)
        names = {name for name in names if allows(consents.get(name, {}), purpose)}
    ids = {
        subject: tuple(msgspec.json.decode(str(row[2])))
        for subject, row in store.customers_of(names).items()
    }
    return {
        tuple(team[name] for name in TEAM_KEY): tuple(
            Member(
                ids.get(member["subject"], (member["subject"],)),
                tuple(role["role"] for role in member["roles"]),
            )
            for member in team["members"]
            if member["subject"] in names
        )
        for team in teams
    }


def _data(
    destination: Destination, key: Sequence[Any], own: Sequence[Stage], who: str
) -> dict[str, Any]:
    """What a record's row tells, under our own names."""
    seen = [told(record, destination.columns, who) for record in map(as_mapping, own)]
    if destination.grain == "customer":
        return {"subject": key[0], "journeys": seen}
    return seen[0] if seen else dict(zip(KEY_COLUMNS, key, strict=True))


def _transition(data: dict[str, Any], own: Sequence[Stage]) -> dict[str, Any]:
    """What a transition's row tells: the stage entered, and of its journey what stays true."""
    for stage in own:
        record = as_mapping(stage)
        data |= {name: record[name] for name in ("product", "category", "account")}
        steps = [(step[0], step[1]) for step in record["path"]]
        entered = (data["stage"], data["entered_at"])
        place = steps.index(entered) if entered in steps else 0
        data["previous_stage"] = steps[place - 1][0] if place else None
    return data


def requests_of(
    store: SQLiteStore, name: str, destination: Destination, rows: Sequence[Row], now: datetime
) -> list[dict[str, object]]:
    """The requests that would tell these rows, without headers, and without secrets in bodies."""
    described = describe(store, name, destination, rows, now)
    deliveries = [each.delivery for each in described if not destination.problem(each.delivery)]
    if not deliveries:
        return []
    request = destination.request(deliveries)
    body = request.data if isinstance(request.data, bytes) else msgspec.json.encode(request.json)
    text = masked(destination, body.decode())
    shown = text if isinstance(request.data, bytes) else msgspec.json.decode(text)
    return [{"method": request.method, "url": request.url, "body": shown}]


def masked(destination: Destination, text: str) -> str:
    """A JSON text without the secrets of a destination, where they are a value of their own."""
    for name in type(destination).model_fields:
        value = getattr(destination, name)
        if isinstance(value, SecretStr) and (secret := value.get_secret_value()):
            text = text.replace(json_text(secret), json_text(str(value)))
    return text
