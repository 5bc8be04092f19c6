"""What of a customer moved no journey, and why; and what would move each one next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from journeys.event import JourneyEvent, isoformat
from journeys.fold import NO_PRODUCT, UNMAPPED_STAGE
from journeys.model import StageModel
from target_journeys.events import decode_many
from target_journeys.identities import COLUMN
from target_journeys.stores.sqlite import SQLiteStore

SUPERSEDED = "another event corrects it"
IMPRESSION = "an impression opens no journey"
UNKNOWN_TYPE = "the stage model does not know this event type"
REASONS = {  # of the store's own count → in words
    NO_PRODUCT: "it names no product",
    "item without product": "no link says which product its item is",
    UNMAPPED_STAGE: "the stage model has no stage for this CRM stage",
}
TYPES_SHOWN = 6  # that enter a stage; JSON has them all
STAGES_SHOWN = 3


def ignored(
    store: SQLiteStore, model: StageModel, kind: str, subject: str, ids: Iterable[str]
) -> list[dict[str, Any]]:
    """Counts by reason, event type and stream, each with the latest of these events.

    What the store could not attribute is counted by stream only and has no ``event_type``.
    """
    events = [
        event
        for _, bodies in store.events_of(COLUMN[kind], ids)
        if bodies is not None
        for event in decode_many(bodies)
    ]
    superseded = store.superseded_among(event.event_id for event in events)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for event in sorted(events, key=lambda each: each.occurred_at):
        why = reason(model, event, is_superseded=event.event_id in superseded)
        if why is None:
            continue
        group = found.setdefault(
            (why, event.event_type, event.source),
            {"why": why, "event_type": event.event_type, "source": event.source, "events": 0},
        )
        group["events"] += 1
        group |= {"source_key": event.source_key, "last_at": isoformat(event.occurred_at)}
    unresolved = [
        {"why": REASONS[why], "event_type": None, "source": stream, "events": count}
        for stream, why, count in store.doubts_of(subject)
        if why in REASONS
    ]
    return [*found.values(), *unresolved]


def reason(model: StageModel, event: JourneyEvent, *, is_superseded: bool) -> str | None:
    """Why an event moved nothing; None if it did, or may have."""
    meaning = model.meanings.get(event.event_type)
    if is_superseded:
        return SUPERSEDED
    if not event.scopes:
        return None  # about ids, or counted by the store
    if meaning is None:
        return UNKNOWN_TYPE
    return IMPRESSION if meaning.is_impression else None


def ignored_lines(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One line per group."""
    for each in found:
        what = f" {each['event_type']}" if each["event_type"] else " events"
        last = f", last {each['source_key']} of {each['last_at']}" if "last_at" in each else ""
        yield f"  ignored: {each['events']:,}{what} of {each['source']}{last}: {each['why']}"


def next_stages(model: StageModel, journey: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages ahead of an open journey in its category, and the event types that enter each."""
    if journey["outcome"] is not None or journey["stage"] not in model.rank:
        return []
    stages = model.category(journey["category"], journey["product"]).stages
    entered_by: dict[str, list[str]] = {}
    for name, meaning in model.meanings.items():
        if meaning.stage is not None:
            entered_by.setdefault(meaning.stage, []).append(name)
    here = model.rank[journey["stage"]]
    ahead = (stage.name for stage in model.stages[here + 1 :] if stage.name in stages)
    return [{"stage": name, "entered_by": entered_by.get(name, [])} for name in ahead]


def next_lines(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What enters the next stages, in words."""
    for each in list(found)[:STAGES_SHOWN]:
        types = each["entered_by"]
        if types:
            more = f" or {len(types) - TYPES_SHOWN} more" if len(types) > TYPES_SHOWN else ""
            yield f"  to {each['stage']}: {', '.join(types[:TYPES_SHOWN])}{more}"
