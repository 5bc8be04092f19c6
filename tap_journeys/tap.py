"""The tap: settings to streams, signals and exit codes, and what a run says at its end."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections import Counter
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.tap_base import CliTestOptionValue

from tap_journeys.check import check
from tap_journeys.settings import check_others, check_sources, json_schema
from tap_journeys.side_by_side import SideBySide
from tap_journeys.sources.base import ApiStream, SourceStream, wrong_configuration
from tap_journeys.writer import BufferedWriter

if TYPE_CHECKING:
    from types import FrameType

    from singer_sdk import Stream

FAILED, MISCONFIGURED, SET_ASIDE = 1, 2, 3  # exit codes


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


class TapJourneys(Tap):
    """Reads what customers did from the systems that saw it, in those systems' own words."""

    name = "tap-journeys"
    package_name = "product-journeys"
    dynamic_catalog = True  # the streams follow from the settings
    message_writer_class = BufferedWriter
    config_jsonschema = json_schema()
    capabilities = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def discover_streams(self) -> list[Stream]:
        streams = [stream for source in self.sources for stream in source.streams(self)]
        if len({stream.name for stream in streams}) < len(streams):
            raise wrong_configuration("sources: two streams have the same name")
        return streams

    @cached_property
    def side_by_side(self) -> SideBySide:
        """The reading of all selected streams that are read by requests."""
        streams = self.streams.values()
        return SideBySide([s for s in streams if isinstance(s, ApiStream) and s.selected])

    # The SDK's check prints the values it finds wrong, secrets among them, and there is no public
    # name by which to replace it.
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        self.append_builtin_config(self.config_jsonschema)
        self.sources, errors = check_sources(self.config.get("sources"))
        errors += check_others(self.config, self.config_jsonschema)
        if errors and raise_errors:
            raise wrong_configuration(*errors)
        return errors

    def setup_mapper(self) -> None:
        try:
            super().setup_mapper()
        except MappingError as error:  # its text holds the expression
            kind = type(error).__name__
            raise wrong_configuration(f"stream_maps: cannot be applied ({kind})") from None

    # The SDK's handler prints the state, which may be half changed, and ends with 0.
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        writer = getattr(self, "message_writer", None)  # a signal may come before there is one
        if isinstance(writer, BufferedWriter):
            writer.end(signum)
        else:
            raise SystemExit(128 + signum)

    def run(self, *, test: str = CliTestOptionValue.Disabled.value) -> int:
        """Write the messages of all streams and return the exit code.

        ``test`` asks for one record of each stream (``all``) or for the schemas only (``schema``).
        """
        try:
            try:
                if test == CliTestOptionValue.Disabled.value:
                    self.sync_all()
                elif test == CliTestOptionValue.Schema.value:
                    self.write_schemas()
                else:
                    return self._test()
            finally:
                if isinstance(self.message_writer, BufferedWriter):
                    self.message_writer.flush()
        except BrokenPipeError:
            # without this the interpreter tries to write the rest once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo(f"{self.name}: the reader of the records is gone; run again", err=True)
            return FAILED
        return self._summarise()

    def _test(self) -> int:
        """Write one record of each stream of files, and say what the other sources let us read."""
        streams = [stream for stream in self.streams.values() if stream.selected]
        asked = [stream for stream in streams if isinstance(stream, ApiStream)]
        self.run_sync_dry_run(streams=[s for s in streams if not isinstance(s, ApiStream)])
        findings = list(check(self, self.sources, asked))
        for finding in findings:
            click.echo(f"{finding.level:8}{finding.text}", err=True)
        failed = any(finding.level == "error" for finding in findings)
        return FAILED if failed else self._summarise()

    def _summarise(self) -> int:
        """Say in one line how the run went; its exit code."""
        selected = [stream for stream in self.streams.values() if stream.selected]
        streams = [stream for stream in selected if isinstance(stream, SourceStream)]
        failures: Counter[str] = Counter()
        set_aside: Counter[str] = Counter()
        for stream in streams:
            failures[stream.fails] += stream.failures
            set_aside[stream.breaks] += stream.set_aside
        unfinished = sum(stream.unfinished for stream in streams)
        taken = sum(stream.taken for stream in streams)
        summary = f"{_count(taken, 'record')} of {_count(len(selected), 'stream')}"
        if unfinished:
            summary += f", {_count(unfinished, 'unfinished last line')} left for the next run"
        set_aside, failures = +set_aside, +failures
        for what, number in set_aside.items():
            summary += f", {_count(number, what)} set aside"
        for what, number in failures.items():
            summary += f", {_count(number, what)} not read"
        if set_aside or failures:
            summary += " (see above)"
        run_id = os.environ.get("JOURNEYS_RUN_ID") or secrets.token_hex(8)
        fields = {"run_id": run_id, "records": taken, "streams": len(selected)}
        fields |= {"not_read": failures.total(), "aside": set_aside.total()}
        self.logger.info("Run %s read %s.", run_id, _count(taken, "record"), extra=fields)
        click.echo(f"{self.name}: {summary}", err=True)
        if failures:
            return FAILED
        return SET_ASIDE if set_aside and self.config.get("fail_on_refused") is not False else 0

    # The command line. The SDK's own callbacks end with 1 where we promise 2, and keep the tap to
    # themselves.

    @classmethod
    def from_command_line(cls, config: Any, **others: Any) -> TapJourneys:
        """The tap that ``--config`` describes; ends the process if it describes none."""
        try:
            return cls(config=config.config, parse_env_config=config.parse_env, **others)
        except ConfigValidationError as error:
            cls._give_up(error.errors)
        except ValueError:  # of the SDK's JSON reader
            if not config.parse_env:
                raise
            cls._give_up(["An environment variable TAP_JOURNEYS_… must hold JSON."])

    @classmethod
    def _give_up(cls, errors: list[str]) -> NoReturn:
        for error in errors:
            cls.logger.error(error)
        raise click.exceptions.Exit(MISCONFIGURED)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        try:
            return super().cb_config(ctx, param, value)
        except OSError as error:
            cls._give_up([f"--config: {error.strerror or error}"])
        except (ValueError, TypeError):  # not UTF-8, not JSON, not an object
            cls._give_up(["--config: every file must hold one JSON object"])

    @classmethod
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        if value:
            cls.from_command_line(ctx.params["config"], setup_mapper=False).run_discovery()
            ctx.exit()

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        if value != CliTestOptionValue.Disabled.value:
            ctx.exit(cls.from_command_line(ctx.params["config"]).run(test=value))

    @classmethod
    def invoke(  # type: ignore[override]  # as in the SDK's Tap
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        given = {
            name: cls._read_object(f"--{name}", file)
            for name, file in {"state": state, "catalog": catalog}.items()
            if file is not None
        }
        raise click.exceptions.Exit(cls.from_command_line(config, **given).run())

    @classmethod
    def _read_object(cls, option: str, file: IO[str]) -> dict[str, Any]:
        try:
            content = json.load(file)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            cls._give_up([f"{option}: the file must hold one JSON object"])
        return content
