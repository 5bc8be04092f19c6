"""Events in, journeys out: append, fold the touched subjects, write, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from journeys.event import isoformat
from journeys.model import StageModel
from target_journeys.events import stored
from target_journeys.folding import Folding
from target_journeys.histories import Histories
from target_journeys.intake import Intake, Tally
from target_journeys.outbox import Outbox
from target_journeys.policy import Policy
from target_journeys.products import Products
from target_journeys.pseudonyms import PSEUDONYMS, name_of
from target_journeys.stores.base import UnmappedRow
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.touched import Touched, facts_of


class Ledger:
    """Keeps what arrives and what it comes to: one transaction for each batch."""

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
        self.tally = Tally()
        self.pending = 0  # records since the last commit
        self.histories = Histories(store, self.policy)
        products = Products(store)
        self.intake = Intake(self.histories, products, self.policy, self.tally)
        self.folding = Folding(
            self.histories, products, model, outbox, as_of, self.policy, self.tally
        )
        self._open = False
        self._had_events = store.last_row() > 0

    # -- taking in -------------------------------------------------------------------------

    def add_event(self, record: bytes) -> None:
        """Take one event, as JSON."""
        self.add_events([record])

    def add_events(self, records: Sequence[bytes]) -> None:
        """Take events, as JSON."""
        self.pending += len(records)
        if self.intake.add_events(records):
            self._append()

    def add_product(self, record: bytes) -> None:
        """Take one product, as JSON."""
        self.pending += 1
        self.intake.add_product(record)

    def add_unmapped(self, row: UnmappedRow) -> None:
        """Take note of a record that is not used."""
        self.pending += 1
        if self.intake.add_unmapped(row):
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
            self.histories.before = self.store.last_row()
            if not self.histories.before:
                self.store.keep_note(PSEUDONYMS, name_of(self.policy.pseudonyms))
        self.intake.append()

    # -- committing ------------------------------------------------------------------------

    def commit(self) -> None:
        """Fold whom this batch touched and make all of it durable at once."""
        self._append()
        self._fold()
        self._commit()

    def close_run(self) -> None:
        """Let time do its part, then commit."""
        self._append()
        self._learn_again()
        touched = self.intake.touched
        if self.store.note("model") != self.model.hash:
            touched.all_of(self.store.subjects())
            self.store.keep_note("model", self.model.hash)
        touched.all_of(self.store.due(isoformat(self.as_of)))
        self._fold()
        self._commit()

    def refold(self, touched: Touched) -> None:
        """Fold these anew from all their events, within the caller's transaction."""
        self.intake.touched = touched
        self.histories.read_all = True
        self._fold()

    def abandon(self) -> None:
        """Forget what is not committed."""
        if self._open:
            self.store.rollback()
            self._open = False

    def _fold(self) -> None:
        touched, self.intake.touched = self.intake.touched, Touched()
        self.folding.fold(touched)

    def _commit(self) -> None:
        self.store.commit()
        self._open = False
        self.pending = 0

    def _learn_again(self) -> None:
        """Find out anew who is whom when what may be joined has changed."""
        rules = self.policy.name
        if self.store.note("policy") == rules:
            return
        if self._had_events:
            self.intake.touched.all_of(self.store.subjects())
            self._fold()  # links that wait are taken in
            self.store.identities.clear()
            for body in self.store.events_about_ids():
                event = stored(body)
                self.histories.identities.learn(event)
                self.store.keep_facts(facts_of(event, self.policy.accounts))
            self.histories.learn_again()
            self.intake.touched.all_of(self.store.subjects())
        self.store.keep_note("policy", rules)
