"""The Singer target: reads messages, keeps journeys, acknowledges what is durable."""

from __future__ import annotations

import gc
import hashlib
import json
import sqlite3
import sys
import time
from collections import Counter
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, NoReturn

from singer_sdk import Target
from singer_sdk.exceptions import (
    ConfigValidationError,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.singerlib.exceptions import InvalidInputLine

from target_journeys.erasure_requests import erase_who_asked, finish, who_asked
from target_journeys.experience import Experience
from target_journeys.learned import with_learned
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox, Sent
from target_journeys.progress import Progress
from target_journeys.reader import Reader
from target_journeys.run_log import RunLog
from target_journeys.settings import Settings, read_settings, settings_schema
from target_journeys.stage_model import StageModelError, load
from target_journeys.stores import StoreError, StoreInUseError, open_store
from target_journeys.stores.base import NO_RULE, UnmappedRow
from target_journeys.stores.sqlite_errors import in_words
from target_journeys.wrong_settings import wrong

GC_THRESHOLD = 100_000  # allocations; events hold no cycles, so there is little to find
FAILURES = (  # what ends a run, with a sentence that says what to do
    InvalidInputLine,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
    StoreError,
)

FIRST_BATCH = 1  # records: the first STATE is acknowledged at once
LARGEST_BATCH = 200_000  # records; held as JSON, some hundred bytes each, until they are folded
LONGEST_BATCH_S = 15  # no STATE waits longer for its commit while records flow


class TargetJourneys(Target):
    """Keeps one journey per customer and product, and tells destinations what changed."""

    name = "target-journeys"
    package_name = "product-journeys"
    config_jsonschema = settings_schema()
    capabilities = [PluginCapabilities.ABOUT, PluginCapabilities.STRUCTURED_LOGGING]

    def __init__(self, **kwargs: Any) -> None:
        """Check the settings and open the store, before the first message."""
        super().__init__(setup_mapper=False, **kwargs)  # stream maps are the tap's
        settings = self.settings
        self.message_reader = Reader(self)
        try:
            model = load(settings.stage_model)
            self.store = open_store(settings.store)
            policy = settings.policy()
            try:
                policy.check(self.store)
            except StoreError:
                self.store.close()
                raise
        except StoreInUseError:
            raise
        except (StageModelError, StoreError) as error:
            raise wrong([str(error)]) from None
        self.outbox = Outbox(settings.active_destinations())
        self._model, self._policy = model, policy
        self._moment = settings.moment(datetime.now(UTC))
        self._remember()
        self.keys: dict[str, list[str]] = {}  # stream → key properties, from its SCHEMA
        self.unused: Counter[str] = Counter()  # stream without a rule → records
        self.sent = Sent()
        self.erased = 0  # people who asked for it
        self.is_proven = True  # nothing of them is left in the files
        self.asking = 0  # people who ask to be erased, and are not
        self._state: Any = None
        self._has_state = False
        self._batch = FIRST_BATCH
        self._since: float | None = None
        self._started = time.monotonic()
        self.progress = Progress()
        self.log = RunLog(self.logger)

    def _remember(self) -> None:
        """Read what a run keeps in memory of the store."""
        self._version = self.store.version()
        model = with_learned(self.store, self._model)
        self.ledger = Ledger(self.store, model, self.outbox, self._moment, self._policy)
        self.experience = Experience(self.store, model, self._moment, self.settings.experience)

    def claim(self) -> None:
        """Keep other runs from the store until it is closed.

        Raises :class:`StoreInUseError` when another run does not end in time.
        """
        self.store.run.begin()
        if self.store.version() != self._version:  # the run before us has changed it
            self._policy.check(self.store)
            self._remember()

    @property
    def settings(self) -> Settings:
        """The settings as a type."""
        return read_settings(self.config)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check without the SDK, whose messages print the values of settings."""
        try:
            read_settings(self._config)
        except ConfigValidationError as error:
            if raise_errors:
                raise
            return error.errors
        return []

    # -- messages --------------------------------------------------------------------------

    def keep_schema(self, stream: str, key_properties: list[str]) -> None:
        """Learn a stream's key."""
        self.keys[stream] = key_properties

    def keep_unused(self, stream: str, record: dict[str, Any]) -> None:
        """Take note of a record that no rule reads; its key leads back to it."""
        keys = self.keys[stream]
        key = json.dumps([record[name] for name in keys]) if keys else hashed(record)
        if not self.unused[stream]:
            self.logger.info("Stream '%s' has no rule; its records are counted only.", stream)
        self.unused[stream] += 1
        self.ledger.add_unmapped(UnmappedRow(stream, "", key, NO_RULE))

    def keep_state(self, value: Any) -> None:
        """Remember the latest STATE; it is acknowledged when all before it is durable."""
        self._state, self._has_state = value, True
        if not self.ledger.pending:
            self._acknowledge()
        elif self.ledger.pending >= self._batch:
            self.commit()

    def pace(self) -> None:
        """Close the batch when it has become large or old."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        tally = self.ledger.tally
        self.progress.count(tally.events, f"events, {tally.stages_changed:,} stages changed")
        if self.ledger.pending >= LARGEST_BATCH or now - self._since > LONGEST_BATCH_S:
            self.commit()

    def commit(self) -> None:
        """Make the batch durable, then acknowledge it."""
        if self.ledger.pending:
            # Each batch folds its customers anew, so in a backfill batches must grow fast: 1, 4,
            # 64, 16,384 … records.
            self._batch = min(4 * self.ledger.pending**2, LARGEST_BATCH)
            self.progress.count(self.ledger.pending, "records are made journeys")
            self.ledger.commit()
        self._since = None
        self._acknowledge()

    def _acknowledge(self) -> None:
        if self._has_state:
            sys.stdout.write(json.dumps(self._state) + "\n")
            sys.stdout.flush()
            self._has_state = False

    # -- the end ---------------------------------------------------------------------------

    def process_endofpipe(self) -> None:
        """Commit what is left, let time do its part, tell the destinations."""
        self.progress.say("closing the run")
        self.experience.prepare()
        self.ledger.close_run()
        self._acknowledge()
        if self.unused and "journey_events" not in self.keys:
            self.logger.warning(
                "target-journeys received stream '%s', but it stores 'journey_events' only. "
                "Put mapper-journeys between the tap and this target.",
                next(iter(self.unused)),
            )
        erasing = self.settings.identity.erase_on_request
        erased = erase_who_asked(self.ledger, self.experience) if erasing else []
        self.progress.say("counting what journeys were like")
        self.experience.update()
        self.progress.say("sending")
        self.sent = self.outbox.deliver(self.store)
        if erasing:
            self.erased, self.is_proven = len(erased), finish(self.ledger, erased)
        else:
            self.asking = len(who_asked(self.store))
        self.store.close()
        self.progress.end()
        self.log.streams(self.ledger.tally.streams)
        self.log.end(time.monotonic() - self._started, self.counts())

    def counts(self) -> dict[str, int]:
        """Everything that the run counted."""
        tally = self.ledger.tally
        own = {each.name: getattr(tally, each.name) for each in fields(tally)}
        del own["streams"]
        return own | asdict(self.sent) | {"erased": self.erased, "asking": self.asking}

    @property
    def exit_code(self) -> int:
        """0 all well, 3 finished but something is refused, waiting or set aside."""
        without_mapper = bool(self.unused) and "journey_events" not in self.keys
        left = self.sent.left or self.ledger.tally.set_aside_events or not self.is_proven
        return 3 if self.settings.fail_on_refused and (left or without_mapper) else 0

    def summary(self) -> str:
        """One line for people."""
        tally = self.ledger.tally
        parts = [
            f"{tally.events:,} events ({tally.new:,} new)",
            f"{tally.stages_changed:,} stages changed",
            self.sent.summary(),
        ]
        if tally.forgotten:
            parts.append(f"{tally.forgotten:,} of forgotten people left out")
        if self.erased:
            parts.append(f"{self.erased:,} erased on request")
        if self.asking:
            parts.append(f"{self.asking:,} asked to be erased (see journeys check)")
        if tally.set_aside:
            parts.append(f"{tally.set_aside:,} set aside (see unresolved)")
        return f"target-journeys: {', '.join(parts)}"

    def _handle_termination(self, signum: int, frame: Any) -> NoReturn:
        """Stop at once: what is not committed is not acknowledged, and is read again."""
        raise SystemExit(128 + signum)

    @classmethod
    def invoke(cls, *, about: bool = False, about_format: str | None = None, **kwargs: Any) -> None:
        """Run, end with one line, and say by the exit code how it went."""
        config, file_input = kwargs.get("config"), kwargs.get("file_input")
        if about:
            cls.print_about(about_format)
            return
        try:
            target = cls(
                config=config.config if config else None,
                parse_env_config=bool(config and config.parse_env),
            )
        except ConfigValidationError as error:
            for each in error.errors:
                cls.logger.error(each)
            raise SystemExit(2) from None
        except ValueError:  # of the SDK's JSON reader
            if not (config and config.parse_env):
                raise
            cls.logger.error("An environment variable TARGET_JOURNEYS_… must hold JSON.")
            raise SystemExit(2) from None
        except StoreInUseError as error:  # while its tables are being changed
            cls.logger.error(str(error))
            raise SystemExit(1) from None
        gc.freeze()  # what was imported is never garbage and need not be looked through again
        gc.set_threshold(GC_THRESHOLD)
        try:
            target.claim()
            target.listen(file_input)
        except FAILURES as error:
            cls.logger.error(str(error))
            raise SystemExit(1) from None
        except sqlite3.Error as error:
            cls.logger.error(str(in_words(error, target.store.path)))
            raise SystemExit(1) from None
        finally:
            target.progress.end()
            target.ledger.abandon()
            target.store.close()
        sys.stderr.write(target.summary() + "\n")
        raise SystemExit(target.exit_code)


def hashed(record: dict[str, Any]) -> str:
    """A key for a record that has none."""
    text = json.dumps(record, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
