"""Why a journey stands where it stands: the evidence, in order, from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from journeys.model import StageModel
from target_journeys.explain_experience import evidence_ids, experience, with_evidence
from target_journeys.explain_ignored import ignored, ignored_lines, next_lines, next_stages
from target_journeys.identities import ACCOUNTS, PEOPLE
from target_journeys.outlooks import Outlooks
from target_journeys.rows import as_mapping, team_mapping
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.suggestions import Suggestions

EVIDENCE_FIELDS = ("event_id", "event_type", "occurred_at", "source", "source_key")
NEXT_SHOWN = 3
OWNED = frozenset({"receiving", "onboarding", "using", "renewing"})
LINKS_SHOWN = 20  # of each state, in words; JSON has them all
LINK_WORDS = {"joined": "is", "unlinked": "is no longer", "refused": "is not joined with"}


def explain(
    store: SQLiteStore,
    subject: str,
    product: str | None = None,
    ahead: Outlooks | None = None,
    model: StageModel | None = None,
) -> dict[str, Any]:
    """Everything known of a subject, or of one of its journeys.

    ``subject`` may be any id of the person or account; ``product`` an id, name or alias, or a
    category. Keys: ``subject``, ``ids``, ``links``, ``touchpoints``, ``journeys``, ``teams``; each
    journey is its stage record with ``steps``: the visits with the events behind them, and, if
    ``ahead`` is given, its ``outlook`` and ``suggestions``. With a ``model`` there are also
    ``ignored``: what moved no journey, of all products, and the ``next_stages`` of each. An unknown
    subject has no journeys.
    """
    kind, canonical = who(store, subject)
    ids = sorted({name for _, name in store.identities.group(kind, [canonical])} | {canonical})
    view = store.customers_of([canonical]).get(canonical)
    rows = sorted(store.stages_of([canonical]), key=lambda row: row[:4])
    journeys = [as_mapping(row) for row in rows]
    if product is not None:
        meant = {product} | store.product_ids(product)
        journeys = [
            journey
            for journey in journeys
            if meant & {journey["scope_id"], journey["product"], journey["category"]}
        ]
    moved_by = {step[2] for journey in journeys for step in journey["path"]}
    moved_by.update(name for journey in journeys for name in evidence_ids(journey))
    evidence = {event["event_id"]: event for event in events(store.bodies_of(moved_by))}
    teams = teams_of(store, canonical, product)
    shown = [*journeys, *teams]
    names = store.product_names([each["product"] for each in shown if each["product"]])
    for team in teams:
        team["product_name"] = names.get(team["product"])
    suggestions, owned = Suggestions(store), owned_in(rows)
    for journey in journeys:
        journey["product_name"] = names.get(journey["product"])
        journey["outlook"] = ahead and ahead.of(journey)
        journey["next_stages"] = next_stages(model, journey) if model else []
        journey["suggestions"] = suggestions.of(journey, owned) if ahead else []
        with_evidence(journey, evidence)
        journey["steps"] = [
            {
                "stage": stage,
                "entered_at": entered_at,
                "cycle": cycle,
                "by": evidence.get(event_id, {"event_type": event_id}),
            }
            for stage, entered_at, event_id, cycle in journey.pop("path")
        ]
    return {
        "subject": canonical,
        "ids": ids,
        "links": links_of(store, kind, ids),
        "touchpoints": view[6] if view else 0,
        "ignored": ignored(store, model, kind, canonical, ids) if model else [],
        "journeys": journeys,
        "teams": teams,
    }


def teams_of(store: SQLiteStore, account: str, product: str | None) -> list[dict[str, Any]]:
    """The buying teams of an account, each role with the event behind it."""
    found = [team_mapping(row) for row in sorted(store.teams_of([account]), key=lambda r: r[:3])]
    if product is not None:
        meant = {product} | store.product_ids(product)
        found = [team for team in found if meant & {team["scope_id"], team["category"]}]
    roles = [role for team in found for member in team["members"] for role in member["roles"]]
    said = {role["event_id"] for role in roles}
    evidence = {event["event_id"]: event for event in events(store.bodies_of(said))}
    for role in roles:
        event_id = role.pop("event_id")
        role["evidence"] = evidence.get(event_id, {"event_id": event_id})
    return found


def who(store: SQLiteStore, name: str) -> tuple[str, str]:
    """Whether an id is a person's or an account's, and its canonical id."""
    for kind in (PEOPLE, ACCOUNTS):
        found = store.identities.canonical(kind, [name])
        if found:
            return kind, found[name]
    view = store.customers_of([name]).get(name)
    return (str(view[1]) if view else PEOPLE), name


def links_of(store: SQLiteStore, kind: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """What joins, keeps apart or parted these ids and others, in order of time."""
    found = []
    rows = store.identities.links_of(kind, ids)
    said = {
        name
        for row in rows.values()
        for name in (row.pair.tie and row.pair.tie.event_id, (row.pair.unlinked or ("", None))[1])
        if name
    }
    evidence = {event["event_id"]: event for event in events(store.bodies_of(said))}
    for (low, high), row in rows.items():
        tie, unlinked = row.pair.tie, row.pair.unlinked
        if tie is not None:
            state = "refused" if row.refused else "joined"
            left, right, event_id = tie.left, tie.right, tie.event_id
        else:
            assert unlinked is not None
            state, event_id = "unlinked", unlinked[1]
            left, right = low, high
        by = evidence.get(event_id, {"event_id": event_id, "occurred_at": ""})
        found.append(
            {"state": state, "left": left, "linked": right, "reason": row.refused, "by": by}
        )
    return sorted(found, key=lambda link: (link["by"]["occurred_at"], link["by"]["event_id"]))


def events(bodies: list[str]) -> Iterator[dict[str, Any]]:
    """What leads back to the source, of stored events."""
    for body in bodies:
        event = msgspec.json.decode(body)
        yield {name: event.get(name) for name in EVIDENCE_FIELDS}


def overview(found: Mapping[str, Any]) -> Iterator[str]:
    """One line per journey: the headlines side by side, never an average."""
    yield from person(found)
    width = max((len(name_of(journey)) for journey in found["journeys"]), default=0)
    for journey in sorted(found["journeys"], key=lambda j: (j["outcome"] is not None, name_of(j))):
        yield (f"  {label(journey):<16} {name_of(journey):<{width}}  {standing(journey)}")
    if not found["journeys"]:
        yield "  no journeys"
    yield f"  {found['touchpoints']} touchpoints without a product"
    yield from ignored_lines(found["ignored"])


def detail(found: Mapping[str, Any]) -> Iterator[str]:
    """Each journey with the events that moved it, in order."""
    yield from person(found)
    for journey in found["journeys"]:
        place = f", {journey['category']}" if journey["category"] else ""
        yield ""
        yield f"{name_of(journey)}{place}, episode {journey['episode']}: {label(journey)}"
        yield f"  {standing(journey)}"
        for step in journey["steps"]:
            by = step["by"]
            source = f"{by['source']} {by['source_key']}" if "source" in by else "by time alone"
            yield f"  {step['entered_at']}  {step['stage']:<12} {by['event_type']:<24} {source}"
        for name, region in journey["regions"].items():
            still = f" ({', '.join(region['open'])})" if region.get("open") else ""
            yield f"  beside it: {name} {region['state']} since {region['since']}{still}"
            if "steps" in region:
                known = (f"{step} {state}" for step, state in region["steps"].items())
                yield f"    {', '.join(known)}"
        if journey["stages_skipped"]:
            yield f"  passed without evidence: {', '.join(journey['stages_skipped'])}"
        if journey["disagreement"]:
            yield f"  CRM says {journey['crm_stage']}, behaviour says {journey['observed_stage']}"
        if journey["persona"]:
            yield f"  persona: {journey['persona']} since {journey['persona_since']}"
        if journey["outlook"]:
            yield from outlook_lines(journey["outlook"])
        yield from next_lines(journey["next_stages"])
        for each in journey["suggestions"]:
            yield f"  {each['kind']}: {each['what']} ({each['reason']})"
        if journey["candidates"]:
            yield f"  candidates: {', '.join(journey['candidates'])}"
        yield from experience(journey)
        yield (
            f"  {journey['event_count']} events from {journey['first_event_at']} "
            f"to {journey['last_event_at']}"
        )
    for team in found["teams"]:
        yield from team_lines(team)
    if found["ignored"]:
        yield ""
        yield "What moved no journey, of all products:"
        yield from ignored_lines(found["ignored"])


def owned_in(rows: Iterable[tuple[object, ...]]) -> set[str]:
    """The products that a subject has, by the stages of its journeys."""
    journeys = map(as_mapping, rows)
    return {
        each["product"]
        for each in journeys
        if each["product"] and each["outcome"] is None and each["stage"] in OWNED
    }


def outlook_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Where journeys that stood here as long went next, and how soon."""
    whose = found["group"] or "all categories"
    if not found["ways"]:
        yield f"  next: too few stays to say ({found['n']:,} in {whose} lasted as long)"
        return
    for way in found["ways"][:NEXT_SHOWN]:
        soon = "" if way["p50_days"] is None else f", half of these within {way['p50_days']:g} days"
        yield (
            f"  next: {way['to']} {way['probability']:.0%} "
            f"({way['low']:.0%} to {way['high']:.0%}){soon}"
        )
    yield f"    learned from {found['n']:,} stays in {whose} that lasted as long"


