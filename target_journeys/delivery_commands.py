"""`journeys deliver` and `journeys refused`: what waits, and what was refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import indent

import click

from target_journeys.command import (
    CONFIG_HELP,
    FAILED,
    LEFT,
    config_option,
    destination_option,
    json_option,
    opened,
)
from target_journeys.deliveries import requests_of
from target_journeys.outbox import Outbox
from target_journeys.plan import Planned, plan
from target_journeys.progress import Progress
from target_journeys.stores import StoreError


@click.command("deliver")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--refused", is_flag=True, help="Send refused rows again, after a fix.")
@click.option("--allow-deletes", is_flag=True, help="Send deletes that are held back as too many.")
@config_option
@json_option
def deliver_command(
    config: Path, *, only_plan: bool, refused: bool, allow_deletes: bool, as_json: bool
) -> None:
    """Send what waits in the outbox."""
    settings, store = opened(config)
    destinations = settings.active_destinations()
    try:
        if only_plan:
            planned = list(plan(store, destinations, Outbox.now()))
            show_plan(planned, as_json=as_json)
            return
        if refused:
            with store.transaction():
                store.backlog.release("waiting")
        with Progress() as progress:
            progress.say("sending")
            sent = Outbox(destinations).deliver(store, allow_deletes=allow_deletes)
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(asdict(sent)))
    else:
        click.echo(sent.summary())
    if settings.fail_on_refused and sent.left:
        raise SystemExit(LEFT)


def show_plan(planned: Sequence[Planned], *, as_json: bool) -> None:
    """Print what every destination would be told."""
    if as_json:
        click.echo(json.dumps([each._asdict() for each in planned], indent=2))
        return
    for each in planned:
        counts = ", ".join(f"{count:,} {what}" for what, count in each.counts.items())
        click.echo(f"{each.destination}: {counts}")
        for sample in each.samples:
            click.echo(f"  {sample['method']} {sample['url']}")
            click.echo(indent(str(sample["body"]).rstrip(), "    "))


@click.group("refused", invoke_without_command=True)
@destination_option
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help=CONFIG_HELP)
@json_option
@click.pass_context
def refused_group(context: click.Context, /, **given: object) -> None:
    """Rows that a destination refused, or whose fate is unknown: list, show, retry, drop.

    Without a command it lists them.
    """
    if given["config"] is None:
        del given["config"]
    context.default_map = dict.fromkeys(refused_group.commands, given)
    if context.invoked_subcommand is None:
        with context.scope():
            list_command.main(
                args=[],
                prog_name=f"{context.command_path} list",
                default_map=given,
                standalone_mode=False,
            )


@refused_group.command("list")
@destination_option
@config_option
@json_option
def list_command(config: Path, *, destination: str | None, as_json: bool) -> None:
    """List the rows, each with the start of the destination's answer."""
    _, store = opened(config)
    rows = store.backlog.left(destination)
    store.close()
    if as_json:
        names = ("destination", "kind", "record_key", "status", "attempts", "answer")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    for name, kind, key, status, _, answer in rows:
        click.echo(f"{name}  {kind}  {key}  {status}  {answer}")
    click.echo(f"{len(rows):,} rows are refused or of unknown fate")


@refused_group.command("show")
@click.argument("key")
@config_option
@json_option
def show_command(key: str, config: Path, *, as_json: bool) -> None:
    """Show one row: why, in whose words, and the request as it would be sent now.

    KEY is the row's key as `journeys refused` lists it.
    """
    settings, store = opened(config)
    found = []
    for name, kind, _, status, attempts, answer in store.backlog.left(None, key):
        destination = settings.active_destinations().get(name)
        rows = store.backlog.rows_left(name, key)
        sample = destination and requests_of(store, name, destination, rows, Outbox.now())
        found.append(
            {
                "destination": name,
                "kind": kind,
                "status": status,
                "attempts": attempts,
                "answer": answer,
                "request": sample[0] if sample else None,
            }
        )
    store.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    for each in [] if as_json else found:
        for what, value in each.items():
            click.echo(f"{what:12}{value}")
    if not found:
        raise SystemExit(FAILED)


@refused_group.command("retry")
@click.argument("key", required=False)
@destination_option
@config_option
def retry_command(key: str | None, config: Path, *, destination: str | None) -> None:
    """Let the rows wait again, all or those of one KEY; `journeys deliver` sends them."""
    released(config, "waiting", destination, key)


@refused_group.command("drop")
@click.argument("key", required=False)
@destination_option
@config_option
def drop_command(key: str | None, config: Path, *, destination: str | None) -> None:
    """Give up the rows, all or those of one KEY; a later change of them is sent again."""
    released(config, "suppressed", destination, key)


def released(config: Path, status: str, destination: str | None, key: str | None) -> None:
    """Change what is left, and say how many rows that were."""
    _, store = opened(config)
    with store.transaction():
        count = store.backlog.release(status, destination, key)
    store.close()
    click.echo(f"{count:,} {status}")
