"""Events in, journeys out: append, fold the touched subjects, write, all in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from journeys.catalogue import Catalogue, Owner, index_aliases, item_links, item_owners
from journeys.event import JourneyEvent, Product, changed, isoformat, version_key
from journeys.fold import Folded, fold_subject
from journeys.identity import Link, canonical_ids, link_of, memberships
from journeys.model import FACTS, StageModel
from target_journeys.events import arrived, decode_many, stored
from target_journeys.outbox import Outbox
from target_journeys.rows import KEY_LENGTH, customer_row, stage_row, visit_rows
from target_journeys.stores.base import EventRow, UnmappedRow, chunks
from target_journeys.stores.sqlite import MAX_ROW, SQLiteStore

CHUNK = 5_000  # events that are decoded and inserted together
SUBJECTS = 500  # subjects that are loaded and folded together
KINDS = ("superseded", "link", "member", "ownerless")  # facts that most stores do without
PEOPLE, ACCOUNTS = "people", "accounts"
COLUMN = {PEOPLE: "subject", ACCOUNTS: "account"}

logger = logging.getLogger("target-journeys.ledger")
_decode_product = msgspec.json.Decoder(Product).decode


@dataclass(slots=True)
class Tally:
    """What a run has done, for its summary line."""

    events: int = 0
    new: int = 0
    products: int = 0
    set_aside: int = 0  # records that were not set aside before
    set_aside_events: int = 0  # of these: events and products that are not what they should be
    stages_changed: int = 0


@dataclass(slots=True)
class Touched:
    """Who has to be folded again at the end of the batch."""

    people: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    linked: dict[str, str] = field(default_factory=dict)  # id in a link → PEOPLE or ACCOUNTS
    names: set[str] = field(default_factory=set)  # products and items that mean something new
    items: set[str] = field(default_factory=set)  # items with news of their owner, or for him

    def of(self, kind: str) -> set[str]:
        """The set of one kind."""
        return self.people if kind == PEOPLE else self.accounts


class Ledger:
    """Keeps what arrives and what it comes to."""

    def __init__(
        self, store: SQLiteStore, model: StageModel, outbox: Outbox, as_of: datetime
    ) -> None:
        self.store = store
        self.model = model
        self.outbox = outbox
        self.as_of = as_of
        self.tally = Tally()
        self.pending = 0  # records since the last commit
        self._open = False
        self._events: list[bytes] = []
        self._products: list[bytes] = []
        self._unmapped: list[UnmappedRow] = []
        self._touched = Touched()
        self._fresh: dict[str, dict[str, list[bytes]]] = {PEOPLE: {}, ACCOUNTS: {}}
        self._before = 0  # the last event of earlier batches
        self._regrouped: set[str] = set()  # canonical ids whose group changed in this batch
        self._read_all = False  # what is at hand is not the whole truth: read all from the store
        self._has = {kind: store.has_facts(kind) for kind in KINDS}
        self._catalogue = Catalogue()
        self._load_products()

    # -- taking in -------------------------------------------------------------------------

    def add_event(self, record: bytes) -> None:
        """Take one event, as JSON."""
        self._events.append(record)
        self.pending += 1
        if len(self._events) >= CHUNK:
            self._append()

    def add_product(self, record: bytes) -> None:
        """Take one product, as JSON."""
        self._products.append(record)
        self.pending += 1

    def add_unmapped(self, row: UnmappedRow) -> None:
        """Take note of a record that is not used."""
        self._unmapped.append(row)
        self.pending += 1
        if len(self._unmapped) >= CHUNK:
            self._append()

    def _append(self) -> None:
        """Insert what was gathered; the transaction stays open until :meth:`commit`."""
        if not self._open:
            self.store.begin()
            self._open = True
            self._before = self.store.last_row()
        taken, self._events = self._events, []
        events: dict[str, tuple[JourneyEvent, bytes]] = {}
        for record in taken:
            try:
                event, record = arrived(record)
            except (msgspec.DecodeError, ValueError) as error:
                self._set_aside("journey_events", "event_id", record, error)
                continue
            known = events.setdefault(event.event_id, (event, record))
            if known[0] is not event and version_key(event) > version_key(known[0]):
                events[event.event_id] = (event, record)
        self.tally.events += len(taken)
        rows = event_rows(events.values())
        appended = self.store.append(rows)
        self.tally.new += len(appended.new)
        newer = []
        for event_id, body in appended.conflicts.items():
            event, record = events.pop(event_id)
            older = stored(body)
            if older != event and version_key(event) > version_key(older):
                newer.append((event, record))
                self._touch([older])  # its customer loses it
                self.store.drop_facts(facts_of(older))
                self._touch([event])
        if newer:
            self.store.replace_events(event_rows(newer))
            self._read_all = True  # an older version gave way, perhaps of another customer
        self._touch(event for event, _ in events.values())
        self._remember(events.values())
        self._append_products()
        unmapped, self._unmapped = self._unmapped, []
        self.tally.set_aside += self.store.keep_unmapped(unmapped)

    def _remember(self, events: Iterable[tuple[JourneyEvent, bytes]]) -> None:
        """Keep this batch's events at hand, so that folding need not look for them."""
        for event, record in events:
            if event.subject is not None:
                self._fresh[PEOPLE].setdefault(event.subject, []).append(record)
            if event.account is not None:
                self._fresh[ACCOUNTS].setdefault(event.account, []).append(record)

    def _append_products(self) -> None:
        taken, self._products = self._products, []
        products: dict[str, bytes] = {}
        for record in taken:
            try:
                product = _decode_product(record)
            except msgspec.DecodeError as error:
                self._set_aside("products", "product_id", record, error)
                continue
            products[product.product_id] = record
            if self._catalogue.products.get(product.product_id) != product:
                self._touched.names.update((product.product_id, *product.aliases))
        self.tally.products += len(taken)
        self.store.keep_products((name, record.decode()) for name, record in products.items())

    def _set_aside(self, stream: str, key: str, record: bytes, error: Exception) -> None:
        self._unmapped.append(refused(stream, key, record, error))
        self.tally.set_aside_events += 1

    def _touch(self, events: Iterable[JourneyEvent]) -> None:
        """Note whom these events concern, and keep what they say about ids."""
        facts: list[tuple[str, str, str]] = []
        for event in events:
            self._concern(event)
            if (
                event.supersedes is not None
                or event.event_type in FACTS
                or (event.subject is None and event.account is None)
            ):
                facts += facts_of(event)
        if not facts:
            return
        self.store.keep_facts(facts)
        self._has |= {kind: True for kind, _, _ in facts if kind in self._has}
        corrected = [event_id for kind, event_id, _ in facts if kind == "superseded"]
        for body in self.store.bodies_of(corrected):
            self._concern(stored(body))

    def _concern(self, event: JourneyEvent) -> None:
        """Note who has to be folded again because of an event."""
        if event.subject is not None:
            self._touched.people.add(event.subject)
        if event.account is not None:
            self._touched.accounts.add(event.account)
        if event.event_type not in FACTS:
            if event.subject is None and event.account is None:
                self._touched.items.update(items_of(event))
            return
        link = link_of(event)
        if link is not None:
            kind = PEOPLE if event.subject is not None else ACCOUNTS
            self._touched.linked.update({link.left: kind, link.right: kind})
        elif event.event_type == "scope_linked":
            self._touched.names.update(items_of(event))
            self._touched.items.update(items_of(event))

    def _load_products(self) -> None:
        products = [_decode_product(body) for body in self.store.products()]
        by_id = {product.product_id: product for product in products}
        self._catalogue = Catalogue(by_id, index_aliases(products))

    def _load_items(self, events: Mapping[str, Sequence[JourneyEvent]]) -> None:
        """What the items (deals, orders …) of these events stand for."""
        items = {item for own in events.values() for event in own for item in items_of(event)}
        facts = [stored(body) for body in self.store.facts("item", items)] if items else []
        self._catalogue.items = item_links(self._not_superseded(facts))

    # -- committing ------------------------------------------------------------------------

    def commit(self) -> None:
        """Fold whom this batch touched and make all of it durable at once."""
        self._append()
        self._fold()
        self.store.commit()
        self._open = False
        self.pending = 0

    def close_run(self) -> None:
        """Let time do its part, and tell new destinations everything; then commit."""
        self._append()
        if self.store.note("model") != self.model.hash:
            self._touch_all(self._touched)
            self.store.keep_note("model", self.model.hash)
        for subject, kind in self.store.due(isoformat(self.as_of)):
            self._touched.of(kind).add(subject)
        self._fold()
        self.outbox.introduce(self.store)
        self.store.commit()
        self._open = False
        self.pending = 0

    def abandon(self) -> None:
        """Forget what is not committed."""
        if self._open:
            self.store.rollback()
            self._open = False

    def _fold(self) -> None:
        touched, self._touched = self._touched, Touched()
        if touched.names:
            had_catalogue = bool(self._catalogue.products)
            self._load_products()
            if self._catalogue.products and not had_catalogue:
                self._touch_all(touched)  # what is not in it is unknown from now on
            for subject, kind in self.store.subjects_of_names(touched.names):
                touched.of(kind).add(subject)
        if touched.items and self._has["ownerless"]:
            for body in self.store.facts("item", touched.items):
                link = stored(body)
                touched.people.update(filter(None, [link.subject]))
                touched.accounts.update(filter(None, [link.account]))
        if touched.linked:
            self._regroup(touched)
        if self._has["member"]:
            self._touch_accounts(touched)
        for kind in (PEOPLE, ACCOUNTS):
            for subjects in chunks(sorted(touched.of(kind)), SUBJECTS):
                self._fold_some(subjects, kind)
        self._fresh = {PEOPLE: {}, ACCOUNTS: {}}
        self._regrouped = set()
        self._read_all = False

    def _touch_all(self, touched: Touched) -> None:
        for subject, kind in self.store.subjects():
            touched.of(kind).add(subject)

    def _regroup(self, touched: Touched) -> None:
        """Find anew who is whom among all that the touched links reach."""
        reached, frontier = set(touched.linked), set(touched.linked)
        links: dict[str, Link] = {}
        while frontier:
            events = [stored(body) for body in self.store.facts("link", frontier)]
            for event in self._not_superseded(events):
                link = link_of(event)
                assert link is not None
                links[event.event_id] = link
                kind = PEOPLE if event.subject is not None else ACCOUNTS
                touched.linked.update({link.left: kind, link.right: kind})
            sides = {side for link in links.values() for side in (link.left, link.right)}
            frontier = sides - reached
            reached |= frontier
        before = self.store.canonical(reached)
        after = {name: name for name in reached} | canonical_ids(links.values())
        self.store.keep_identities(after)
        for name in reached:
            if before.get(name, name) != after[name]:
                kind = touched.linked[name]
                touched.of(kind).update((name, before.get(name, name), after[name]))
                self._regrouped.add(after[name])

    def _touch_accounts(self, touched: Touched) -> None:
        """What a member does is part of the account's journey too."""
        for ids in chunks(sorted(touched.people), CHUNK):
            group = self._ids_of(ids)
            everybody = {name for names in group.values() for name in names} | set(ids)
            facts = self.store.facts("member", everybody)
            touched.accounts.update(stored(body).account or "" for body in facts)
        touched.accounts.discard("")

    def _ids_of(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Canonical id → all ids of that person or account, for the given ids."""
        wanted = list(ids)
        if not self._has["link"]:
            return {name: [name] for name in wanted}
        canonical = self.store.canonical(wanted)
        groups: dict[str, list[str]] = {
            name: [] if name in canonical else [name] for name in wanted
        }
        groups |= {name: [] for name in canonical.values()}
        for name, member in self.store.group(set(canonical.values())):
            groups[name].append(member)
        return groups

    def _fold_some(self, subjects: Sequence[str], kind: str) -> None:
        """Fold these subjects and write what changed."""
        groups = self._ids_of(subjects)
        views = self.store.customers_of(groups)
        events = self._events_of(groups, kind, views)
        self._load_items(events)
        old = {row[:KEY_LENGTH]: row for row in self.store.stages_of(views)}
        stages, customers, visits = [], [], []
        retracted, gone, names, doubts = [], [], [], []
        at = isoformat(self.as_of)
        for subject, ids in groups.items():
            folded = fold_subject(
                self.model, events.get(subject, ()), subject, self._catalogue, self.as_of
            )
            for record in folded.records:
                row = stage_row(record)
                before = old.pop(row[:KEY_LENGTH], None)
                if before == row:
                    continue
                stages.append(row)
                since, appended = visit_rows(before, row, record)
                if since is not None:
                    retracted.append((at, *row[:KEY_LENGTH], since))
                visits += appended
            if folded.first_at is not None:
                view = customer_row(subject, kind, ids, folded)
                if views.get(subject) != view:
                    customers.append(view)
            elif subject in views:
                gone.append(subject)
            names += [(name, subject) for name in folded.other_names]
            doubts += list(own_doubts(subject, kind, folded))
        retracted += [(at, *key, 0) for key in old]
        self.store.keep_stages(stages)
        self.store.drop_stages(old)
        self.store.retract_visits(retracted)
        self.store.keep_visits(visits)
        self.store.keep_customers(customers)
        self.store.drop_customers(gone)
        self.store.keep_names(names)
        self.store.keep_doubts(groups, doubts)
        self.outbox.enqueue(self.store, stages, visits, list(old))
        self.tally.stages_changed += len(stages) + len(old)

    def _events_of(
        self, groups: Mapping[str, Sequence[str]], kind: str, known: Container[str]
    ) -> dict[str, list[JourneyEvent]]:
        """Canonical id → all its events; who is not ``known`` has none from earlier batches."""
        owner = {name: subject for subject, ids in groups.items() for name in ids}
        found: dict[str, list[JourneyEvent]] = {}
        fresh = {} if self._read_all else self._fresh[kind]
        for name, subject in owner.items():
            if name in fresh:
                bodies = b"[" + b",".join(fresh[name]) + b"]"
                found.setdefault(subject, []).extend(decode_many(bodies))
        until = MAX_ROW if self._read_all else self._before
        wanted = [
            name
            for name, subject in owner.items()
            if subject in known or subject in self._regrouped or self._read_all
        ]
        for name, stored_before in self.store.events_of(COLUMN[kind], wanted, until=until):
            if stored_before is not None:
                found.setdefault(owner[name], []).extend(decode_many(stored_before))
        if self._has["ownerless"]:
            for subject, events in self._owned(kind, owner).items():
                found.setdefault(subject, []).extend(events)
        if kind == ACCOUNTS and self._has["member"]:
            self._add_members(owner, found)
        if self._has["superseded"]:
            found = {name: self._not_superseded(events) for name, events in found.items()}
        return found

    def _add_members(self, owner: Mapping[str, str], found: dict[str, list[JourneyEvent]]) -> None:
        """Add what members did while they belonged to an account and named no account."""
        facts = [stored(body) for body in self.store.facts("member_of", owner)]
        joined = memberships(self._not_superseded(facts))
        people = self._ids_of({member.subject for member in joined})
        canonical = {name: subject for subject, ids in people.items() for name in ids}
        events: dict[str, list[JourneyEvent]] = {}
        for name, bodies in self.store.events_of("subject", canonical):
            own = decode_many(bodies) if bodies is not None else []
            events.setdefault(canonical[name], []).extend(e for e in own if e.account is None)
        if self._has["ownerless"]:
            for person, own in self._owned(PEOPLE, canonical).items():
                events.setdefault(person, []).extend(e for e in own if e.account is None)
        for member in joined:
            person = canonical.get(member.subject, member.subject)
            found.setdefault(owner[member.account], []).extend(
                event
                for event in events.get(person, ())
                if member.since <= event.occurred_at
                and (member.until is None or event.occurred_at < member.until)
            )

    def _owned(self, kind: str, subjects: Mapping[str, str]) -> dict[str, list[JourneyEvent]]:
        """Canonical id → what happened to its items (tickets, deals …) in events that name nobody.

        ``subjects``: id → canonical id. Such an event gets the owner that a ``scope_linked`` names.
        """
        links = [stored(body) for body in self.store.facts("owns", subjects)]
        items = {item for link in links for item in items_of(link)}
        if not items:
            return {}
        links = [stored(body) for body in self.store.facts("item", items)]
        owners = item_owners(self._not_superseded(links))
        found: dict[str, list[JourneyEvent]] = {}
        for body in self.store.facts("ownerless", items):
            event = stored(body)
            for item in items_of(event):
                owner = owners.get(item, Owner())
                name = owner.subject if kind == PEOPLE else owner.account
                if name is not None and name in subjects:
                    owned = changed(event, subject=owner.subject, account=owner.account)
                    found.setdefault(subjects[name], []).append(owned)
                    break
        return found

    def _not_superseded(self, events: list[JourneyEvent]) -> list[JourneyEvent]:
        if not self._has["superseded"] or not events:
            return events
        superseded = self.store.superseded_among(event.event_id for event in events)
        return [event for event in events if event.event_id not in superseded]


def facts_of(event: JourneyEvent) -> list[tuple[str, str, str]]:
    """(kind, id, event id) of what an event says about ids, beside what happened."""
    facts: list[tuple[str, str]] = []
    link = link_of(event)
    if event.supersedes is not None:
        facts.append(("superseded", event.supersedes))
    if link is not None:
        facts += [("link", link.left), ("link", link.right)]
    elif event.event_type in ("account_joined", "account_left"):
        facts += [("member", event.subject or ""), ("member_of", event.account or "")]
    elif event.event_type == "scope_linked":
        items = items_of(event)
        facts += [("item", item) for item in items]
        if items:
            facts += [("owns", event.subject or ""), ("owns", event.account or "")]
        if event.subject or event.account:
            facts += [("owned", item) for item in items]
    elif event.subject is None and event.account is None and event.event_type not in FACTS:
        facts.append(("nobody", event.source))
        facts += [("ownerless", item) for item in items_of(event)]
    return [(kind, name, event.event_id) for kind, name in facts if name]


def items_of(event: JourneyEvent) -> list[str]:
    """The items (tickets, deals, orders …) that an event is about."""
    return [scope.id for scope in event.scopes if scope.grain == "item"]


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


def own_doubts(subject: str, kind: str, folded: Folded) -> Iterator[tuple[str, str, str, int]]:
    """What is unresolved, each event counted once: with its person, else with its account."""
    for (stream, reason, has_person), count in sorted(folded.unresolved.items()):
        if has_person == (kind == PEOPLE):
            yield subject, stream, reason, count
