"""Whether a run would go well: settings, logins, the store, and what could not be attributed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from singer_sdk.exceptions import ConfigValidationError

from target_journeys.erasure_requests import who_asked
from target_journeys.requirements import missing
from target_journeys.settings import read_json, read_settings
from target_journeys.stores import StoreError, open_store

LOGIN_TIMEOUT_S = 600
FINDING = re.compile(r"(ok|warning|error) +(.+)")
ASKING = (
    "asked to be erased: `journeys forget` erases one, identity.erase_on_request all at the "
    "end of a run; `select subject from events where event_type = 'erasure_requested'` names them"
)
LISTED = 10  # reasons that are shown one by one


class Finding(NamedTuple):
    """One line of the check: "ok", "warning" or "error", and what was found."""

    level: str
    text: str


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
        store = open_store(settings.store, create=False)
    except StoreError as error:
        yield Finding("warning", f"store: {error}")
        return
    subjects, journeys = store.sizes()
    yield Finding("ok", f"store: {subjects:,} customers, {journeys:,} journeys")
    if asking := len(who_asked(store)):
        yield Finding("warning", f"store: {asking:,} {ASKING}")
    unresolved = store.unresolved()
    for stream, reason, count in unresolved[:LISTED]:
        yield Finding("warning", f"{stream}: {reason} ({count:,})")
    if len(unresolved) > LISTED:
        yield Finding("warning", f"{len(unresolved) - LISTED:,} more reasons in `unresolved`")
    for (destination, status), count in sorted(store.backlog.counts().items()):
        yield Finding("warning", f"{destination}: {count:,} rows {status}; see `journeys refused`")
    store.close()


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
