"""Promises to customers: each time one was due, whether it was kept, with the events behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from journeys.event import JourneyEvent
from journeys.metrics import Metric, metric_of, said
from journeys.roadblocks import key_of, matches
from journeys.touches import Touch, number

MINUTE = timedelta(minutes=1)
MINUTES_DIGITS = 2
DATES = ("promised_at", "promised_on")  # properties that say by when
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise of a category: what is measured, what is owed, and to whom."""

    name: str
    metric: Metric
    within: timedelta | None
    at_least: float | None
    at_most: float | None
    target: float  # share of the occasions in which it is to be kept
    weight: float
    scope: Mapping[str, Sequence[str]]  # stage, channel, persona, priority → those it is made to

    def is_made(self, event: JourneyEvent, stage: str) -> bool:
        """Whether it is made to a customer at this event."""
        priority = event.properties.get("priority")
        given = {
            "stage": stage,
            "channel": event.channel,
            "priority": None if priority is None else str(priority).casefold(),
        }
        return all(value in self.scope[name] for name, value in given.items() if name in self.scope)


@dataclass(slots=True)
class Occasion:
    """One time that a promise is due, while its events go by."""

    key: str | None
    stage: str
    channel: str | None
    started_at: datetime
    due_at: datetime | None
    event_ids: list[str]
    ended_at: datetime | None = None
    count: int = 0
    dated: bool = False
    ended_by: str | None = None
    measured: bool = False  # the source itself says how long it took

    def note(self, event: JourneyEvent) -> None:
        """Keep an event as evidence, once."""
        if event.event_id not in self.event_ids:
            self.event_ids.append(event.event_id)


class Told(NamedTuple):
    """The promises of a journey at a moment."""

    occasions: tuple[dict[str, Any], ...]
    next_check_at: datetime | None  # when time alone decides one
    decided_at: datetime | None  # when time alone decided the last one


NONE_TOLD = Told((), None, None)


def told(
    promises: Iterable[Promise],
    watched: Sequence[Touch],
    repeated: Sequence[Mapping[str, Any]],
    repeat_window: timedelta,
    as_of: datetime,
) -> Told:
    """What became of every promise; one that is not due yet is open, never kept."""
    found: list[dict[str, Any]] = []
    checks: list[datetime] = []
    decided: list[datetime] = []
    for promise in promises:
        kind = promise.metric.kind
        if kind == "value":
            found += _values(promise, watched)
            continue
        if kind == "never":
            window = promise.within or repeat_window
            occasions = list(_undisturbed(promise, watched, repeated, window))
        else:
            occasions = _occasions(promise, watched)
        for each in occasions:
            state, measured = _judged(promise, each, as_of)
            if state is None:
                continue
            if each.due_at is not None and state == "open":
                checks.append(each.due_at)
            if each.due_at is not None and each.due_at <= as_of and each.ended_at is None:
                decided.append(each.due_at)
            found.append(_described(promise, each, state, measured))
    found.sort(key=lambda each: (each["started_at"], each["promise"], each["event_ids"]))
    return Told(tuple(found), min(checks, default=None), max(decided, default=None))


def _occasions(promise: Promise, watched: Sequence[Touch]) -> list[Occasion]:
    """Every time that a promise from one event to another was due."""
    metric = promise.metric
    found: list[Occasion] = []
    by_key: dict[str | None, Occasion] = {}
    for event, stage in watched:
        kind = said(event)
        key = key_of(event, metric.per)
        known = by_key.get(key)
        if key is not None and known is not None:
            meant = [known]
        else:
            meant = [each for each in by_key.values() if matches(each.key, key)]
        for each in meant:
            _take(promise, each, event, kind)
            if kind in metric.ended_by:
                _end(each, event, event.occurred_at)
        if kind in metric.dropped_by:
            for each in meant:
                if each.ended_at is None:
                    del by_key[each.key]
                    found.remove(each)
        is_new = known is None or (key is None and known.ended_at is not None)
        if kind in metric.begun_by and is_new and promise.is_made(event, stage):
            at = event.occurred_at
            due = None if promise.within is None else at + promise.within
            new = Occasion(key, stage, event.channel, at, due, [event.event_id])
            _take(promise, new, event, kind)
            by_key[key] = new
            found.append(new)
    return found


def _take(promise: Promise, each: Occasion, event: JourneyEvent, kind: str) -> None:
    """Let one event date an occasion, count for it, undo its end, or say what was measured."""
    metric = promise.metric
    if event.event_type in metric.dated_by and not each.dated:
        date = promised_date(event)
        if date is not None:
            each.due_at, each.dated = date, True
    if kind in metric.counted:
        each.count += 1
        each.note(event)
    if kind in metric.undone_by and each.ended_at is not None:
        each.ended_at = None
        if each.ended_by in each.event_ids:
            each.event_ids.remove(str(each.ended_by))
    if metric.measure is not None:
        minutes = number(event.properties.get(metric.measure))
        if minutes is not None and not each.measured:
            each.ended_at, each.measured = None, True
            _end(each, event, each.started_at + minutes * MINUTE)


