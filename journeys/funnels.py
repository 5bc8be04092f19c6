"""Declared funnels: how far a journey came through steps that have an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from journeys.event import JourneyEvent, isoformat


def funnels(
    declared: Mapping[str, Sequence[str]],
    events: Sequence[JourneyEvent],
    stays: Sequence[tuple[str, int]],
) -> tuple[dict[str, Any], ...]:
    """The steps that were reached, in order: a step counts once all before it came first.

    ``events`` are in order; ``stays``: each stage that was entered, and how many events came
    before.
    """
    return tuple(
        step for name, steps in declared.items() for step in reached(name, steps, events, stays)
    )


def reached(
    name: str,
    steps: Sequence[str],
    events: Sequence[JourneyEvent],
    stays: Sequence[tuple[str, int]],
) -> Iterator[dict[str, Any]]:
    """The steps of one funnel that were reached, each by the first event that could."""
    position = 0
    for place, event in enumerate(events):
        if event.event_type == steps[position]:
            yield {
                "funnel": name,
                "position": position,
                "step": event.event_type,
                "is_last": position == len(steps) - 1,
                "stage": stage_at(place, stays),
                "channel": event.channel,
                "at": isoformat(event.occurred_at),
                "event_id": event.event_id,
            }
            position += 1
            if position == len(steps):
                return


def stage_at(place: int, stays: Sequence[tuple[str, int]]) -> str:
    """Where the journey stood after its event at a place; before any stay, in the first."""
    found = stays[0][0] if stays else ""
    for stage, before in stays:
        if before > place:
            break
        found = stage
    return found
