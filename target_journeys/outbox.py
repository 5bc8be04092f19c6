"""What each destination still has to be told: queued with the journeys, sent after the commit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from journeys.consent import allows
from journeys.event import isoformat
from target_journeys.destinations.base import Delivery, Destination, Verdict
from target_journeys.rows import KEY_LENGTH, as_mapping, json_text
from target_journeys.stores.base import chunks
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import STAGE_COLUMNS

ATTEMPTS = 4  # within one run; after that the rows wait for the next run
TIMEOUT_S = 10  # to connect, and between two bytes of the answer
LOCKED_OUT = (401, 403, 410)  # what every row would be answered
LONGEST_WAIT_S = 60  # what a run sleeps on a vendor's word; a longer word ends the sending
INTRODUCED = 10_000  # rows that are queued together for a new destination
ANSWER_LENGTH = 200  # characters of a refusal that are kept

Consents = Mapping[str, Mapping[str, bool]]  # person → purpose → given or withdrawn

logger = logging.getLogger("target-journeys.outbox")


class UnavailableError(Exception):
    """The destination could not take the request now; it stays in the outbox."""

    def __init__(self, message: str, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.wait = wait  # as long as the vendor says


class LockedOutError(UnavailableError):
    """The destination does not know us; no other row would fare better until that is mended."""


class RefusedError(Exception):
    """The destination said no; the same request would be refused again."""


@dataclass(slots=True)
class Sent:
    """What became of the rows of one delivery."""

    sent: int = 0
    waiting: int = 0
    refused: int = 0
    rehearsed: int = 0  # written to a file by a dry run


class Outbox:
    """Queues what changed for every destination, and sends what waits."""

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.destinations = destinations
        self.session = requests.Session()
        self._now = now
        self._sleep = {"sleep": sleep} if sleep else {}

    # -- queueing --------------------------------------------------------------------------

    def enqueue(
        self,
        store: SQLiteStore,
        stages: Sequence[Sequence[object]],
        visits: Iterable[Sequence[object]],
        dropped: Iterable[Sequence[object]],
        *,
        consents: Consents,
    ) -> None:
        """Queue changed records, stages entered, and records that ceased to exist."""
        for name, destination in self.destinations.items():
            barred = who_bars(destination, consents)
            if "record" in destination.rows:
                self._queue_records(store, name, stages, barred)
                store.queue_deletes((name, record_key(row)) for row in dropped)
            if "transition" in destination.rows:
                store.queue(transition(name, row) for row in visits if row[0] not in barred)
                store.drop_transitions(name, sorted(barred))

    def _queue_records(
        self,
        store: SQLiteStore,
        name: str,
        stages: Iterable[Sequence[object]],
        barred: Collection[object],
    ) -> None:
        """Queue records, and the end of those whose subject does not consent."""
        seen = seen_by(self.destinations[name])
        told = [row for row in stages if row[0] not in barred] if barred else stages
        store.queue(
            (name, "record", record_key(row), "upsert", digest(seen(row)), None) for row in told
        )
        if barred:
            store.queue_deletes((name, record_key(row)) for row in stages if row[0] in barred)

    def introduce(self, store: SQLiteStore) -> None:
        """Queue every record for a destination that was never told, or sees other fields now."""
        for name, destination in self.destinations.items():
            sees: list[object] = [type(destination).__name__, destination.rows, destination.sees()]
            told = json_text(sees + ([destination.purpose] if destination.purpose else []))
            if store.note(f"destination {name}") == told:
                continue
            self.enqueue_all(store, name, destination)
            store.keep_note(f"destination {name}", told)

    def enqueue_all(self, store: SQLiteStore, name: str, destination: Destination) -> None:
        """Queue what is known, for one destination; what it has seen already stays sent."""
        if "record" in destination.rows:
            for rows in chunks(store.all_stages(), INTRODUCED):
                consents = store.consents_of({str(row[0]) for row in rows})
                self._queue_records(store, name, rows, who_bars(destination, consents))

    # -- sending ---------------------------------------------------------------------------

    def deliver(self, store: SQLiteStore) -> Sent:
        """Send what waits; what a destination cannot take now waits for the next run."""
        total = Sent()
        for name, destination in self.destinations.items():
            if destination.dry_run:
                total.rehearsed += self._rehearse(store, name, destination)
                continue
            started = isoformat(self._now())  # a row that must wait is not tried again in this run
            while rows := list(store.waiting(name, started, destination.batch)):
                deliveries = self._deliveries(store, name, destination, rows)
                try:
                    verdicts = self._send(destination, deliveries)
                except UnavailableError as error:
                    logger.warning("Destination '%s' does not answer: %s", name, error)
                    self._settle(store, name, rows, [Verdict("waiting", str(error))] * len(rows))
                    break
                self._settle(store, name, rows, verdicts)
                total.sent += sum(verdict.status == "sent" for verdict in verdicts)
        counts = store.outbox_counts()
        for (name, status), count in counts.items():
            if name not in self.destinations or self.destinations[name].dry_run:
                continue
            total.waiting += count if status == "waiting" else 0
            total.refused += count if status == "refused" else 0
        return total

    def _deliveries(
        self, store: SQLiteStore, name: str, destination: Destination, rows: Sequence[Sequence[Any]]
    ) -> list[Delivery]:
        """Rows of the outbox with what they tell now; records are read afresh."""
        keys = {row[1]: tuple(msgspec.json.decode(row[1])) for row in rows if row[0] == "record"}
        subjects = {str(key[0]) for key in keys.values()}
        known = {row[:KEY_LENGTH]: row for row in store.stages_of(subjects)}
        at, sees = isoformat(self._now()), destination.sees()
        unseen = [name for name in STAGE_COLUMNS if name not in sees]
        found = []
        for kind, key, op, version, content, payload in rows:
            if kind == "transition":
                data = msgspec.json.decode(payload)
            else:
                stage = known.get(keys[key])
                op = "delete" if stage is None else op
                if op == "upsert" and stage is not None:
                    data = as_mapping(stage)
                    for field in unseen:
                        del data[field]
                else:
                    data = dict(zip(STAGE_COLUMNS, keys[key], strict=False))
            text = f"journeys|{name}|{key}|{version}|{op}|{content}"
            delivery_id = hashlib.sha256(text.encode()).hexdigest()
            found.append(Delivery(delivery_id, kind, op, key, version, at, data))
        return found

    def _send(self, destination: Destination, deliveries: list[Delivery]) -> list[Verdict]:
        """One verdict per row; a batch that is refused is halved until the bad row stands alone."""
        try:
            response = self._retrying()(self._post, destination, deliveries)
        except RefusedError as error:
            if len(deliveries) == 1:
                return [Verdict("refused", str(error))]
            half = len(deliveries) // 2
            first = self._send(destination, deliveries[:half])
            return first + self._send(destination, deliveries[half:])
        return destination.verdicts(response, deliveries)

    def _post(self, destination: Destination, deliveries: list[Delivery]) -> requests.Response:
        prepared = self.session.prepare_request(destination.request(deliveries))
        try:
            response = self.session.send(prepared, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            raise UnavailableError(type(error).__name__) from None
        check(response, self._now())
        return response

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=_wait,
            stop=_stop,
            reraise=True,
            **self._sleep,  # type: ignore[arg-type]  # a test passes its own sleep
        )

    def _settle(
        self,
        store: SQLiteStore,
        name: str,
        rows: Sequence[Sequence[Any]],
        verdicts: Sequence[Verdict],
    ) -> None:
        later = isoformat(self._now() + timedelta(seconds=1))
        with store.transaction():
            store.settle(
                (
                    verdict.status,
                    row[4] if verdict.status == "sent" else None,
                    later if verdict.status == "waiting" else None,
                    verdict.answer,
                    name,
                    row[0],
                    row[1],
                    row[3],
                )
                for row, verdict in zip(rows, verdicts, strict=True)
            )

    def _rehearse(self, store: SQLiteStore, name: str, destination: Destination) -> int:
        """Write the requests that would be sent; nothing is marked as sent. How many rows."""
        rehearsed = 0
        with Path(f"{name}.dry-run.jsonl").open("w", encoding="utf-8") as out:
            for part in chunks(store.waiting(name, "9999", -1), destination.batch):
                request = destination.request(self._deliveries(store, name, destination, part))
                body = request.data.decode() if isinstance(request.data, bytes) else request.json
                line = {"method": request.method, "url": request.url, "body": body}
                out.write(json_text(line) + "\n")
                rehearsed += len(part)
        return rehearsed


def check(response: requests.Response, now: datetime) -> None:
    """Raise what the answer means for the rows that are being sent."""
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        raise UnavailableError(f"HTTP {status}", retry_after(response, now))
    if status in LOCKED_OUT:
        raise LockedOutError(f"HTTP {status}; check the URL and credentials of this destination")
    if status >= 300:
        raise RefusedError(f"HTTP {status}: {response.text[:ANSWER_LENGTH]}")


def retry_after(response: requests.Response, now: datetime) -> timedelta | None:
    """How long the vendor asks to wait: seconds or a date."""
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return timedelta(seconds=int(value))
    with suppress(ValueError):
        return max(parsedate_to_datetime(value) - now, timedelta(0))
    return None


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, UnavailableError) and error.wait is not None:
        return error.wait.total_seconds()
    return wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_S)(state)


def _stop(state: RetryCallState) -> bool:
    """Enough tries, or the vendor asks for more patience than a run has."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, UnavailableError) else None
    if isinstance(error, LockedOutError):
        return True
    too_long = asked is not None and asked > timedelta(seconds=LONGEST_WAIT_S)
    return too_long or stop_after_attempt(ATTEMPTS)(state)


