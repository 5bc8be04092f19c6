"""Takes in what arrives: events, products and records that no rule uses, into the store."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from journeys.event import JourneyEvent, Product, version_key
from journeys.model import FACTS
from target_journeys.events import arrived, stored
from target_journeys.forgotten import Forgotten
from target_journeys.histories import Histories
from target_journeys.policy import Policy
from target_journeys.products import Products, decode_product
from target_journeys.stores.base import EventRow, UnmappedRow
from target_journeys.touched import Touched, facts_of, tells

CHUNK = 5_000  # events that are decoded and inserted together

logger = logging.getLogger("target-journeys.ledger")


@dataclass(slots=True)
class Tally:
    """What a run has done, for its summary line."""

    events: int = 0
    new: int = 0
    products: int = 0
    set_aside: int = 0  # records that were not set aside before
    set_aside_events: int = 0  # of these: events and products that are not what they should be
    forgotten: int = 0  # events of people who were forgotten
    stages_changed: int = 0
    streams: Counter[str] = field(default_factory=Counter)  # stream → events from it


class Intake:
    """Gathers records, checks them and appends them, in its caller's transaction."""

    def __init__(
        self, histories: Histories, products: Products, policy: Policy, tally: Tally
    ) -> None:
        self.store = histories.store
        self.histories = histories
        self.products = products
        self.policy = policy
        self.tally = tally
        self.touched = Touched()
        self._events: list[bytes] = []
        self._products: list[bytes] = []
        self._unmapped: list[UnmappedRow] = []
        self._forgotten = Forgotten(self.store)
        self._guarded = policy.pseudonyms is not None or bool(self._forgotten)

    def add_events(self, records: Iterable[bytes]) -> bool:
        """Take events, as JSON; tells whether it is time to append."""
        self._events += records
        return len(self._events) >= CHUNK

    def add_product(self, record: bytes) -> None:
        """Take one product, as JSON."""
        self._products.append(record)

    def add_unmapped(self, row: UnmappedRow) -> bool:
        """Take note of a record that is not used; tells whether it is time to append."""
        self._unmapped.append(row)
        return len(self._unmapped) >= CHUNK

    def append(self) -> None:
        """Insert what was gathered, and note whom it concerns."""
        taken, self._events = self._events, []
        checked = self._checked(taken)
        self.tally.events += len(taken)
        self.tally.streams.update(event.source for event, _ in checked.values())
        appended = self.store.append(event_rows(checked.values()))
        self.tally.new += len(appended.new)
        self._replace((body, *checked.pop(name)) for name, body in appended.conflicts.items())
        events = [event for event, _ in checked.values()]
        self._touch(events)
        for event in events:
            if event.event_type in FACTS:
                self.histories.identities.learn(event)
        self.histories.remember(checked.values())
        self._append_products()
        unmapped, self._unmapped = self._unmapped, []
        if self._guarded:
            unmapped = list(self._let_in_keys(unmapped))
        self.tally.set_aside += self.store.keep_unmapped(unmapped)

    def _checked(self, records: Iterable[bytes]) -> dict[str, tuple[JourneyEvent, bytes]]:
        """Event id → the event in its latest version, and its JSON."""
        events: dict[str, tuple[JourneyEvent, bytes]] = {}
        for record in records:
            try:
                event, record = arrived(record)
            except (msgspec.DecodeError, ValueError) as error:
                self._set_aside("journey_events", "event_id", record, error)
                continue
            if self._guarded:
                let_in = self._let_in(event)
                if let_in is None:
                    continue
                event, record = let_in
            known = events.setdefault(event.event_id, (event, record))
            if known[0] is not event and version_key(event) > version_key(known[0]):
                events[event.event_id] = (event, record)
        return events

    def _replace(self, conflicts: Iterable[tuple[str, JourneyEvent, bytes]]) -> None:
        """Put newer versions in the place of what is stored: (stored, event, its JSON)."""
        newer = []
        for body, event, record in conflicts:
            older = stored(body)
            if older != event and version_key(event) > version_key(older):
                newer.append((event, record))
                self._touch([older])  # its customer loses it
                self.histories.identities.doubt(older)
                self.histories.identities.doubt(event)
                self.store.drop_facts(facts_of(older, self.policy.accounts))
                self._touch([event])
        if newer:
            self.store.replace_events(event_rows(newer))
            self.histories.read_all = True  # an older version gave way, perhaps of another customer

    def _let_in(self, event: JourneyEvent) -> tuple[JourneyEvent, bytes] | None:
        """An event without the ids that must not be kept; none of who was forgotten."""
        record: bytes | None = None
        if self.policy.pseudonyms is not None:
            record = self.policy.pseudonyms.event(event)
            event = stored(record.decode())
        if self._forgotten:
            record = self._forgotten.event(event)
            if record is None:
                self.tally.forgotten += 1
                return None
        assert record is not None
        return stored(record.decode()), record

    def _let_in_keys(self, rows: Iterable[UnmappedRow]) -> Iterator[UnmappedRow]:
        """The same for records that are not used, by their keys."""
        for row in rows:
            if self.policy.pseudonyms is not None:
                row = row._replace(record_key=self.policy.pseudonyms.key(row.record_key))
            if not self._forgotten.keeps_out(row):
                yield row

    def _append_products(self) -> None:
        taken, self._products = self._products, []
        products: dict[str, tuple[Product, bytes]] = {}
        for record in taken:
            try:
                product = decode_product(record)
            except msgspec.DecodeError as error:
                self._set_aside("products", "product_id", record, error)
                continue
            products[product.product_id] = product, record
        self.tally.products += len(taken)
        self.touched.names |= self.products.keep(products)

    def _set_aside(self, stream: str, key: str, record: bytes, error: Exception) -> None:
        self._unmapped.append(refused(stream, key, record, error))
        self.tally.set_aside_events += 1

    def _touch(self, events: Collection[JourneyEvent]) -> None:
        """Note whom these events concern, and keep what they say about ids."""
        rules = self.policy.accounts
        self.touched.whom(events)
        telling = [event for event in events if tells(event)]
        facts: list[tuple[str, str, str]] = []
        for event in telling:
            self.touched.by(event, rules)
            facts += facts_of(event, rules)
        if not facts:
            return
        self.store.keep_facts(facts)
        self.histories.learn({kind for kind, _, _ in facts})
        corrected = [event_id for kind, event_id, _ in facts if kind == "superseded"]
        for body in self.store.bodies_of(corrected):
            self.touched.by(stored(body), rules)
            self.histories.identities.doubt(stored(body))


def event_rows(events: Iterable[tuple[JourneyEvent, bytes]]) -> list[EventRow]:
    """Events as the store keeps them."""
    return [
        (event.event_id, event.subject, event.account, record.decode()) for event, record in events
    ]


def refused(stream: str, key: str, record: bytes, error: Exception) -> UnmappedRow:
    """A record that is not what its stream promises; the reason never holds its content."""
    try:
        found = msgspec.json.decode(record)
        name = str(found[key])
    except (msgspec.DecodeError, KeyError, TypeError):
        name = f"without {key}"
    reason = str(error)
    logger.warning("Record %s of stream '%s' is set aside: %s", name, stream, reason)
    return UnmappedRow(stream, "", name, reason)
