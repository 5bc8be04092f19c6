"""`journeys map`, `effects`, `review`, `act`, `actions`: what journeys are like, what we did."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import click

from target_journeys.actions import act, effects
from target_journeys.command import config_option, json_option, opened
from target_journeys.interference import interference
from target_journeys.map_text import NOTHING_YET, change_lines, map_lines, overview_lines, rate
from target_journeys.maps import between, catch_up, compared, overview
from target_journeys.settings import Settings
from target_journeys.stage_model import load
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import GAP_COLUMNS


@click.command("map")
@click.argument("category", required=False)
@click.option("--persona", default="", help="Only people of this persona.")
@click.option("--period", help="A period, or the first and last of several: 2026-01..2026-03.")
@click.option("--against", help="Say what changed since this period, or these.")
@config_option
@json_option
def map_command(
    category: str | None,
    persona: str,
    period: str | None,
    against: str | None,
    config: Path,
    *,
    as_json: bool,
) -> None:
    """What the journeys of a CATEGORY were like; without one, which maps there are.

    Without --period it is the latest periods that gaps are looked for in (`experience.recent`).
    """
    settings, store = opened(config)
    found: Any
    try:
        if category is None:
            found = list(overview(store, settings.experience.review_every, moment_of(settings)))
            lines = overview_lines(found)
        else:
            found = wanted(settings, store, category, persona, period)
            lines = map_lines(found)
            if against is not None:
                before = wanted(settings, store, category, persona, against)
                found = compared(before, found, settings.experience.confidence)
                lines = change_lines(found)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in lines:
        click.echo(line)


def wanted(
    settings: Settings, store: SQLiteStore, category: str, persona: str, period: str | None
) -> dict[str, Any]:
    """The map that is asked for, else an error that names what there is."""
    model, confidence = load(settings.stage_model), settings.experience.confidence
    catch_up(store, model, category, at=moment_of(settings), confidence=confidence)
    known = store.maps.periods(category, persona)
    if not known:
        there = ", ".join(sorted({each[0] or '""' for each in store.maps.overview()}))
        raise click.ClickException(
            f"There is no map of '{category}'{f' for {persona}' if persona else ''}. "
            + (f"There are: {there}." if there else NOTHING_YET)
        )
    first, _, last = (period or "").partition("..")
    if period is None:
        first, last = known[-settings.experience.recent :][0], known[-1]
    chosen = [each for each in known if first <= each <= (last or first)]
    if not chosen:
        raise click.ClickException(
            f"--period, --against: '{category}' has no journeys in {period}. "
            f"It has from {known[0]} to {known[-1]}."
        )
    return between(store, model, category, persona, chosen, confidence)


@click.command("review")
@click.argument("category")
@click.option("--note", help="What was found, or decided.")
@config_option
def review_command(category: str, note: str | None, config: Path) -> None:
    """Note that people looked at the maps of CATEGORY today; the next look is due later."""
    settings, store = opened(config)
    try:
        if category not in store.experience.categories():
            raise click.ClickException(f"There is no map of '{category}'.")
        with store.transaction():
            store.maps.keep_review(category, f"{moment_of(settings):%Y-%m-%dT%H:%M:%SZ}", note)
    finally:
        store.close()
    click.echo(f"{category}: reviewed")


@click.command("act")
@click.argument("gap_id")
@click.argument("what")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="The day it took effect; today if left out."
)
@config_option
def act_command(gap_id: str, what: str, since: datetime | None, config: Path) -> None:
    """Note WHAT was done about the gap GAP_ID; `journeys actions` tells what came of it."""
    settings, store = opened(config)
    try:
        rows = store.experience.gaps(gap_id)
        if not rows:
            raise click.ClickException(f"There is no gap '{gap_id}'. `journeys gaps` lists them.")
        gap = dict(zip(GAP_COLUMNS, rows[0], strict=True))
        at = datetime.combine(since or moment_of(settings), time(), UTC)
        with store.transaction():
            act(store, gap, what, at)
    finally:
        store.close()
    click.echo(f"{gap_id}: noted, since {at:%Y-%m-%d}")


@click.command("actions")
@config_option
@json_option
def actions_command(config: Path, *, as_json: bool) -> None:
    """What was done about gaps, and how often they were met before and after."""
    settings, store = opened(config)
    found = list(effects(store, load(settings.stage_model), settings.experience))
    store.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        click.echo(f"{each['since'][:10]}  {each['what']}  ({each['gap_id']}, {each['place']})")
        click.echo(f"  before {rate(each['before'])}; since then {rate(each['after'])}")
        moved = each["difference"]
        click.echo(
            "  too few to compare"
            if moved is None
            else f"  difference {moved['value']:+.1%} ({moved['low']:+.1%} to {moved['high']:+.1%})"
        )
    click.echo(f"{len(found):,} actions; `journeys act` notes one")


@click.command("effects")
@config_option
@json_option
def effects_command(config: Path, *, as_json: bool) -> None:
    """How an open ticket or return on one product changes the progress of the others.

    The rate of going on with trouble elsewhere, beside the rate without, at the same age in the
    same stage. It describes what happened together, not what caused what.
    """
    settings, store = opened(config)
    model = load(settings.stage_model)
    found = interference(store, model, moment_of(settings), settings.experience.confidence)
    store.close()
    if as_json:
        click.echo(json.dumps([each._asdict() for each in found], indent=2))
        return
    for each in found:
        click.echo(
            f"{each.category or '(no category)'}, {each.stage}: {each.ratio:.2f} times as fast "
            f"({each.low:.2f} to {each.high:.2f}) while another product has a ticket or return "
            f"open; {each.went_on_with:,} went on in {each.days_with:,.0f} such days, "
            f"{each.went_on_without:,} otherwise"
        )
    if not found:
        click.echo("No stage has seen journeys go on both with and without trouble elsewhere.")


def moment_of(settings: Settings) -> datetime:
    """The moment that the settings judge by."""
    return settings.moment(datetime.now(UTC))
