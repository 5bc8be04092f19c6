"""What all commands of `journeys` share: options, exit codes, an opened store."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import click
from singer_sdk.exceptions import ConfigValidationError

from target_journeys.settings import ENVIRONMENT, Settings, read_json, read_settings
from target_journeys.stores import StoreError, StoreInUseError, open_store
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_errors import in_words

FAILED = 1  # exit codes, the same for every command
CONFIGURATION = 2
LEFT = 3

CONFIG_HELP = "The configuration that the plugins use; ENV reads TARGET_JOURNEYS_… instead."


class ConfigPath(click.Path):
    """A file, or the word for the environment."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Let ENV pass."""
        return Path(value) if str(value) == ENVIRONMENT else super().convert(value, param, ctx)


config_option = click.option(
    "--config",
    type=ConfigPath(exists=True, dir_okay=False, path_type=Path),
    default=Path("config.json"),
    show_default=True,
    help=CONFIG_HELP,
)
destination_option = click.option("--destination", help="Only rows of this destination.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Plainly(click.Group):
    """Commands whose failures at the store end with one line that says what to do."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except StoreError as error:
            raise click.ClickException(str(error)) from None
        except sqlite3.Error as error:
            raise click.ClickException(str(in_words(error))) from None


def opened(config: Path) -> tuple[Settings, SQLiteStore]:
    """The settings and the store; ends with exit code 2 when either cannot be used.

    A store whose tables a run is just changing ends it with 1.
    """
    try:
        settings = read_settings(read_json(config))
        store = open_store(settings.store, create=False)
        settings.policy().check(store)
        return settings, store
    except StoreInUseError as error:
        raise click.ClickException(str(error)) from None
    except (ConfigValidationError, StoreError) as error:
        for each in getattr(error, "errors", None) or [str(error)]:
            click.echo(each, err=True)
        sys.exit(CONFIGURATION)
