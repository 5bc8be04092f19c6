"""Forgets a person: erases, tells destinations, keeps out what comes again, and proves it."""

from __future__ import annotations

import mmap
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from target_journeys.events import stored
from target_journeys.experience import Experience
from target_journeys.explain import who
from target_journeys.forgotten import Forgotten, entry, traces
from target_journeys.identities import ACCOUNTS, PEOPLE
from target_journeys.intake import event_rows
from target_journeys.ledger import Ledger
from target_journeys.rows import KEY_LENGTH
from target_journeys.stores.base import StoreError, UnmappedRow
from target_journeys.stores.sqlite import SQLiteStore


@dataclass(slots=True)
class Receipt:
    """What was done, without a word of whom it was about."""

    entry: str  # the salted hash of the id that was asked for
    ids: int = 0
    removed: dict[str, int] = field(default_factory=dict)  # table → rows
    events_redacted: int = 0  # events of others that held one of the ids
    accounts: int = 0  # whose journeys were computed anew
    deletes: dict[str, int] = field(default_factory=dict)  # destination → records to delete there
    deletes_left: dict[str, int] = field(default_factory=dict)  # of these, not sent yet
    found: dict[str, int] = field(default_factory=dict)  # file → places that still hold an id
    is_rehearsal: bool = False

    def as_mapping(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        would = "would be " if self.is_rehearsal else ""
        yield f"Receipt {self.entry}"
        yield f"  {self.ids} ids of one person; {would}removed:"
        for table, count in self.removed.items():
            yield f"  {count:>8,}  {table}"
        yield f"  {self.events_redacted:,} events of others {would}freed of these ids"
        yield f"  {self.accounts:,} accounts {would}computed anew"
        for name, count in self.deletes.items():
            left = self.deletes_left.get(name, 0)
            done = f"{would}deleted" if self.is_rehearsal else f"deleted, {left:,} of them not yet"
            yield f"  {name}: {count:,} records {done}"
        for name, places in self.found.items():
            found = "still holds an id" if places else "searched, holds none of the ids"
            yield f"  {name}: {found}"
        if self.deletes_left:
            yield (
                "  The ids of records that wait to be deleted stay in the outbox until then. "
                "Run `journeys deliver`, then `journeys forget` again."
            )


def forget(ledger: Ledger, name: str, *, experience: Experience, dry_run: bool = False) -> Receipt:
    """Erase a person, by any id, from the store, and tell the destinations; or only count.

    Raises :class:`StoreError` for an account, and ``sqlite3.OperationalError`` when somebody else
    uses the store.
    """
    store = ledger.store
    if who(store, name)[0] == ACCOUNTS:
        raise StoreError("SUBJECT: this is an account. Name one of the ids of a person")
    root = store.identities.canonical(PEOPLE, [name]).get(name, name)
    ids = sorted({name, root, *(each for _, each in store.identities.group(PEOPLE, [root]))})
    salt = bytes.fromhex(store.note("forgotten salt") or secrets.token_hex(32))
    receipt = Receipt(entry(salt, name), len(ids), is_rehearsal=dry_run)
    store.begin()
    try:
        erase(ledger, ids, salt, receipt)
        experience.refresh()
        if not dry_run:
            store.commit()
    finally:
        store.rollback()  # nothing is left to roll back after a commit
    if dry_run:
        return receipt
    ledger.outbox.deliver(store)
    receipt.deletes_left = store.erasure.left()
    store.erasure.vacuum()
    rehearsed = (Path(f"{each}.dry-run.jsonl") for each in ledger.outbox.destinations)
    receipt.found = left_of(store, ids, (path for path in rehearsed if path.exists()))
    return receipt


def erase(ledger: Ledger, ids: list[str], salt: bytes, receipt: Receipt) -> None:
    """Delete what the store holds of these ids, within a transaction."""
    store, erasure = ledger.store, ledger.store.erasure
    accounts = store.accounts_of(ids) | ledger.histories.members.accounts_of(ids)
    values = {name.partition(":")[2] for name in ids}
    store.keep_note("forgotten salt", salt.hex())
    erasure.remember(entry(salt, text) for text in {*ids, *values} if text)
    forgotten = Forgotten(store)
    receipt.removed["events"] = erasure.events(ids)
    held = [stored(body) for body in erasure.events_with(traces(ids))]
    kept = [body for event in held if (body := forgotten.event(event)) is not None]
    store.replace_events(event_rows((stored(body.decode()), body) for body in kept))
    receipt.events_redacted = len(kept)
    store.experience.remember(row[:KEY_LENGTH] for row in list(store.stages_of(ids)))
    receipt.removed |= erasure.rows(ids)
    unmapped = [
        row[:3] for row in erasure.unmapped_keys() if forgotten.keeps_out(UnmappedRow(*row))
    ]
    erasure.unmapped(unmapped)
    receipt.removed["unmapped_records"] = len(unmapped)
    receipt.deletes = erasure.outbox(ids)
    ledger.refold(accounts)
    receipt.accounts = len(accounts)


def left_of(store: SQLiteStore, ids: Iterable[str], more: Iterable[Path] = ()) -> dict[str, int]:
    """File → how many places of it still hold one of these ids, byte by byte; none is left out."""
    texts = [text.encode() for text in traces(ids)]
    found = {}
    for path in (*store.erasure.files(), *more):
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                found[path.name] = 0
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                found[path.name] = sum(content.find(text) >= 0 for text in texts)
    return found
