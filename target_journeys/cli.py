"""The `journeys` command: what people ask of a store."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent

import click
from singer_sdk.exceptions import ConfigValidationError

from target_journeys import requirements
from target_journeys.check import check
from target_journeys.deliveries import requests_of
from target_journeys.explain import detail, explain, overview
from target_journeys.forget import forget
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.plan import Planned, plan
from target_journeys.settings import Settings, read_json, read_settings
from target_journeys.stage_model import StageModelError, load
from target_journeys.stores import StoreError, open_store
from target_journeys.stores.sqlite import SQLiteStore

FAILED = 1  # exit codes, the same for every command
CONFIGURATION = 2
LEFT = 3

CONFIG_HELP = "The configuration that the plugins use."
config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("config.json"),
    show_default=True,
    help=CONFIG_HELP,
)
destination_option = click.option("--destination", help="Only rows of this destination.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
@click.version_option(package_name="product-journeys")
def main() -> None:
    """One journey per customer and product: ask the store about them."""


@main.command("explain")
@click.argument("subject")
@click.argument("product", required=False)
@config_option
@json_option
def explain_command(subject: str, product: str | None, config: Path, *, as_json: bool) -> None:
    """Why SUBJECT stands where it stands, with all products or with one PRODUCT.

    SUBJECT is any id of a person or account (email:ana@acme.test); PRODUCT an id, name, alias or
    category.
    """
    settings, store = opened(config)
    found = explain(store, settings.policy().id_of(subject), product)
    if not found["journeys"] and not found["links"]:
        found = explain(store, subject, product)  # an account, or what the store itself shows
    store.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for line in overview(found) if product is None else detail(found):
            click.echo(line)
    if not found["journeys"]:
        raise SystemExit(1)


@main.command("check")
@click.option("--create", "may_create", is_flag=True, help="Create what destinations lack.")
@click.option("--yes", is_flag=True, help="Do not ask before creating it.")
@config_option
@json_option
def check_command(config: Path, *, may_create: bool, yes: bool, as_json: bool) -> None:
    """Look at settings, logins, store and coverage; change nothing.

    Ends with 1 when something would fail, with 3 when something is left to see to.
    """
    if may_create:
        create_missing(config, yes=yes)
    findings = list(check(config))
    if as_json:
        click.echo(json.dumps([each._asdict() for each in findings], indent=2))
    else:
        for each in findings:
            click.echo(f"{each.level:8}{each.text}")
    levels = {each.level for each in findings}
    raise SystemExit(FAILED if "error" in levels else LEFT if "warning" in levels else 0)


def create_missing(config: Path, *, yes: bool) -> None:
    """Show what destinations lack, ask, and create it."""
    try:
        destinations = read_settings(read_json(config)).active_destinations()
    except ConfigValidationError:
        return  # the check says it
    found = requirements.missing(destinations)
    lacking = [need for need in found if need.lines and need.by_hand is None]
    for need in lacking:
        click.echo(f"{need.destination} would be given:", err=True)
        for line in need.lines:
            click.echo(f"  {line}", err=True)
    if not lacking or not (yes or click.confirm("Create it?", err=True)):
        return
    for need in requirements.create(
        {each.destination: destinations[each.destination] for each in lacking}
    ):
        click.echo(
            f"{need.destination}: {need.failure or 'created ' + ', '.join(need.lines)}", err=True
        )


@main.command("deliver")
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
                store.outbox.release("waiting")
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


@main.group("refused", invoke_without_command=True)
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
    rows = store.outbox.left(destination)
    store.close()
    if as_json:
        names = ("destination", "kind", "record_key", "status", "attempts", "answer")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    for name, kind, key, status, _, answer in rows:
        click.echo(f"{name}  {kind}  {key}  {status}  {answer}")


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
    for name, kind, _, status, attempts, answer in store.outbox.left(None, key):
        destination = settings.active_destinations().get(name)
        rows = store.outbox.rows_left(name, key)
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
        count = store.outbox.release(status, destination, key)
    store.close()
    click.echo(f"{count:,} {status}")


@main.command("forget")
@click.argument("subject")
@click.option("--dry-run", is_flag=True, help="Count what would be erased; change nothing.")
@config_option
@json_option
def forget_command(subject: str, config: Path, *, dry_run: bool, as_json: bool) -> None:
    """Erase a person from the store and from the destinations, and keep the person out.

    SUBJECT is any id of the person (email:ana@acme.test).
    """
    settings, store = opened(config)
    try:
        policy = settings.policy()
        outbox = Outbox(settings.active_destinations())
        moment = settings.moment(datetime.now(UTC))
        ledger = Ledger(store, load(settings.stage_model), outbox, moment, policy)
        receipt = forget(ledger, policy.id_of(subject), dry_run=dry_run)
    except StageModelError as error:
        click.echo(str(error), err=True)
        sys.exit(CONFIGURATION)
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    except sqlite3.OperationalError as error:
        raise click.ClickException(
            f"The store is in use ({error}). Run this again when no other run uses it."
        ) from None
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(receipt.as_mapping(), indent=2))
    else:
        for line in receipt.lines():
            click.echo(line)
    if receipt.deletes_left:
        raise SystemExit(LEFT)
    if any(receipt.found.values()):
        raise SystemExit(1)


def opened(config: Path) -> tuple[Settings, SQLiteStore]:
    """The settings and the store; ends with exit code 2 when either cannot be used."""
    try:
        settings = read_settings(read_json(config))
        store = open_store(settings.store, create=False)
        settings.policy().check(store)
        return settings, store
    except (ConfigValidationError, StoreError) as error:
        for each in getattr(error, "errors", None) or [str(error)]:
            click.echo(each, err=True)
        sys.exit(CONFIGURATION)
