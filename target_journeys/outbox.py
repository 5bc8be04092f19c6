"""What each destination still has to be told: queued with the journeys, sent after the commit."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from target_journeys.deliveries import CATEGORY, requests_of
from target_journeys.destinations.base import Destination
from target_journeys.lane import LEASE_S, Batch, Lane, stamp
from target_journeys.queueing import (
    Consents,
    Stage,
    digest,
    told_and_gone,
    transition,
    who_bars,
)
from target_journeys.rows import KEY_LENGTH, json_text
from target_journeys.sending import Told
from target_journeys.side_by_side import SideBySide
from target_journeys.stores.base import chunks
from target_journeys.stores.sqlite import SQLiteStore

INTRODUCED = 10_000  # rows that are queued together for a new destination
RENEW_S = LEASE_S / 4
LEFT = ("waiting", "refused", "unknown")  # what a run counts at its end


@dataclass(slots=True)
class Sent:
    """What became of the rows of one delivery."""

    sent: int = 0
    waiting: int = 0
    refused: int = 0
    unknown: int = 0  # timed out at a receiver that cannot tell repeats
    rehearsed: int = 0  # written to a file by a dry run

    @property
    def left(self) -> int:
        """How many rows somebody has to wait for, or to see to."""
        return self.waiting + self.refused + self.unknown

    def summary(self) -> str:
        """The counts in words; what did not happen is left out where it is rare."""
        words = f"{self.sent:,} sent, {self.waiting:,} waiting, {self.refused:,} refused"
        for name in ("unknown", "rehearsed"):
            if count := getattr(self, name):
                words += f", {count:,} {name}"
        return words


class Outbox:
    """Queues what changed for every destination, and sends what waits."""

    now: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))
    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, destinations: Mapping[str, Destination]) -> None:
        self.destinations = destinations

    # -- queueing --------------------------------------------------------------------------

    def enqueue(
        self,
        store: SQLiteStore,
        stages: Sequence[Stage],
        visits: Sequence[Stage],
        dropped: Sequence[Stage],
        *,
        consents: Consents,
    ) -> None:
        """Queue changed records, stages entered, and records that ceased to exist."""
        for name, destination in self.destinations.items():
            barred = who_bars(destination, consents)
            if "record" in destination.rows:
                self._queue_records(store, name, stages, dropped, barred)
            if "transition" in destination.rows:
                own = visits
                if destination.categories:
                    wanted = {
                        row[:KEY_LENGTH] for row in stages if destination.wants(row[CATEGORY])
                    }
                    own = [row for row in visits if row[:KEY_LENGTH] in wanted]
                if barred:
                    own = [row for row in own if row[0] not in barred]
                    store.outbox.drop_transitions(name, sorted(barred))
                store.outbox.queue((transition(name, row) for row in own), self._at())

    def _queue_records(
        self,
        store: SQLiteStore,
        name: str,
        stages: Sequence[Stage],
        dropped: Sequence[Stage],
        barred: Collection[object],
    ) -> None:
        """Queue records, and the end of those that ceased to be or whose subject is barred."""
        told, gone = told_and_gone(store, self.destinations[name], stages, dropped, barred)
        at = self._at()
        store.outbox.queue(
            (
                (name, "record", key, "upsert", digest(text), None, key)
                for key, text in told.items()
            ),
            at,
        )
        store.outbox.queue_deletes(((name, key) for key in gone), at)

    def introduce(self, store: SQLiteStore) -> None:
        """Queue every record for a destination that was never told, or sees other things now."""
        for name, destination in self.destinations.items():
            promise: list[object] = [destination.shape(), destination.rows, destination.sees()]
            told = json_text([*promise, destination.categories, destination.purpose])
            if store.note(f"destination {name}") == told:
                continue
            self.enqueue_all(store, name, destination)
            store.keep_note(f"destination {name}", told)

    def enqueue_all(self, store: SQLiteStore, name: str, destination: Destination) -> None:
        """Queue what is known, for one destination; what it has seen already stays sent."""
        if "record" in destination.rows:
            for rows in chunks(store.all_stages(), INTRODUCED):
                consents = store.consents_of({str(row[0]) for row in rows})
                self._queue_records(store, name, rows, [], who_bars(destination, consents))

    def _at(self) -> str:
        return stamp(self.now())

    # -- sending ---------------------------------------------------------------------------

    def deliver(self, store: SQLiteStore, *, allow_deletes: bool = False) -> Sent:
        """Send what waits, to all destinations at the same time.

        What a destination cannot take now waits for the next run.
        """
        total = Sent()
        run = secrets.token_hex(8)
        lanes = []
        for name, destination in self.destinations.items():
            if destination.dry_run:
                total.rehearsed += self._rehearse(store, name, destination)
            else:
                lanes.append(
                    Lane(name, destination, store, run, self.now, allow_deletes=allow_deletes)
                )
        try:
            self._send(store, lanes, run)
        finally:
            for lane in lanes:
                lane.sender.close()
        counts = store.backlog.counts()
        for lane in lanes:
            own = {status: counts.get((lane.name, status), 0) for status in LEFT}
            total.sent += lane.sent
            total.waiting += own["waiting"]
            total.refused += own["refused"]
            total.unknown += own["unknown"]
            if lane.sent or any(own.values()):
                self._keep_history(store, lane, run, own)
        return total

    def _send(self, store: SQLiteStore, lanes: Sequence[Lane], run: str) -> None:
        """Lease, send and settle until nothing is left that can be done in this run."""
        calls: SideBySide[Batch, Told] = SideBySide()
        renewed = self.now()
        while True:
            for lane in lanes:
                while (batch := lane.lease()) is not None:
                    calls.start(Batch.tell, batch)
            wakes = [moment for lane in lanes if (moment := lane.wakes_at()) is not None]
            now = self.now()
            wait_s = (min(wakes) - now).total_seconds() if wakes else RENEW_S
            if not calls.running:
                if not wakes:
                    return
                if wait_s > 0:
                    self.sleep(wait_s)
                continue
            done = calls.next(min(wait_s, RENEW_S))
            if self.now() - renewed > timedelta(seconds=RENEW_S):
                renewed = self.now()
                with store.transaction():
                    store.outbox.renew(run, stamp(renewed + timedelta(seconds=LEASE_S)))
            if done is None:
                continue
            if done.result is not None:
                done.item.lane.settle(done.item, done.result)
            elif done.error is not None:
                done.item.lane.fail(done.item, done.error)

    def _keep_history(
        self, store: SQLiteStore, lane: Lane, run: str, left: Mapping[str, int]
    ) -> None:
        with store.transaction():
            store.backlog.keep_delivery(
                (
                    run,
                    lane.name,
                    stamp(lane.started),
                    self._at(),
                    lane.sent,
                    left["refused"],
                    left["waiting"],
                    left["unknown"],
                    store.backlog.oldest_waiting(lane.name),
                    lane.stopped,
                )
            )

    def _rehearse(self, store: SQLiteStore, name: str, destination: Destination) -> int:
        """Write the requests that would be sent; nothing is marked as sent. How many rows."""
        rehearsed = 0
        with Path(f"{name}.dry-run.jsonl").open("wb") as out:
            for rows in chunks(store.outbox.waiting(name), destination.batch):
                for line in requests_of(store, name, destination, rows, self.now()):
                    out.write(msgspec.json.encode(line, order="deterministic") + b"\n")
                rehearsed += len(rows)
        return rehearsed
