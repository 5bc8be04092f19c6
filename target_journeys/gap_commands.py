"""`journeys gaps` and `journeys explain --gap`: the gaps that were found, and what lies behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from target_journeys.command import CONFIGURATION, FAILED, config_option, json_option, opened
from target_journeys.gap_traces import traced
from target_journeys.gaps import Window, find_all, window_of
from target_journeys.stage_model import StageModelError, load

Function = TypeVar("Function", bound=Callable[..., Any])
PLACE = ("category", "stage", "channel", "persona", "product")
DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


def window_options(function: Function) -> Function:
    """The options that say when: --period, or --from and --to."""
    for option in (
        click.option("--to", "until", type=DAY, help="Up to this day or moment, UTC, exclusive."),
        click.option("--from", "since", type=DAY, help="From this day or moment on, UTC."),
        click.option("--period", help="One period, as counted: 2026-03."),
    ):
        function = option(function)
    return function


@click.command("gaps")
@click.option("--category", help="Only this category.")
@window_options
@click.option("--limit", default=20, show_default=True, help="How many, the worst first; 0: all.")
@click.option(
    "--feasibility",
    nargs=2,
    type=(str, click.FloatRange(0, 1)),
    metavar="GAP SHARE",
    help="Write down how feasible a remedy of a gap is, 0 to 1.",
)
@click.option("--note", help="Why, with --feasibility.")
@config_option
@json_option
def gaps_command(
    config: Path,
    *,
    category: str | None,
    limit: int,
    feasibility: tuple[str, float] | None,
    note: str | None,
    as_json: bool,
    **window: Any,
) -> None:
    """Where the experience breaks down, the worst first.

    Without --period, or --from and --to, it lists what the last run found in the recent periods.
    """
    settings, store = opened(config)
    try:
        if feasibility is not None:
            with store.transaction():
                store.experience.keep_feasibility(*feasibility, note)
        model = load(settings.stage_model)
        when = window_of(store, settings.experience, **moments(window))
        found = find_all(store, model, settings.experience, when, category)
    except (StageModelError, ValueError) as error:
        click.echo(str(error), err=True)
        sys.exit(CONFIGURATION)
    finally:
        store.close()
    shown = found[: limit or None]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for gap in shown:
        for line in lines(gap):
            click.echo(line)
    if len(found) > len(shown):
        click.echo(f"and {len(found) - len(shown):,} more; --limit 0 lists all")
    if not found:
        click.echo("no gaps")


def explain_gap(
    config: Path, gap_id: str, window: Mapping[str, Any], *, limit: int, as_json: bool
) -> None:
    """Show the journeys that met a gap, and the events that say so."""
    settings, store = opened(config)
    try:
        model = load(settings.stage_model)
        when = window_of(store, settings.experience, **moments(window))
        found = find_all(store, model, settings.experience, when)
        gap = next((each for each in found if each["gap_id"] == gap_id), None)
        if gap is None:
            click.echo(
                f"--gap: there is no gap {gap_id} in that time. `journeys gaps` lists them.",
                err=True,
            )
            sys.exit(FAILED)
        when = when or Window.of(settings.experience, gap["period"])
        journeys = list(traced(store, model, settings.experience, gap, when))
        total = len(journeys)
        shown = [each.as_mapping(store) for each in journeys[: limit or None]]
    except (StageModelError, ValueError) as error:
        click.echo(str(error), err=True)
        sys.exit(CONFIGURATION)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"gap": gap, "journeys": shown, "total": total}, indent=2))
        return
    for line in [*lines(gap), *journey_lines(shown)]:
        click.echo(line)
    click.echo(f"{len(shown):,} of {total:,} journeys shown")


def moments(window: Mapping[str, Any]) -> dict[str, Any]:
    """The options as :func:`window_of` takes them; moments are UTC."""
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in window.items()
    }


def lines(gap: Mapping[str, Any]) -> Iterator[str]:
    """A gap in words."""
    where = ", ".join(
        str(gap[name])
        for name in ("category", "stage", "channel", "persona", "product")
        if gap[name]
    )
    what = str(gap["type"]).replace("_", "-") + (f" ({gap['topic']})" if gap["topic"] else "")
    yield f"{gap['rank']:>3}  {where or 'all journeys'}: {what}  [{gap['gap_id']}, {gap['period']}]"
    source = gap["reference_from"]
    than = "was promised" if source == "promise" else f"in {source}"
    yield (
        f"     {gap['hits']:,} of {gap['reach']:,}, {gap['rate']:.0%} "
        f"({gap['rate_low']:.0%} to {gap['rate_high']:.0%}), {gap['reference']:.0%} {than}; "
        f"at least {gap['excess']:,.0f} too many"
    )
    more = []
    if gap["value_at_risk"]:
        more.append(f"value at risk {gap['value_at_risk']:,.0f} {gap['currency']}".rstrip())
    if gap["owner"]:
        more.append(f"owner {gap['owner']}")
    if gap["kind"]:
        more.append(gap["kind"])
    if gap["simpson"]:
        more.append(SIMPSON[gap["simpson"]])
    if gap["feasibility"] is not None:
        more.append(f"feasibility {gap['feasibility']:g}, priority {gap['priority']:,.1f}")
    if more:
        yield f"     {'; '.join(more)}"


SIMPSON = {
    "hidden": "the figure of all products hides it",
    "mix": "no single product has it: their shares have shifted",
}


def journey_lines(journeys: list[dict[str, Any]]) -> Iterator[str]:
    """Journeys with their events."""
    for each in journeys:
        yield f"  {each['subject']}  {each['scope_id']}, episode {each['episode']}"
        for event in each["events"]:
            source = f"{event.get('source')} {event.get('source_key') or ''}".rstrip()
            yield f"    {event['occurred_at']}  {event['event_type']}  {source}"
