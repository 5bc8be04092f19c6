"""What happened in a journey: touches stage by stage, how much of it is seen, what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from journeys.event import JourneyEvent
from journeys.record import Visit

FEEDBACK: Mapping[str, str] = {
    "nps_answered": "nps",
    "csat_answered": "csat",
    "ces_answered": "ces",
}
UNKNOWN_CHANNEL = "unknown"
PROVIDER = frozenset({"owned", "partner"})  # whose touchpoints are ours to see
SHARE_DIGITS = 4

Touch = tuple[JourneyEvent, str]  # and the stage in which the journey was after it
Counts = dict[str, dict[str, dict[str, int]]]  # stage → channel → event type → how many


class Seen(NamedTuple):
    """What all touches of a journey come to."""

    touches: Counts
    visibility: dict[str, Any]


def seen(
    events: Sequence[JourneyEvent],
    path: Sequence[Visit],
    starts: Sequence[int],
    lit_days: int,
    jumps: int,
) -> Seen:
    """Touches by stage, channel and type; whose they were, how we know, and what stays dark.

    ``events`` are in order and not empty; ``starts``: how many of them came before each visit of
    the path. The dark share is that of the days, in UTC, without an observed touch of
    ours or a partner's in the ``lit_days`` up to it; ``jumps`` are the stages that were passed
    without evidence. Written for speed: it is done for every event there is.
    """
    found: Counts = {}
    others: list[JourneyEvent] = []
    first_day = lit_until = events[0].occurred_at.toordinal()
    lit = 0
    ends = iter((*starts[1:], len(events)))
    for visit, start, end in zip(path, starts, ends, strict=True):
        if start == end:
            continue  # time alone moved it on
        channels = found.setdefault(visit.stage, {})
        of_channel: str | None = ""  # no event has this one
        types: dict[str, int] = {}
        for event in events[start:end]:
            channel, event_type = event.channel, event.event_type
            if channel != of_channel:
                of_channel = channel
                types = channels.setdefault(channel or UNKNOWN_CHANNEL, {})
            types[event_type] = types.get(event_type, 0) + 1
            if event.visibility != "owned" or event.observability != "observed":
                others.append(event)
                if event.visibility not in PROVIDER or event.observability != "observed":
                    continue
            day = event.occurred_at.toordinal()
            if day + lit_days > lit_until:
                lit += lit_days if day >= lit_until else day + lit_days - lit_until
                lit_until = day + lit_days
    after = events[-1].occurred_at.toordinal() + 1
    lit -= max(0, lit_until - after)
    count = len(events) - len(others)
    visibility = {
        "owned": count,
        "partner": 0,
        "earned": 0,
        "third_party": 0,
        "buyer_internal": 0,
        "observed": count,
        "reported": 0,
        "inferred": 0,
        "dark_share": round(1 - lit / (after - first_day), SHARE_DIGITS),
        "jumps": jumps,
    }
    for event in others:
        visibility[event.visibility] += 1
        visibility[event.observability] += 1
    return Seen(found, visibility)


def last_step(event: JourneyEvent) -> dict[str, Any]:
    """The step that a journey ended with, or waits after."""
    return {
        "event_type": event.event_type,
        "channel": event.channel,
        "at": event.occurred_at,
        "event_id": event.event_id,
    }


def feedback(watched: Iterable[Touch]) -> tuple[dict[str, Any], ...]:
    """What was answered, when, and where the journey stood then."""
    return tuple(
        {
            "kind": FEEDBACK[event.event_type],
            "score": number(event.properties.get("score")),
            "scale": number(event.properties.get("scale")),
            "stage": stage,
            "channel": event.channel,
            "at": event.occurred_at,
            "event_id": event.event_id,
        }
        for event, stage in watched
        if event.event_type in FEEDBACK
    )


def number(value: object) -> float | None:
    """A property as a number; None where it is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)  # type: ignore[arg-type]  # that is what is tried
    except (TypeError, ValueError):
        return None
    return found if abs(found) < float("inf") else None
