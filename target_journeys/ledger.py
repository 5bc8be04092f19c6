"""Events in, journeys out: append, fold the touched subjects, write, all in one transaction."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from journeys.accounts import AccountRules
from journeys.catalogue import Catalogue, index_aliases
from journeys.consent import allows
from journeys.event import JourneyEvent, Product, isoformat, version_key
from journeys.fold import Folded, fold_subject
from journeys.model import FACTS, StageModel
from journeys.team import BuyingTeam, Known, fold_account
from target_journeys.events import arrived, decode_many, stored
from target_journeys.forgotten import Forgotten
from target_journeys.identities import ACCOUNTS, COLUMN, PEOPLE, Identities
from target_journeys.items import Items, is_ownerless, item_facts, items_of
from target_journeys.members import Members
from target_journeys.outbox import Outbox
from target_journeys.policy import Policy
from target_journeys.pseudonyms import PSEUDONYMS, name_of
from target_journeys.rows import (
    CONSENTS,
    KEY_LENGTH,
    TEAM_KEY_LENGTH,
    customer_row,
    json_text,
    stage_row,
    team_row,
    visit_rows,
)
from target_journeys.stores.base import EventRow, UnmappedRow, chunks
from target_journeys.stores.sqlite import MAX_ROW, SQLiteStore
from target_journeys.teams import PROFILE, ROLE_OF, People, team_facts

CHUNK = 5_000  # events that are decoded and inserted together
SUBJECTS = 500  # subjects that are loaded and folded together

ERASURE = "erasure"  # kind of fact: somebody asks to be erased
TWO_KINDS = "account id is a person's"  # why an account has no journeys

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
    forgotten: int = 0  # events of people who were forgotten
    stages_changed: int = 0


@dataclass(slots=True)
class Touched:
    """Who has to be folded again at the end of the batch."""

    people: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)  # products and items that mean something new
    items: set[str] = field(default_factory=set)  # items with news of their owner, or for him
    known: set[str] = field(default_factory=set)  # people of whom accounts know something new

    def of(self, kind: str) -> set[str]:
        """The set of one kind."""
        return self.people if kind == PEOPLE else self.accounts


class Ledger:
    """Keeps what arrives and what it comes to."""

    def __init__(
        self,
        store: SQLiteStore,
        model: StageModel,
        outbox: Outbox,
        as_of: datetime,
        policy: Policy | None = None,
    ) -> None:
        self.store = store
        self.model = model
        self.outbox = outbox
        self.as_of = as_of
        self.policy = policy or Policy()
        self.identities = Identities(store, self.policy.identity, self.policy.accounts)
        self.items = Items(store, counted=self._not_superseded)
        self.members = Members(
            store,
            self.policy.accounts,
            self.identities,
            counted=self._not_superseded,
            owned=self.items.events_of,
        )
        self.people = People(store, self.identities, counted=self._not_superseded)
        self.tally = Tally()
        self.pending = 0  # records since the last commit
        self._open = False
        self._events: list[bytes] = []
        self._products: list[bytes] = []
        self._unmapped: list[UnmappedRow] = []
        self._touched = Touched()
        self._fresh: dict[str, dict[str, list[bytes]]] = {PEOPLE: {}, ACCOUNTS: {}}
        self._before = 0  # the last event of earlier batches
        self._had_events = store.last_row() > 0
        self._forgotten = Forgotten(store)
        self._guarded = self.policy.pseudonyms is not None or bool(self._forgotten)
        self._regrouped: set[str] = set()  # canonical ids whose group changed in this batch
        self._read_all = False  # what is at hand is not the whole truth: read all from the store
        self._corrected = store.has_facts("superseded")  # some events supersede others
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
        """Insert what was gathered; the transaction stays open until :meth:`commit`.

        A destination that is new to the store is told everything.
        """
        if not self._open:
            self.store.begin()
            self._open = True
            # Before anything is folded: a new store then queues each record once, not twice.
            self.outbox.introduce(self.store)
            self._before = self.store.last_row()
            if not self._before:
                self.store.keep_note(PSEUDONYMS, name_of(self.policy.pseudonyms))
        taken, self._events = self._events, []
        events: dict[str, tuple[JourneyEvent, bytes]] = {}
        for record in taken:
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
                self.identities.doubt(older)
                self.identities.doubt(event)
                self.store.drop_facts(facts_of(older, self.policy.accounts))
                self._touch([event])
        if newer:
            self.store.replace_events(event_rows(newer))
            self._read_all = True  # an older version gave way, perhaps of another customer
        self._touch(event for event, _ in events.values())
        for event, _ in events.values():
            if event.event_type in FACTS:
                self.identities.learn(event)
        self._remember(events.values())
        self._append_products()
        unmapped, self._unmapped = self._unmapped, []
        if self._guarded:
            unmapped = list(self._let_in_keys(unmapped))
        self.tally.set_aside += self.store.keep_unmapped(unmapped)

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
            if event.supersedes is not None or event.event_type in FACTS or event.account is None:
                facts += facts_of(event, self.policy.accounts)
        if not facts:
            return
        self.store.keep_facts(facts)
        kinds = {kind for kind, _, _ in facts}
        self._corrected |= "superseded" in kinds
        self.members.any |= "member" in kinds
        self.people.learn(kinds)
        self.items.any_ownerless |= "ownerless" in kinds
        corrected = [event_id for kind, event_id, _ in facts if kind == "superseded"]
        for body in self.store.bodies_of(corrected):
            self._concern(stored(body))
            self.identities.doubt(stored(body))

    def _concern(self, event: JourneyEvent) -> None:
        """Note who has to be folded again because of an event."""
        if event.subject is not None:
            self._touched.people.add(event.subject)
        if event.account is not None:
            self._touched.accounts.add(event.account)
        if event.event_type not in FACTS:
            if is_ownerless(event):
                self._touched.items.update(items_of(event))
            return
        self._touched.accounts.update(self.policy.accounts.named(event))
        if event.event_type == "scope_linked":
            self._touched.names.update(items_of(event))
            self._touched.items.update(items_of(event))
        for kind, name in team_facts(event):
            (self._touched.known if kind == PROFILE else self._touched.names).add(name)

    def _load_products(self) -> None:
        products = [_decode_product(body) for body in self.store.products()]
        by_id = {product.product_id: product for product in products}
        self._catalogue = Catalogue(by_id, index_aliases(products))

    def _load_items(self, events: Mapping[str, Sequence[JourneyEvent]]) -> None:
        """What the items (deals, orders …) of these events stand for."""
        items = {item for own in events.values() for event in own for item in items_of(event)}
        self._catalogue.items = self.items.products_of(items)

    # -- committing ------------------------------------------------------------------------

    def commit(self) -> None:
        """Fold whom this batch touched and make all of it durable at once."""
        self._append()
        self._fold()
        self.store.commit()
        self._open = False
        self.pending = 0

    def close_run(self) -> None:
        """Let time do its part, then commit."""
        self._append()
        self._learn_again()
        if self.store.note("model") != self.model.hash:
            self._touch_all(self._touched)
            self.store.keep_note("model", self.model.hash)
        for subject, kind in self.store.due(isoformat(self.as_of)):
            self._touched.of(kind).add(subject)
        self._fold()
        self.store.commit()
        self._open = False
        self.pending = 0

    def _learn_again(self) -> None:
        """Find out anew who is whom when what may be joined has changed."""
        rules = self.policy.name
        if self.store.note("policy") == rules:
            return
        if self._had_events:
            self._touch_all(self._touched)
            self._fold()  # links that wait are taken in
            self.store.identities.clear()
            for body in self.store.events_about_ids():
                event = stored(body)
                self.identities.learn(event)
                self.store.keep_facts(facts_of(event, self.policy.accounts))
            self.members.any = self.store.has_facts("member")
            self.people = People(self.store, self.identities, counted=self._not_superseded)
            self._touch_all(self._touched)
            self._read_all = True
        self.store.keep_note("policy", rules)

    def refold(self, touched: Touched) -> None:
        """Fold these anew from all their events, within the caller's transaction."""
        self._touched = touched
        self._read_all = True
        self._fold()

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
        for owner in self.items.owners_of(touched.items):
            touched.people.update(filter(None, [owner.subject]))
            touched.accounts.update(filter(None, [owner.account]))
        self._regroup(touched)
        touched.accounts |= self.members.accounts_of(touched.people)
        for kind in (PEOPLE, ACCOUNTS):
            for subjects in chunks(sorted(touched.of(kind)), SUBJECTS):
                both = self._fold_some(subjects, kind, touched)
                touched.accounts |= both
                self._regrouped |= both
        self._fresh = {PEOPLE: {}, ACCOUNTS: {}}
        self._regrouped = set()
        self._read_all = False

    def _touch_all(self, touched: Touched) -> None:
        for subject, kind in self.store.subjects():
            touched.of(kind).add(subject)

    def _regroup(self, touched: Touched) -> None:
        """Let the batch's links join and part people and accounts."""
        for kind, before, after in self.identities.regroup(corrected=self._corrected):
            touched.of(kind).update(before, before.values(), after.values())
            if kind == PEOPLE:
                touched.known.update(before, before.values(), after.values())
            self._regrouped.update(after.values())

    def _fold_some(self, subjects: Sequence[str], kind: str, touched: Touched) -> set[str]:
        """Fold these subjects and write what changed.

        Of people, it tells the accounts that have to be folded again because of that.
        """
        groups = self.identities.ids_of(subjects, kind)
        views = self.store.customers_of(groups)
        others = {subject for subject, view in views.items() if view[1] != kind}
        if kind == ACCOUNTS:
            self._refuse({subject: groups.pop(subject) for subject in others})
            views = {subject: view for subject, view in views.items() if subject in groups}
        events = self._events_of(groups, kind, views)
        self._load_items(events)
        known = self.people.known(events) if kind == ACCOUNTS else {}
        teams: list[BuyingTeam] = []
        old = {row[:KEY_LENGTH]: row for row in self.store.stages_of(views)}
        stages, customers, visits, again = [], [], [], []
        consents: dict[str, dict[str, bool]] = {}
        silent: list[str] = []  # who did not consent to having journeys
        decided: set[str] = set()  # ids of those who may allow something else now
        retracted, gone, names, doubts = [], [], [], []
        at = isoformat(self.as_of)
        for subject, ids in groups.items():
            own = events.get(subject, ())
            if kind == PEOPLE:
                folded = fold_subject(self.model, own, subject, self._catalogue, self.as_of)
                if not touched.known.isdisjoint(ids):
                    touched.accounts.update(event.account for event in own if event.account)
                    touched.accounts.update(self._accounts_of_deals(own))
                consents[subject] = folded.consents
                if not allows(folded.consents, self.policy.purpose):
                    folded = withheld(folded)
                    silent.append(subject)
            else:
                folded, found = fold_account(
                    self.model,
                    own,
                    subject,
                    self._catalogue,
                    self.as_of,
                    known.get(subject, Known()),
                )
                teams += found
                names += [(item, subject) for item in {i for e in own for i in items_of(e)}]
            decides = subject in views and views[subject][CONSENTS] != json_text(folded.consents)
            if decides or subject not in views or subject in self._regrouped:
                decided.update(ids)
            for record in folded.records:
                row = stage_row(record)
                before = old.pop(row[:KEY_LENGTH], None)
                if before == row:
                    if decides:
                        again.append(row)  # destinations may have to be told, or no longer
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
        if kind == ACCOUNTS:
            doubts += self.members.doubts(groups)
            self._keep_teams({*groups, *others}, teams)
        retracted += [(at, *key, 0) for key in old]
        self.store.keep_stages(stages)
        self.store.drop_stages(old)
        self.store.retract_visits(retracted)
        self.store.drop_visits(name for name in silent if name in views)
        self.store.keep_visits(visits)
        self.store.keep_customers(customers)
        self.store.drop_customers(gone)
        self.store.keep_names(names)
        refused_before = map(account_key, groups) if kind == ACCOUNTS else ()
        self.store.keep_doubts([*groups, *refused_before], doubts)
        self.outbox.enqueue(self.store, stages + again, visits, list(old), consents=consents)
        self.tally.stages_changed += len(stages) + len(old)
        if kind == ACCOUNTS:
            return set()
        named = self.store.accounts_of(decided) if self.policy.purpose else ()
        return {*others, *gone, *named}

    def _accounts_of_deals(self, events: Iterable[JourneyEvent]) -> Iterator[str]:
        """The accounts whose deals give these events' subject a role without naming them."""
        deals = {name for event in events for kind, name in team_facts(event) if kind == ROLE_OF}
        for subject, kind in self.store.subjects_of_names(deals) if deals else ():
            if kind == ACCOUNTS:
                yield subject

    def _keep_teams(self, accounts: Iterable[str], teams: Iterable[BuyingTeam]) -> None:
        """Write the teams of these accounts that changed, and drop those that are no more."""
        old = {row[:TEAM_KEY_LENGTH]: row for row in self.store.teams_of(accounts)}
        rows = [team_row(team) for team in teams]
        self.store.keep_teams(row for row in rows if old.get(row[:TEAM_KEY_LENGTH]) != row)
        self.store.drop_teams(old.keys() - {row[:TEAM_KEY_LENGTH] for row in rows})

    def _refuse(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Count the events of accounts whose id is a person's: their records would share keys."""
        events = self._events_of(groups, ACCOUNTS, groups)
        counts = {
            subject: Counter(event.source for event in own) for subject, own in events.items()
        }
        self.store.keep_doubts(
            (account_key(subject) for subject in groups),
            [
                (account_key(subject), stream, TWO_KINDS, count)
                for subject, own in counts.items()
                for stream, count in own.items()
            ],
        )

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
        for subject, own in self.items.events_of(kind, owner).items():
            found.setdefault(subject, []).extend(own)
        if kind == ACCOUNTS:
            for account, own in self.members.events_of(owner).items():
                found.setdefault(account, []).extend(own)
        if kind == ACCOUNTS and self.policy.purpose is not None:
            found = {name: self._allowed(events) for name, events in found.items()}
        if self._corrected:
            found = {name: self._not_superseded(events) for name, events in found.items()}
        return found

    def _allowed(self, events: list[JourneyEvent]) -> list[JourneyEvent]:
        """What an account may know: the events of nobody, and of people who consented."""
        names = {event.subject for event in events if event.subject is not None}
        canonical = self.store.identities.canonical(PEOPLE, names)
        consents = self.store.consents_of({canonical.get(name, name) for name in names})
        barred = {
            name
            for name in names
            if not allows(consents.get(canonical.get(name, name), {}), self.policy.purpose)
        }
        return [event for event in events if event.subject not in barred]

    def _not_superseded(self, events: list[JourneyEvent]) -> list[JourneyEvent]:
        if not self._corrected or not events:
            return events
        superseded = self.store.superseded_among(event.event_id for event in events)
        return [event for event in events if event.event_id not in superseded]


def facts_of(event: JourneyEvent, accounts: AccountRules) -> list[tuple[str, str, str]]:
    """(kind, id, event id) of what an event says about ids, beside what happened."""
    facts: list[tuple[str, str]] = []
    if event.supersedes is not None:
        facts.append(("superseded", event.supersedes))
    named = accounts.named(event)
    if named or any(True for _ in accounts.declared(event)):
        facts += [("member", event.subject or ""), *(("member_of", name) for name in named)]
    if is_ownerless(event):
        facts.append(("nobody", event.source))
    if event.event_type == "erasure_requested":
        facts.append((ERASURE, event.subject or ""))
    facts += item_facts(event)
    facts += team_facts(event)
    return [(kind, name, event.event_id) for kind, name in facts if name]


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


def withheld(folded: Folded) -> Folded:
    """What is kept of somebody whose journeys need a consent that was not given."""
    return Folded(first_at=folded.first_at, last_at=folded.last_at, consents=folded.consents)


def account_key(subject: str) -> str:
    """Whose doubts they are when a person has the same id; no id begins with a space."""
    return f" {subject}"


def own_doubts(subject: str, kind: str, folded: Folded) -> Iterator[tuple[str, str, str, int]]:
    """What is unresolved, each event counted once: with its person, else with its account."""
    for (stream, reason, has_person), count in sorted(folded.unresolved.items()):
        if has_person == (kind == PEOPLE):
            yield subject, stream, reason, count