def _end(each: Occasion, event: JourneyEvent, at: datetime) -> None:
    """Note the end of an occasion, unless it has ended already."""
    if each.ended_at is None:
        each.ended_at, each.ended_by = at, event.event_id
        each.note(event)


def _judged(promise: Promise, each: Occasion, as_of: datetime) -> tuple[str | None, float | None]:
    """Kept, missed or open, and what was measured; None where nothing was owed."""
    if promise.metric.kind == "count":
        if promise.at_most is not None and each.count > promise.at_most:
            return "missed", each.count
        if each.ended_at is None:
            return "open", each.count
        enough = promise.at_least is None or each.count >= promise.at_least
        return "kept" if enough else "missed", each.count
    if each.due_at is None:
        return None, None
    if each.ended_at is not None:
        minutes = round((each.ended_at - each.started_at) / MINUTE, MINUTES_DIGITS)
        never = promise.metric.kind == "never"
        kept = not never and each.ended_at <= each.due_at
        return "kept" if kept else "missed", minutes
    if as_of < each.due_at:
        return "open", None
    return ("kept" if promise.metric.kind == "never" else "missed"), None


def _undisturbed(
    promise: Promise,
    watched: Iterable[Touch],
    repeated: Sequence[Mapping[str, Any]],
    window: timedelta,
) -> Iterator[Occasion]:
    """Contacts after each of which the customer is not to say the same again for a while."""
    for event, stage in watched:
        if event.event_type not in promise.metric.begun_by or not promise.is_made(event, stage):
            continue
        at = event.occurred_at
        each = Occasion(None, stage, event.channel, at, at + window, [event.event_id])
        for repeat in repeated:
            if at < repeat["at"] <= at + window:
                each.ended_at = repeat["at"]
                each.event_ids.append(repeat["event_id"])
                break
        yield each


def _values(promise: Promise, watched: Iterable[Touch]) -> Iterator[dict[str, Any]]:
    """Promises about what one event says: a score, a wait."""
    at_most = promise.at_most
    if at_most is None and promise.within is not None:
        at_most = promise.within / MINUTE
    for event, stage in watched:
        if event.event_type not in promise.metric.begun_by or not promise.is_made(event, stage):
            continue
        measured = number(event.properties.get(str(promise.metric.measure)))
        if measured is None:
            continue
        kept = (promise.at_least is None or measured >= promise.at_least) and (
            at_most is None or measured <= at_most
        )
        at = event.occurred_at
        each = Occasion(None, stage, event.channel, at, None, [event.event_id], ended_at=at)
        yield _described(promise, each, "kept" if kept else "missed", measured)


def _described(
    promise: Promise, each: Occasion, state: str, measured: float | None
) -> dict[str, Any]:
    return {
        "promise": promise.name,
        "stage": each.stage,
        "channel": each.channel,
        "state": state,
        "started_at": each.started_at,
        "due_at": each.due_at,
        "ended_at": each.ended_at,
        "measured": measured,
        "event_ids": list(each.event_ids),
    }


def promised_date(event: JourneyEvent) -> datetime | None:
    """By when an event promises something; a date without a time means the end of that day."""
    for name in DATES:
        value = event.properties.get(name)
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            continue
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        is_date = len(str(value)) <= len("2026-01-01")
        return found.astimezone(UTC) + (DAY if is_date else timedelta())
    return None


def for_persona(
    promises: Iterable[Promise], occasions: Iterable[Mapping[str, Any]], persona: str | None
) -> tuple[Mapping[str, Any], ...]:
    """The occasions of the promises that are made to a persona."""
    others = {
        promise.name
        for promise in promises
        if "persona" in promise.scope and persona not in promise.scope["persona"]
    }
    return tuple(each for each in occasions if each["promise"] not in others)


def promises_of(data: Mapping[str, Mapping[str, Any] | None]) -> tuple[Promise, ...]:
    """Promises from settings; one that is null is not made."""
    return tuple(
        Promise(
            name,
            metric_of(each),
            each.get("within"),
            each.get("at_least"),
            each.get("at_most"),
            each.get("target", 1.0),
            each.get("weight", 1.0),
            {
                key: tuple(value.casefold() if key == "priority" else value for value in values)
                for key, values in each.get("scope", {}).items()
            },
        )
        for name, each in data.items()
        if each is not None and ("metric" in each or "from" in each)
    )
