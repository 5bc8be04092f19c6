"""Forgets a person: erases, tells destinations, keeps out what comes again, and proves it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from journeys.event import JourneyEvent
from target_journeys.events import stored
from target_journeys.experience import Experience
from target_journeys.explain import who
from target_journeys.forgotten import Forgotten, entries, entry, telling, traces
from target_journeys.identities import ACCOUNTS, PEOPLE
from target_journeys.intake import event_rows
from target_journeys.items import items_of
from target_journeys.ledger import Ledger
from target_journeys.proof import left_of
from target_journeys.rows import KEY_LENGTH
from target_journeys.stores.base import StoreError, UnmappedRow
from target_journeys.touched import Touched, facts_of

UNFINISHED = "erasure unfinished"  # the note that the file is still to be written anew


@dataclass(slots=True)
class Receipt:
    """What was done, without a word of whom it was about."""

    entry: str  # the salted hash of the id that was asked for
    ids: int = 0
    items: int = 0  # tickets, orders … of this person alone
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

    def line(self) -> str:
        """For the log of a run."""
        rows = sum(self.removed.values())
        deletes = "".join(f", {count:,} deletes for {to}" for to, count in self.deletes.items())
        left = sum(self.deletes_left.values())
        waiting = f", {left:,} of all deletes not sent yet" if left else ""
        held = [name for name, places in self.found.items() if places]
        proof = f"still holding an id: {', '.join(held)}" if held else "searched, no id is left"
        return (
            f"Erased on request, receipt {self.entry}: {self.ids} ids, {rows:,} rows"
            f"{deletes}{waiting}; {proof if self.found else 'not searched yet'}"
        )

    def lines(self) -> Iterator[str]:
        """For people."""
        would = "would be " if self.is_rehearsal else ""
        yield f"Receipt {self.entry}"
        yield f"  {self.ids} ids of one person, {self.items} items of theirs alone; {would}removed:"
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


class Erased(NamedTuple):
    """What came of erasing somebody, and what must not be found any more."""

    receipt: Receipt
    texts: set[str]


def forget(ledger: Ledger, name: str, *, experience: Experience, dry_run: bool = False) -> Receipt:
    """Erase a person, by any id, from the store, and tell the destinations; or only count.

    Raises :class:`StoreError` for an account, and ``sqlite3.OperationalError`` when somebody else
    uses the store.
    """
    if who(ledger.store, name)[0] == ACCOUNTS:
        raise StoreError("SUBJECT: this is an account. Name one of the ids of a person")
    erased = erase(ledger, name, dry_run=dry_run)
    if not dry_run:
        experience.update()  # so that nothing is kept of the journeys as they were
        ledger.outbox.deliver(ledger.store)
        prove(ledger, [erased])
    return erased.receipt


def erase(ledger: Ledger, name: str, *, dry_run: bool = False) -> Erased:
    """Delete what the store holds of a person, in one transaction; a dry run takes it back."""
    store = ledger.store
    root = store.identities.canonical(PEOPLE, [name]).get(name, name)
    ids = sorted({name, root, *(each for _, each in store.identities.group(PEOPLE, [root]))})
    salt = bytes.fromhex(store.note("forgotten salt") or secrets.token_hex(32))
    receipt = Receipt(entry(salt, name), len(ids), is_rehearsal=dry_run)
    store.begin()
    try:
        texts = _erase(ledger, ids, salt, receipt)
        if not dry_run:
            store.commit()
    finally:
        store.rollback()  # nothing is left to roll back after a commit
    return Erased(receipt, texts)


def prove(ledger: Ledger, erased: Sequence[Erased]) -> None:
    """Write the file anew and search it; the receipts say what is left.

    Raises ``sqlite3.OperationalError`` when somebody else uses the store.
    """
    store = ledger.store
    left = store.erasure.left()
    store.erasure.vacuum()
    if not left:
        store.drop_note(UNFINISHED)
    rehearsed = [Path(f"{each}.dry-run.jsonl") for each in ledger.outbox.destinations]
    for receipt, texts in erased:
        receipt.deletes_left = left
        receipt.found = left_of(store, texts, [path for path in rehearsed if path.exists()])


def _erase(ledger: Ledger, ids: list[str], salt: bytes, receipt: Receipt) -> set[str]:
    """Delete what the store holds of these ids; tells the texts that must be gone now."""
    store, erasure = ledger.store, ledger.store.erasure
    accounts = (
        store.accounts_of(ids) | ledger.histories.members.accounts_of(ids) | erasure.teams_with(ids)
    )
    own = erasure.events_of(ids)
    theirs = [event for event in map(stored, own) if event.subject in ids]
    about = {item for event in theirs for item in items_of(event)}
    items = ledger.histories.items.of_person(ids, theirs)
    receipt.items = len(items)
    store.keep_note("forgotten salt", salt.hex())
    store.keep_note(UNFINISHED, "yes")
    erasure.remember(entries(salt, ids, items))
    bodies = {
        *own,
        *store.facts("ownerless", items),
        *store.facts("item", items),
        *erasure.events_with(traces(ids) | telling(items)),
    }
    touched = Touched(accounts=accounts, names=set(about), items=about)
    forgotten = Forgotten(store)
    take_out(ledger, sorted(bodies), forgotten, receipt, touched)
    touched.people -= set(ids)
    store.experience.remember(row[:KEY_LENGTH] for row in list(store.stages_of(ids)))
    receipt.removed |= erasure.rows(ids)
    unmapped = [
        row[:3] for row in erasure.unmapped_keys() if forgotten.keeps_out(UnmappedRow(*row))
    ]
    erasure.unmapped(unmapped)
    receipt.removed["unmapped_records"] = len(unmapped)
    receipt.accounts = len(accounts)
    deletes = erasure.outbox(ids)
    ledger.refold(touched)
    alone = items - erasure.items_of_others(items, ids)  # nobody else took part
    receipt.deletes = dict(deletes + erasure.items(alone, ids))
    return traces(ids) | telling(alone)


def take_out(
    ledger: Ledger,
    bodies: Iterable[str],
    forgotten: Forgotten,
    receipt: Receipt,
    touched: Touched,
) -> None:
    """Delete or free these events as the door would, and note whom that concerns."""
    store, rules = ledger.store, ledger.policy.accounts
    gone: list[str] = []
    changed: list[tuple[JourneyEvent, bytes]] = []
    for event in map(stored, bodies):
        body = forgotten.event(event)
        kept = None if body is None else stored(body.decode())
        if kept == event:
            continue
        if body is None or kept is None:
            gone.append(event.event_id)
        else:
            changed.append((kept, body))
            store.drop_facts(facts_of(event, rules))
            store.keep_facts(facts_of(kept, rules))
        for each in filter(None, (event, kept)):
            touched.people.update(filter(None, [each.subject]))
            touched.accounts.update(filter(None, [each.account]))
    receipt.removed["events"] = store.erasure.drop_events(gone)
    store.replace_events(event_rows(changed))
    receipt.events_redacted = len(changed)
