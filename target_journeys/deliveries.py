"""Rows of the outbox with what they tell now: records are read afresh for every attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from journeys.event import isoformat
from target_journeys.destinations.base import KEY_COLUMNS, Delivery, Destination
from target_journeys.rows import KEY_LENGTH, as_mapping, json_text
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_outbox import Row
from target_journeys.stores.sqlite_schema import STAGE_COLUMNS

Stage = Sequence[object]
ENTERED, CATEGORY = (STAGE_COLUMNS.index(name) for name in ("stage_entered_at", "category"))


@dataclass(frozen=True, slots=True)
class Described:
    """One row, and what its destination is told by it."""

    row: Row
    delivery: Delivery
    entered: str | None  # JSON: since when the stages are that it tells, by journey
    entered_or_in_doubt: str | None  # … or were, if what was told before is later
    about: str | None  # JSON: who the subject is


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
    events = [row.order_key for row in rows if row.kind == "transition"]
    latest = store.outbox.latest_entered(name, events) if events else {}
    at = isoformat(now)
    found = []
    for row in rows:
        key = keys[row.number]
        subject = str(key[0])
        known = people.get(subject)
        about = row.about if known is None else f'["{known[1]}",{known[2]}]'
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
            data = _data(destination, key, own)
            told = msgspec.json.decode(row.entered_at) if row.entered_at else {}
            late, in_doubt = False, entered
            if told:
                late = any(entered[each] < told[each] for each in entered.keys() & told.keys())
                in_doubt = told | {
                    each: max(since, told.get(each, since)) for each, since in entered.items()
                }
        who, ids = msgspec.json.decode(about) if about else ("people", [subject])
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
        )
        if row.kind == "transition":
            found.append(Described(row, delivery, None, None, about))
        else:
            both = json_text(entered), json_text(in_doubt)
            found.append(Described(row, delivery, *both, about))
    return found


def _data(destination: Destination, key: Sequence[Any], own: Sequence[Stage]) -> dict[str, Any]:
    """What a record's row tells, under our own names."""
    sees = destination.columns
    seen = [{name: record[name] for name in sees} for record in map(as_mapping, own)]
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
    """The requests that would tell these rows, without their headers, which hold secrets."""
    described = describe(store, name, destination, rows, now)
    deliveries = [each.delivery for each in described if not destination.problem(each.delivery)]
    if not deliveries:
        return []
    request = destination.request(deliveries)
    body = request.data.decode() if isinstance(request.data, bytes) else request.json
    return [{"method": request.method, "url": request.url, "body": body}]