def team_lines(team: Mapping[str, Any]) -> Iterator[str]:
    """Who takes part in buying, in which role and how we know, and how far each is."""
    yield ""
    yield f"Buying team of {name_of(team)}: {team['people']} people"
    for member in team["members"]:
        stands = member["stage"] or "never seen"
        if member["outcome"]:
            stands += f" ({member['outcome']})"
        roles = ", ".join(role["role"] for role in member["roles"]) or "no role"
        last = f", last seen {member['last_at']}" if member["last_at"] else ""
        yield f"  {member['subject']}: {roles}; {stands}, {member['state']}{last}"
        for role in member["roles"]:
            by = role["evidence"]
            source = f"{by.get('source')} {by.get('source_key') or ''}".rstrip()
            yield f"    {role['named']} ({role['by']}), by {source} of {role['since']}"
    if team["roles_required"]:
        missing = ", ".join(team["roles_missing"]) or "none"
        yield f"  roles missing: {missing}; {team['coverage']:.0%} of those required"
    if team["stage_spread"]:
        yield (
            f"  {team['stage_spread']} stages apart: "
            f"{team['furthest_stage']} and {team['least_stage']}"
        )
    if team["top_share"] is not None:
        yield f"  {team['top_share']:.0%} of all touches are one member's"


def person(found: Mapping[str, Any]) -> Iterator[str]:
    """Who it is, what joined the ids, and what was refused."""
    yield found["subject"]
    left_out: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for link in found["links"]:
        state, by = link["state"], link["by"]
        shown[state] += 1
        if shown[state] > LINKS_SHOWN:
            left_out[state] += 1
            continue
        why = f" ({link['reason']})" if link["reason"] else ""
        yield (
            f"  {link['left']} {LINK_WORDS[state]} {link['linked']}{why}, by {by.get('source')} "
            f"{by.get('source_key') or ''} of {by['occurred_at']}"
        )
    for state, count in left_out.items():
        yield f"  … and {count:,} more that are {state}: see the view `links` of the store"


def name_of(journey: Mapping[str, Any]) -> str:
    """What people call the product."""
    name = journey["product_name"]
    return f"{name} ({journey['scope_id']})" if name else str(journey["scope_id"])


def label(journey: Mapping[str, Any]) -> str:
    """The headline, or how it ended."""
    return str(journey["headline"] or journey["outcome"])


def standing(journey: Mapping[str, Any]) -> str:
    """Stage, since when, and how it is doing."""
    if journey["outcome"] is not None:
        why = f" ({journey['reason']})" if journey["reason"] else ""
        return (
            f"ended {journey['ended_at']} as {journey['outcome']}{why}, {journey['evidence']}; "
            f"was {journey['stage']}"
        )
    return (
        f"{journey['stage']} since {journey['stage_entered_at']}, "
        f"{journey['condition']} since {journey['condition_since']}"
    )
