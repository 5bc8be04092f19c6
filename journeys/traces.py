"""The way back from a gap: whether a journey met it, and the events that show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from journeys.measures import Counting, Journey, bucket_of, measures, scored
from journeys.tallies import Spot, is_good, spots

STEP_SEPARATOR = ": "  # between a funnel and its step


def met(journey: Journey, spot: Spot, how: Counting, period: str) -> bool:
    """Whether a journey counts as a mishap of a spot in a period; not for dwell, see ``slow``."""
    return any(
        key[-1] == period and found == spot and mishap
        for key in measures(journey, how)[0]
        for found, (_, mishap) in spots(key)
    )


def slow(journey: Journey, spot: Spot, how: Counting, period: str, limit: float) -> bool:
    """Whether a stay of the spot's stage that went on took longer than a limit, in seconds."""
    if spot.persona and journey.persona != spot.persona:
        return False
    for _, name, bucket, _, stage, _, _, at in measures(journey, how)[0]:
        way, _, length = bucket.rpartition("|")
        here = (name, stage, at) == ("stay", spot.stage, period)
        if here and way.startswith("progress") and int(length) >= bucket_of(limit):
            return True
    return False


def step_of(spot: Spot) -> str | None:
    """The event type that a spot is about, where it is about one."""
    if spot.type not in ("drop_off", "detour") or not spot.topic:
        return None
    return spot.topic.rpartition(STEP_SEPARATOR)[2].removesuffix(" again")


def evidence(journey: Journey, spot: Spot) -> list[str]:
    """The events of the record that show it, in order: moves, promises, answers, roadblocks."""
    found = dict.fromkeys(str(event_id) for event_id in _evidence(journey, spot) if event_id)
    return list(found)


def _evidence(journey: Journey, spot: Spot) -> Iterator[Any]:
    if spot.type == "promise":
        for promise in journey.promises:
            if promise["promise"] == spot.topic and promise["state"] == "missed":
                yield from promise.get("event_ids") or () if _is_at(promise, spot) else ()
    elif spot.type == "feedback":
        for answer in journey.feedback:
            if answer["kind"] == spot.topic and answer.get("score") is not None:
                text = scored(answer["score"], answer.get("scale"))
                if _is_at(answer, spot) and not is_good(spot.topic, text):
                    yield answer["event_id"]
    elif spot.type == "roadblock":
        for block in journey.roadblocks:
            if block["type"] == spot.topic and _is_at(block, spot):
                yield block["event_id"]
    elif spot.type == "repeat":
        for repeat in journey.repeats:
            if _is_at(repeat, spot):
                yield repeat["event_id"]
    else:
        yield from _moves(journey, spot.stage)


def _moves(journey: Journey, stage: str) -> Iterator[Any]:
    """What brought a journey into a stage and out of it again; of no stage, every move."""
    for place, visit in enumerate(journey.path):
        if stage in ("", visit[0]):
            yield visit[2]
            if place + 1 < len(journey.path):
                yield journey.path[place + 1][2]
    if journey.last_step is not None and stage in ("", journey.stage):
        yield journey.last_step["event_id"]


def _is_at(occasion: Mapping[str, Any], spot: Spot) -> bool:
    return spot.stage in ("", occasion.get("stage")) and spot.channel in (
        "",
        occasion.get("channel"),
    )
