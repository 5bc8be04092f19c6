"""The `journeys` command: what people ask of a store."""

from __future__ import annotations

import json
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from singer_sdk.exceptions import ConfigValidationError

from target_journeys.check import check
from target_journeys.explain import detail, explain, overview
from target_journeys.forget import forget
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.settings import Settings, read_json, read_settings
from target_journeys.stage_model import StageModelError, load
from target_journeys.stores import StoreError, open_store
from target_journeys.stores.sqlite import SQLiteStore

FAILED = 1  # exit codes, the same for every command
CONFIGURATION = 2
LEFT = 3

config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("config.json"),
    show_default=True,
    help="The configuration that the plugins use.",
)
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
@config_option
@json_option
def check_command(config: Path, *, as_json: bool) -> None:
    """Look at settings, logins, store and coverage; change nothing.

    Ends with 1 when something would fail, with 3 when something is left to see to.
    """
    findings = list(check(config))
    if as_json:
        click.echo(json.dumps([each._asdict() for each in findings], indent=2))
    else:
        for each in findings:
            click.echo(f"{each.level:8}{each.text}")
    levels = {each.level for each in findings}
    raise SystemExit(FAILED if "error" in levels else LEFT if "warning" in levels else 0)


@main.command("deliver")
@click.option("--refused", is_flag=True, help="Send refused rows again, after a fix.")
@config_option
def deliver_command(config: Path, *, refused: bool) -> None:
    """Send what waits in the outbox."""
    settings, store = opened(config)
    try:
        if refused:
            with store.transaction():
                store.retry_refused()
        sent = Outbox(settings.active_destinations()).deliver(store)
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    finally:
        store.close()
    click.echo(f"{sent.sent:,} sent, {sent.waiting:,} waiting, {sent.refused:,} refused")
    if settings.fail_on_refused and (sent.waiting or sent.refused):
        raise SystemExit(LEFT)


@main.command("refused")
@config_option
@json_option
def refused_command(config: Path, *, as_json: bool) -> None:
    """List the rows that a destination refused, with the start of its answer."""
    _, store = opened(config)
    rows = store.refused()
    store.close()
    if as_json:
        names = ("destination", "kind", "record_key", "answer")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    for destination, kind, key, answer in rows:
        click.echo(f"{destination}  {kind}  {key}  {answer}")


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
