"""The sending to one destination: what it is told next, how it bears it, and when to stop."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from target_journeys.deliveries import Described, ToldAs, as_accepted, describe
from target_journeys.destinations.answers import LockedOutError, PauseError
from target_journeys.destinations.base import Destination, Verdict
from target_journeys.sending import Sender, Told
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_outbox import Outcome

LEASE_S = 120  # after which another run takes the rows of one that died
PATIENCE_S = 10  # a row that may be tried later than this is left to the next run
LONGEST_WAIT_S = 60  # what a run waits on a vendor's word; a longer word ends the sending
LONGEST_BACK_OFF_S = 300  # of one row
LONGEST_REST_S = 5  # of a destination that fails
REST_AFTER, BREAK_AFTER = 3, 10  # failures in a row
BREAK_AFTER_S = 30  # … or so long without a success
MOST_PAUSES = 20  # in a row, without any success between
POLL_S, LONGEST_POLL_S = 5, 60  # between two questions about a job; doubles with each
JOB_PATIENCE_S = 600  # a job that takes longer than this is left to the next run
FEW_DELETES = 20  # are never held back for their share

logger = logging.getLogger("target-journeys.outbox")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are under way together."""

    lane: Lane
    rows: Sequence[Described]
    job: str | None = None  # these rows were accepted; their outcome is asked

    def tell(self) -> Told:
        """Send, or ask; called in a thread."""
        deliveries = [each.delivery for each in self.rows]
        if self.job is not None:
            return self.lane.sender.ask(self.job, deliveries)
        return self.lane.sender.tell(deliveries)


