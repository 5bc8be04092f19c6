"""Maps, and what changed between two, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NOTHING_YET = "There are no maps yet: run a sync with `experience.enabled`."


def overview_lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """Every category and persona that has maps, and whether a look is due."""
    for each in found:
        who = f", {each['persona']}" if each["persona"] else ""
        due = "review is due" if each["review_due"] else f"reviewed {each['reviewed_at'][:10]}"
        yield f"{each['category'] or '(no category)'}{who}: up to {each['latest']}, {due}"
    if not found:
        yield NOTHING_YET


def map_lines(drawn: dict[str, Any]) -> Iterator[str]:
    """A map as a page of text."""
    journeys, seen = drawn["journeys"], drawn["visibility"]
    who = drawn["persona"] or "all personas"
    yield f"{drawn['category'] or '(no category)'}, {drawn['period']}, {who}"
    ends = ", ".join(f"{n:,} {name}" for name, n in journeys["outcomes"].items())
    yield f"  {journeys['all']:,} journeys began: {journeys['open']:,} open{ends and ', '}{ends}"
    yield f"  conversion {rate(drawn['conversion'])}; retention {rate(drawn['retention'])}"
    for name, answer in drawn["answers"].items():
        low, high = answer["low"], answer["high"]
        yield f"  {name} {answer['value']:g} ({low:g} to {high:g}, n {answer['n']:,})"
    for stop in drawn["stages"]:
        dwell = stop["dwell_days"]
        days = f"; {dwell['p50']:g} days, nine in ten {dwell['p90']:g}" if dwell["n"] else ""
        yield ""
        yield f"  {stop['stage']}: {stop['entered']:,} entered, {stop['open']:,} are there{days}"
        yield f"    went on {rate(stop['progress'])}"
        if stop["lost"]:
            yield "    lost: " + ", ".join(f"{n:,} {name}" for name, n in stop["lost"].items())
        if stop["conditions"]:
            yield "    now: " + ", ".join(f"{n:,} {name}" for name, n in stop["conditions"].items())
        if stop["actions"]:
            acts = (
                f"{each['event_type']} ({each['channel']}) {each['journeys']:,}"
                for each in stop["actions"][:5]
            )
            yield "    did: " + ", ".join(acts)
        if stop["pain_points"]:
            pains = (
                f"{each['what']} ({each['kind']}) {each['count']:,}"
                for each in stop["pain_points"][:5]
            )
            yield "    pains: " + ", ".join(pains)
        for name, promise in stop["promises"].items():
            yield f"    promise {name}: kept {rate(promise)}, {promise['open']:,} still open"
    ways = drawn["variants"]
    if ways["n"]:
        commonest = " > ".join(ways["most"][0]["stages"])
        yield ""
        yield f"  {ways['distinct']:,} ways; the commonest is {commonest}:"
        exactly, near = ways["representativeness"], ways["near"]
        yield f"    {exactly:.0%} took exactly it, {near:.0%} differ by one stage at most"
    yield ""
    dark = "unknown" if seen["dark_share"] is None else f"{seen['dark_share']:.0%}"
    events = ", ".join(f"{name} {n:,}" for name, n in seen["events"].items() if n)
    yield f"  unseen: dark share {dark}; {seen['jumps']:,} stages passed without evidence;"
    yield f"    {rate(seen['censored'])} of the stays are not over; events: {events or 'unknown'}"


def change_lines(found: dict[str, Any]) -> Iterator[str]:
    """What changed between two maps."""
    yield f"from {found['before']['period']} to {found['after']['period']}"
    for each in found["changes"]:
        yield (
            f"  {each['what']}: {each['before']:.1%} (n {each['n_before']:,}) to "
            f"{each['after']:.1%} (n {each['n_after']:,}), {each['difference']:+.1%} "
            f"({each['low']:+.1%} to {each['high']:+.1%})"
        )
    if not found["changes"]:
        yield "  no share changed beyond chance"
    drifted = found["drift"]
    if drifted is not None:
        yield (
            f"  the ways have drifted by {drifted['divergence']:.4f} of 1 (Jensen-Shannon); "
            f"by chance alone p {drifted['p']:.3g}"
        )


def rate(found: dict[str, Any]) -> str:
    """A share with its interval."""
    if found["value"] is None or not found["n"]:
        return "of none"
    return f"{found['value']:.0%} ({found['low']:.0%} to {found['high']:.0%} of {found['n']:,})"
