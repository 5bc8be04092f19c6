"""What a journey was like, in words: what stands in the way, what was promised, what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

WHOSE = {"us": "ours", "them": "theirs", "third_party": "a third party's"}
MOVES = {
    "waiting_on_us": "it is our move",
    "waiting_on_customer": "it is the customer's move",
    "stalled": "it has stood still for longer than it should",
    "detoured": "it has to come back to where it was",
}
PROMISES_SHOWN = 10  # of a journey, the latest; JSON has them all


def evidence_ids(journey: Mapping[str, Any]) -> Iterator[str]:
    """The events behind what a journey was like."""
    for roadblock in journey["roadblocks"] or ():
        yield roadblock["event_id"]
    for promise in journey["promises"] or ():
        yield from promise["event_ids"]
    if journey["goal"]:
        yield journey["goal"]["event_id"]


def with_evidence(journey: dict[str, Any], evidence: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the events behind it beside each roadblock, promise and goal, as ``by``."""
    for each in (*(journey["roadblocks"] or ()), *filter(None, [journey["goal"]])):
        each["by"] = evidence.get(each["event_id"], {"event_id": each["event_id"]})
    for promise in journey["promises"] or ():
        promise["by"] = [evidence.get(name, {"event_id": name}) for name in promise["event_ids"]]


def experience(journey: Mapping[str, Any]) -> Iterator[str]:
    """Lines for people about one journey."""
    for each in journey["roadblocks"] or ():
        whose = WHOSE[each["owner"]]
        if each["until"] is None:
            yield f"  in the way: {each['type']} since {each['since']}, {whose}, {source(each)}"
        else:
            yield f"  was in the way: {each['type']} from {each['since']} to {each['until']}"
    promises = journey["promises"] or ()
    for each in promises[-PROMISES_SHOWN:]:
        yield f"  promise '{each['promise']}': {kept(each)}"
    if len(promises) > PROMISES_SHOWN:
        yield f"  … and {len(promises) - PROMISES_SHOWN:,} earlier promises: see --json"
    if journey["goal"]:
        yield f"  goal: {goal(journey['goal'])}"
    if journey["detours"]:
        found = journey["detours"]
        yield (
            f"  detours: {found['backward']} moves back, {found['loops']} stages again, "
            f"{found['days']:g} days"
        )
    if journey["repeats"]:
        yield f"  had to say the same again: {len(journey['repeats'])} times"
    if journey["last_step"]:
        step = journey["last_step"]
        by = f" by {step['channel']}" if step["channel"] else ""
        yield f"  last step: {step['event_type']}{by}, {step['at']}"
    if journey["value"]:
        value = journey["value"]
        yield f"  worth {value['amount']} {value['currency'] or ''}".rstrip()
    if journey["visibility"]:
        yield f"  {journey['visibility']['dark_share']:.0%} of its days in the dark"
    yield from what_moves_it(journey)


def what_moves_it(journey: Mapping[str, Any]) -> Iterator[str]:
    """What would move an open journey next."""
    if journey["outcome"] is not None:
        return
    ways = []
    standing = [each for each in journey["roadblocks"] or () if each["until"] is None]
    if journey["condition"] == "blocked" and standing:
        ways.append(f"{standing[0]['type']} has to go ({WHOSE[standing[0]['owner']]})")
    elif journey["condition"] in MOVES:
        ways.append(MOVES[journey["condition"]])
    due = [each["due_at"] for each in journey["promises"] or () if each["state"] == "open"]
    if any(due):
        ways.append(f"a promise falls due {min(filter(None, due))}")
    if journey["next_check_at"]:
        ways.append(f"time alone may change it {journey['next_check_at']}")
    if ways:
        yield f"  what moves it next: {'; '.join(ways)}"


def kept(promise: Mapping[str, Any]) -> str:
    """What became of a promise."""
    about = f"{promise['state']}, from {promise['started_at']}"
    if promise["due_at"]:
        about += f", due {promise['due_at']}"
        if promise["measured"] is not None:
            about += f", took {length(promise['measured'])}"
    elif promise["measured"] is not None:
        about += f", was {promise['measured']:g}"
    return f"{about}, {source({'by': promise['by'][-1]})}"


def goal(found: Mapping[str, Any]) -> str:
    """What the customer wanted, and whether it was reached."""
    name = found["goal"] or "unnamed"
    if found["state"] == "met":
        return f"{name}, met {found['met_at']} after {found['days']:g} days"
    return f"{name}, {found['state']}, stated {found['stated_at']}"


def length(minutes: float) -> str:
    """Minutes, hours or days, whichever reads best."""
    for unit, size in (("days", 1440), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{minutes / size:.1f} {unit}"
    return f"{minutes:g} minutes"


def source(found: Mapping[str, Any]) -> str:
    """The way back to the record behind it."""
    by = found["by"]
    return f"by {by.get('source', 'an event')} {by.get('source_key') or by['event_id']}"
