"""What changed, as one destination sees it: which rows of the outbox come of changed records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

from journeys.consent import allows
from target_journeys.deliveries import CATEGORY
from target_journeys.destinations.base import Destination
from target_journeys.rows import KEY_LENGTH, json_text
from target_journeys.seen import picked
from target_journeys.stores.sqlite import SQLiteStore

Stage = Sequence[object]
Consents = Mapping[str, Mapping[str, bool]]  # person → purpose → given or withdrawn


def told_and_gone(
    store: SQLiteStore,
    destination: Destination,
    stages: Sequence[Stage],
    dropped: Sequence[Stage],
    barred: Collection[object],
) -> tuple[dict[str, str], list[str]]:
    """Key → what the destination would see of a changed record; keys of those that ended for it."""
    seen = seen_by(destination)
    if destination.grain == "customer":
        subjects = {str(row[0]) for row in (*stages, *dropped)}
        own: dict[str, list[str]] = {subject: [] for subject in sorted(subjects)}
        for row in store.stages_of(subjects - set(map(str, barred))):
            if destination.wants(row[CATEGORY]):
                own[str(row[0])].append(seen(row))
        told = {
            json_text([subject]): json_text(sorted(texts))
            for subject, texts in own.items()
            if texts
        }
        gone = [json_text([subject]) for subject, texts in own.items() if not texts]
    else:
        told, gone = {}, [record_key(row) for row in dropped]
        for stage in stages:
            key = record_key(stage)
            if destination.wants(stage[CATEGORY]) and stage[0] not in barred:
                told[key] = seen(stage)
            else:
                gone.append(key)
        gone = [key for key in gone if key not in told]
    return told, gone


def who_bars(destination: Destination, consents: Consents) -> frozenset[str]:
    """The people who did not consent to what a destination is for."""
    if destination.purpose is None:
        return frozenset()
    return frozenset(
        who for who, given in consents.items() if not allows(given, destination.purpose)
    )


def record_key(row: Stage) -> str:
    """A record's key as text: subject, grain, scope id and episode as a JSON list."""
    return json_text(row[:KEY_LENGTH])


def transition(name: str, visit: Stage) -> tuple[object, ...]:
    """The outbox row of one stage entered."""
    subject, grain, scope, episode, _, stage, entered_at, cycle, event_id = visit
    key = json_text([subject, grain, scope, episode, stage, entered_at, event_id])
    payload = json_text(
        {
            "subject": subject,
            "scope_grain": grain,
            "scope_id": scope,
            "episode": episode,
            "stage": stage,
            "entered_at": entered_at,
            "cycle": cycle,
            "event_id": event_id,
        }
    )
    return name, "transition", key, "append", digest(payload), payload, record_key(visit)


def seen_by(destination: Destination) -> Callable[[Stage], str]:
    """A text of a stage row that changes when, and only when, the destination sees a change."""
    pick = picked(destination.sees())
    shape = json_text(destination.shape())
    return lambda row: shape + json_text(pick(row))


def digest(text: str) -> str:
    """32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