class Lane:
    """One destination in one run. A lane never waits for another."""

    def __init__(
        self,
        name: str,
        destination: Destination,
        store: SQLiteStore,
        run: str,
        now: Callable[[], datetime],
        *,
        allow_deletes: bool = False,
    ) -> None:
        self.name, self.destination = name, destination
        self.sender = Sender(destination, now)
        self.sent = 0
        self.stopped: str | None = None  # why nothing more is sent in this run
        self.started = now()
        self._store, self._run, self._now = store, run, now
        self._under_way = 0
        self._width = 1  # doubles with every success: who is down is asked once
        self._until = self.started  # end of a pause
        self._look_at: datetime | None = self.started  # nothing is due before
        self._failures = self._pauses = 0
        self._polls: Counter[str] = Counter()  # job → how often it was asked for
        self._failing_since = self.started
        self._deletes = True
        self._begin(allow_deletes=allow_deletes)

    def _begin(self, *, allow_deletes: bool) -> None:
        kinds = [each for each in ("record", "transition") if not self.destination.repeatable(each)]
        with self._store.transaction():
            self._store.outbox.reclaim(self.name, stamp(self.started), kinds)
        pause = self._store.note(f"pause {self.name}")
        if pause is not None and pause > stamp(self.started):
            self._stop(f"it asked not to be called before {pause}")
        deletes, told = self._store.backlog.mirrored(self.name)
        if not allow_deletes and self._too_many(deletes, told):
            self._deletes = False
            logger.warning(
                "Destination '%s': %s deletes are held back, of %s records that it was told. "
                "`journeys deliver --plan` shows them, `--allow-deletes` sends them.",
                self.name,
                deletes,
                told,
            )

    def _too_many(self, deletes: int, told: int) -> bool:
        most, share = self.destination.max_deletes, self.destination.max_delete_share
        if most is not None and deletes > most:
            return True
        return deletes > FEW_DELETES and deletes > share * told

    # -- what is sent next -----------------------------------------------------------------

    def lease(self) -> Batch | None:
        """The next rows to send, taken for this run; none if there are none, or not now."""
        now = self._now()
        if (
            self.stopped is not None
            or self._under_way >= self._width
            or now < self._until
            or self._look_at is None
            or now < self._look_at
        ):
            return None
        at, until = stamp(now), stamp(now + timedelta(seconds=LEASE_S))
        outbox, destination = self._store.outbox, self.destination
        with self._store.transaction():
            if found := outbox.lease_job(self.name, at, self._run, until):
                job, rows = found
                described = describe(self._store, self.name, destination, rows, now)
                self._under_way += 1
                return Batch(self, [as_accepted(each) for each in described], job)
            due = outbox.due(self.name, at, destination.most, deletes=self._deletes)
            due = due[: destination.taken(len(due))]
            described = describe(self._store, self.name, destination, due, now)
            bad = {
                each.row.number: problem
                for each in described
                if (problem := destination.problem(each.delivery)) is not None
            }
            outbox.refuse(bad.items())
            good = [each for each in described if each.row.number not in bad]
            outbox.lease(
                [
                    (each.row.number, each.entered_or_in_doubt, each.about, ToldAs.of(each))
                    for each in good
                ],
                self._run,
                until,
            )
        if good:
            self._under_way += 1
            return Batch(self, good)
        if not due:
            self._look_at = self._next_look()
        return None

    def _next_look(self) -> datetime | None:
        """When something may be due that is not now; none if not in this run."""
        now = self._now()
        limits = {
            "waiting": now + timedelta(seconds=PATIENCE_S),
            "accepted": self.started + timedelta(seconds=JOB_PATIENCE_S),
        }
        moments = []
        for status, limit in limits.items():
            # if not: there is none, or only what others have under way or what is held back
            if found := self._store.outbox.next_due(self.name, status):
                moment = datetime.fromisoformat(found)
                if now < moment <= limit:
                    moments.append(moment)
        return min(moments, default=None)

    def wakes_at(self) -> datetime | None:
        """When there is something to do although no answer has come; none if never."""
        if self.stopped is not None or self._look_at is None or self._under_way >= self._width:
            return None
        return max(self._look_at, self._until)

    # -- what became of it -----------------------------------------------------------------

    def settle(self, batch: Batch, told: Told) -> None:
        """Write what became of a batch, and learn from it how to go on."""
        self._under_way -= 1
        now = self._now()
        self._look_at = now
        if told.trouble is None:
            self._failures = self._pauses = 0
            if any(verdict.status in ("sent", "accepted") for verdict in told.verdicts):
                self._width = min(self._width * 2, self.destination.width)
        else:
            self._bear(told.trouble, now)
        if batch.job is not None:
            self._polls[batch.job] += 1
        luck = random.random()  # the same for all rows, so that they can go together again
        outcomes = [
            self._outcome(each, verdict, told, now, luck)
            for each, verdict in zip(batch.rows, told.verdicts, strict=True)
        ]
        with self._store.transaction():
            self._store.outbox.settle(outcomes, self._run)
        self.sent += sum(verdict.status == "sent" for verdict in told.verdicts)

    def _outcome(
        self, each: Described, verdict: Verdict, told: Told, now: datetime, luck: float
    ) -> Outcome:
        waits = verdict.status in ("waiting", "accepted")
        paused = isinstance(told.trouble, PauseError) and verdict.status == "waiting"
        if not waits:
            again = None
        elif paused:
            again = max(self._until, now)
        elif verdict.status == "accepted":
            often = self._polls[verdict.job or ""]
            again = now + timedelta(seconds=min(POLL_S * 2.0**often, LONGEST_POLL_S))
        else:
            again = now + luck * back_off(each.row.attempts)
        return Outcome(
            each.row.number,
            verdict.status,
            verdict.answer,
            None if again is None else stamp(again),
            0 if paused or verdict.status == "accepted" else 1,
            each.entered if verdict.status == "sent" else None,
            verdict.job,
        )

    def _bear(self, trouble: Exception, now: datetime) -> None:
        """Slow down, pause, or stop for this run."""
        self._width = 1
        if isinstance(trouble, LockedOutError):
            self._stop(str(trouble))
        elif isinstance(trouble, PauseError):
            self._pauses += 1
            wait = trouble.wait
            if wait is None:
                wait = full_jitter(min(2.0**self._pauses, LONGEST_WAIT_S))
            self._until = max(self._until, now + wait)
            if wait > timedelta(seconds=LONGEST_WAIT_S):
                with self._store.transaction():
                    self._store.keep_note(f"pause {self.name}", stamp(self._until))
                self._stop(f"{trouble}; it asked not to be called before {stamp(self._until)}")
            elif self._pauses > MOST_PAUSES:
                self._stop(f"{trouble}, {self._pauses} times in a row")
        else:
            self._failures += 1
            if self._failures == 1:
                self._failing_since = now
            # Who asks seldom, for a job, has not failed for long because it failed twice.
            is_long = self._failures >= REST_AFTER and now - self._failing_since > timedelta(
                seconds=BREAK_AFTER_S
            )
            if self._failures >= BREAK_AFTER or is_long:
                self._stop(f"{trouble}, {self._failures} times in a row")
            elif self._failures >= REST_AFTER:
                rest = full_jitter(min(2.0 ** (self._failures - REST_AFTER), LONGEST_REST_S))
                self._until = max(self._until, now + rest)

    def fail(self, batch: Batch, error: Exception) -> None:
        """Our own mistake: the rows wait, and nothing more is sent here in this run."""
        where = place_of(error)
        verdict = Verdict("waiting", f"{type(error).__name__} at {where}")
        self.settle(batch, Told([verdict] * len(batch.rows)))
        self._stop(f"{type(error).__name__} at {where}; please report it")

    def _stop(self, reason: str) -> None:
        if self.stopped is None:
            logger.warning("Destination '%s' gets no more in this run: %s", self.name, reason)
        self.stopped = reason


def stamp(moment: datetime) -> str:
    """A moment whose text sorts as time does: always with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def full_jitter(longest_s: float) -> timedelta:
    """Any wait up to the longest, so that those who failed together do not return together."""
    return timedelta(seconds=random.uniform(0, longest_s))


def back_off(attempts: int) -> timedelta:
    """The longest that a row waits that was tried so often before."""
    return timedelta(seconds=min(2.0 ** min(attempts, 30), LONGEST_BACK_OFF_S))


def place_of(error: Exception) -> str:
    """Module and line of an error; its text may hold records."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
