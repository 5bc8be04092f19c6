"""Whether a run would go well: settings, logins, the store, and what could not be attributed."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from singer_sdk.exceptions import ConfigValidationError

from journeys.model import StageModel
from target_journeys.coverage import doubts
from target_journeys.erasure_requests import who_asked
from target_journeys.finding import Finding
from target_journeys.requirements import missing
from target_journeys.settings import Settings, read_json, read_settings
from target_journeys.stage_model import StageModelError, load
from target_journeys.stores import NoStoreError, StoreError, open_store
from target_journeys.stores.sqlite import CHECKPOINT_PAGES, PAGE_BYTES, SQLiteStore
from target_journeys.stores.sqlite_errors import in_words
from target_journeys.stores.sqlite_run import SUFFIX

LOGIN_TIMEOUT_S = 600
FINDING = re.compile(r"(ok|warning|error) +(.+)")
ASKING = (
    "asked to be erased: `journeys forget` erases one, identity.erase_on_request all at the "
    "end of a run; `select subject from events where event_type = 'erasure_requested'` names them"
)
LOG_BYTES = 2 * CHECKPOINT_PAGES * PAGE_BYTES  # the log of a run, and as much for its changes
FULL_BYTES = 1_000_000  # with less, not even a small run can be written


def check(config: Path) -> Iterator[Finding]:
    """Every finding, in the order in which one mends them. Changes nothing."""
    try:
        given = read_json(config)
        if given.keys() & {"rules", "rules_files", "presets"}:
            yield from plugin("mapper-journeys", config)
        if "sources" in given:
            yield from plugin("tap-journeys", config, "--test")
        settings = read_settings(given)
    except ConfigValidationError as error:
        yield from (Finding("error", f"target: {each}") for each in error.errors)
        return
    names = ", ".join(settings.active_destinations()) or "none, nothing will be sent"
    yield Finding("ok", f"target: destinations: {names}")
    for need in missing(settings.active_destinations()):
        if need.failure is not None:
            yield Finding("error", f"{need.destination}: {need.failure}")
        for line in need.lines:
            yield Finding("warning", f"{need.destination}: lacks {line}; {need.mend}")
    try:
        model = load(settings.stage_model)
    except StageModelError as error:
        yield Finding("error", f"target: {error}")
        return
    try:
        store = open_store(settings.store, create=False, migrate=False)
    except NoStoreError as error:
        yield Finding("warning", str(error))
        return
    except StoreError as error:
        yield Finding("error", str(error))
        return
    try:
        yield from of_store(store, model, settings)
    except sqlite3.DatabaseError as error:
        yield Finding("error", str(in_words(error, store.path)))
    finally:
        store.close()


def of_store(store: SQLiteStore, model: StageModel, settings: Settings) -> Iterator[Finding]:
    """What a look into the store finds."""
    yield from room(Path(store.path))
    if (obstacle := store.coverage.obstacle()) is not None:
        yield Finding("warning", str(obstacle))
    elif Path(store.run.path + SUFFIX).exists():
        try:
            store.run.begin(0)
        except StoreError as error:
            yield Finding("warning", str(error))
        store.run.end()
    if pending := store.pending():
        yield Finding(
            "warning",
            f"store: {store.path} was written by an older version; the next run changes its "
            f"tables ({len(pending)} steps). Copy the file first, then check again after that run.",
        )
        return
    subjects, journeys = store.sizes()
    yield Finding("ok", f"store: {subjects:,} customers, {journeys:,} journeys")
    if asking := len(who_asked(store)):
        yield Finding("warning", f"store: {asking:,} {ASKING}")
    yield from doubts(store, model, settings, datetime.now(UTC))
    for (destination, status), count in sorted(store.backlog.counts().items()):
        if status == "waiting" and rehearses(settings, destination):
            about = f"only rehearsed, in {destination}.dry-run.jsonl; without dry_run they are sent"
        elif status == "waiting":
            why = store.coverage.stopped(destination)
            about = f"waiting{(why and f' ({why})') or ''}; `journeys deliver` sends them"
        else:
            about = f"{status}; see `journeys refused`"
        yield Finding("warning", f"{destination}: {count:,} rows {about}")


def rehearses(settings: Settings, destination: str) -> bool:
    """Whether a destination is told nothing in earnest."""
    member = settings.active_destinations().get(destination)
    return member is not None and member.dry_run


def room(path: Path) -> Iterator[Finding]:
    """Whether the disk has room for what a run writes beside the store."""
    free = shutil.disk_usage(path.absolute().parent).free
    if free < LOG_BYTES:
        yield Finding(
            "error" if free < FULL_BYTES else "warning",
            f"store: its disk has {free / 1e6:,.0f} MB left; make room, a run may need "
            f"{LOG_BYTES / 1e6:,.0f} MB beside the store",
        )


def plugin(name: str, config: Path, *options: str) -> Iterator[Finding]:
    """What one of the other plugins says of its own part of the configuration.

    Plugins do not import each other: this runs the command, which may live in another environment.
    """
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    command = beside or shutil.which(name)
    if command is None:
        yield Finding("warning", f"{name}: not found on the PATH; its part is not checked")
        return
    try:
        done = subprocess.run(
            [command, "--config", str(config), *options],
            input="",
            capture_output=True,
            text=True,
            timeout=LOGIN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Finding("error", f"{name}: no answer within {LOGIN_TIMEOUT_S // 60} minutes")
        return
    lines = done.stderr.splitlines()
    said = [Finding(found[1], found[2]) for line in lines if (found := FINDING.fullmatch(line))]
    if done.returncode:
        logged = (line.split("|", 3) for line in lines)  # the SDK's: time, level, plugin, message
        errors = [parts[3] for parts in logged if len(parts) == 4 and parts[1].strip() == "ERROR"]
        said += [Finding("error", f"{name}: {each.strip()}") for each in errors]
    if done.returncode and not said:
        said = [Finding("error", f"{name}: it ended with {done.returncode}, run it by itself")]
    yield from said or [Finding("ok", f"{name}: settings")]
