"""Which event types tell more than that they happened: what a record looks at them for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from journeys.goals import GOALS
from journeys.metrics import METRICS, types_of
from journeys.repeats import CONTACTS, REPEATED
from journeys.roadblocks import MOVES, WAITS
from journeys.touches import FEEDBACK
from journeys.worth import CART, OPPORTUNITY

# Bits, so that an episode knows at once what need not be computed.
VALUE = 1
ANSWER = 2
GOAL = 4
CONTACT = 8
HINDRANCE = 16  # puts something in the way, or lets somebody wait
PROMISE = 32
OTHER = 64  # looked at only beside one of the others


def telling(data: Mapping[str, Any]) -> dict[str, int]:
    """Event type → what it is looked at for, by the settings of a stage model."""
    found: dict[str, int] = {}

    def add(types: Any, bit: int) -> None:
        for event_type in types:
            found[event_type] = found.get(event_type, 0) | bit

    add({*OPPORTUNITY, *CART, *data["purchases"], *data["renewals"]}, VALUE)
    add(FEEDBACK, ANSWER)
    add(GOALS, GOAL)
    add({*CONTACTS, REPEATED}, CONTACT)
    add(MOVES, OTHER)
    add([name for name, wait in MOVES.items() if wait in WAITS], HINDRANCE)
    add(["opportunity_stage_changed"], HINDRANCE)  # may name who is waited for
    for group in (data["defaults"], *data["categories"].values(), *data["products"].values()):
        for promise in filter(None, group.get("promises", {}).values()):
            add(promised(promise), PROMISE)
        for rule in filter(None, group.get("roadblocks", {}).values()):
            add(rule.get("opened_by", ()), HINDRANCE)
            add((*rule.get("closed_by", ()), *rule.get("moved_by", ())), OTHER)
    return found


def promised(promise: Mapping[str, Any]) -> frozenset[str]:
    """The event types that a promise, as set, looks at."""
    found = types_of(promise.get("from")) | types_of(promise.get("to"))
    found |= types_of(promise.get("count"))
    return found | METRICS[promise["metric"]].types if promise.get("metric") else found
