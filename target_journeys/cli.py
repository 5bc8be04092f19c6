"""The `journeys` command: what people ask of a store."""

from __future__ import annotations

import json
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from singer_sdk.exceptions import ConfigValidationError

from target_journeys import requirements
from target_journeys.check import check
from target_journeys.command import (
    CONFIGURATION,
    FAILED,
    LEFT,
    Plainly,
    config_option,
    json_option,
    opened,
)
from target_journeys.delivery_commands import deliver_command, refused_group
from target_journeys.experience import Experience
from target_journeys.explain import detail, explain, overview
from target_journeys.forget import forget
from target_journeys.gap_commands import explain_gap, gaps_command, window_options
from target_journeys.learned import with_learned
from target_journeys.ledger import Ledger
from target_journeys.map_commands import (
    act_command,
    actions_command,
    effects_command,
    map_command,
    review_command,
)
from target_journeys.outbox import Outbox
from target_journeys.outlooks import Outlooks
from target_journeys.progress import Progress
from target_journeys.report import Shown, report
from target_journeys.settings import read_json, read_settings
from target_journeys.stage_model import StageModelError, load
from target_journeys.stores import StoreError


@click.group(cls=Plainly)
@click.version_option(package_name="product-journeys")
def main() -> None:
    """One journey per customer and product: ask the store about them."""


@main.command("explain")
@click.argument("subject", required=False)
@click.argument("product", required=False)
@click.option("--gap", help="In place of SUBJECT: the journeys behind a gap of `journeys gaps`.")
@window_options
@click.option("--limit", default=20, show_default=True, help="Journeys of a gap; 0 is all.")
@config_option
@json_option
def explain_command(
    subject: str | None,
    product: str | None,
    config: Path,
    *,
    gap: str | None,
    limit: int,
    as_json: bool,
    **window: Any,
) -> None:
    """Why SUBJECT stands where it stands, with all products or with one PRODUCT.

    SUBJECT is any id of a person or account (email:ana@acme.test); PRODUCT an id, name, alias or
    category. With --gap it shows the journeys that met a gap, each with its events; name the same
    --period, or --from and --to, as when it was found.
    """
    if gap is not None:
        explain_gap(config, gap, window, limit=limit, as_json=as_json)
        return
    if subject is None:
        raise click.UsageError("Name a SUBJECT, or a gap with --gap.")
    settings, store = opened(config)
    try:
        model = load(settings.stage_model)
        ahead = Outlooks(store, settings.experience, settings.moment(datetime.now(UTC)))
        found = explain(store, settings.policy().id_of(subject), product, ahead, model)
        if not found["journeys"] and not found["links"]:
            found = explain(store, subject, product, ahead, model)  # an account, or a pseudonym
    except StageModelError as error:
        click.echo(str(error), err=True)
        sys.exit(CONFIGURATION)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for line in overview(found) if product is None else detail(found):
            click.echo(line)
    if not found["journeys"]:
        if ":" not in subject:
            click.echo("SUBJECT has no namespace; write email:… or as the rules name it.", err=True)
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
        if not dry_run:
            store.run.begin()
        policy = settings.policy()
        outbox = Outbox(settings.active_destinations())
        moment = settings.moment(datetime.now(UTC))
        model = with_learned(store, load(settings.stage_model))
        ledger = Ledger(store, model, outbox, moment, policy)
        analysis = Experience(store, model, moment, settings.experience)
        name = policy.id_of(subject)
        with Progress() as progress:
            progress.say("erasing, telling the destinations, writing the file anew")
            receipt = forget(ledger, name, analysis, dry_run=dry_run)
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


@main.command("report")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file to write.",
)
@click.option("--subject", "subjects", multiple=True, help="Only this person or account.")
@config_option
def report_command(config: Path, out: Path, subjects: tuple[str, ...]) -> None:
    """Write the journeys as one HTML file that needs no network.

    With --subject it shows one person or account (any id; may be given again): all journeys side
    by side.
    """
    settings, store = opened(config)
    policy = settings.policy()
    moment = settings.moment(datetime.now(UTC))
    try:
        shown = Shown(store, load(settings.stage_model), policy, moment, settings.experience)
        with Progress() as progress:
            progress.say("drawing the journeys")
            page = report(shown, [policy.id_of(subject) for subject in subjects])
        out.write_text(page, encoding="utf-8")
    except StageModelError as error:
        click.echo(str(error), err=True)
        sys.exit(CONFIGURATION)
    except LookupError as error:
        raise click.ClickException(
            f"The store knows no journeys of {error}. Name another id of that person or account."
        ) from None
    except OSError as error:
        raise click.ClickException(f"--out: {out} cannot be written ({error.strerror}).") from None
    finally:
        store.close()
    click.echo(f"{out} ({len(page.encode()) / 1e3:,.0f} kB)")


main.add_command(deliver_command)
main.add_command(gaps_command)
main.add_command(refused_group)
main.add_command(map_command)
main.add_command(effects_command)
main.add_command(review_command)
main.add_command(act_command)
main.add_command(actions_command)