def who_bars(destination: Destination, consents: Consents) -> frozenset[str]:
    """The people who did not consent to what a destination is for."""
    if destination.purpose is None:
        return frozenset()
    return frozenset(
        who for who, given in consents.items() if not allows(given, destination.purpose)
    )


def record_key(row: Sequence[object]) -> str:
    """A record's key as text: subject, grain, scope id and episode as a JSON list."""
    return json_text(row[:KEY_LENGTH])


def transition(name: str, visit: Sequence[object]) -> tuple[object, ...]:
    """The outbox row of one stage entered."""
    subject, grain, scope, episode, _, stage, entered_at, cycle, event_id = visit
    key = json_text([subject, grain, scope, episode, stage, entered_at, event_id])
    payload = json_text(
        {
            "subject": subject,
            "scope_grain": grain,
            "scope_id": scope,
            "episode": episode,
            "stage": stage,
            "entered_at": entered_at,
            "cycle": cycle,
            "event_id": event_id,
        }
    )
    return name, "transition", key, "append", digest(payload), payload


def seen_by(destination: Destination) -> Callable[[Sequence[object]], str]:
    """A text of a stage row that changes when, and only when, the destination sees a change."""
    pick = itemgetter(*(STAGE_COLUMNS.index(name) for name in destination.sees()))
    return lambda row: json_text(pick(row))


def digest(text: str) -> str:
    """32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
