"""Folds who was touched, and writes what that changes: records, visits, customers, outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from journeys.consent import allows
from journeys.event import JourneyEvent, isoformat
from journeys.fold import Folded, fold_subject
from journeys.model import StageModel
from journeys.team import BuyingTeam, Known, fold_account
from target_journeys.changes import Changes
from target_journeys.histories import Histories
from target_journeys.identities import ACCOUNTS, PEOPLE
from target_journeys.intake import Tally
from target_journeys.items import items_of
from target_journeys.outbox import Outbox
from target_journeys.policy import Policy
from target_journeys.products import Products
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
from target_journeys.stores.base import chunks
from target_journeys.teams import ROLE_OF, team_facts
from target_journeys.touched import Touched

SUBJECTS = 500  # subjects that are loaded and folded together

TWO_KINDS = "account id is a person's"  # why an account has no journeys


class Folding:
    """Turns all events of the touched subjects into what the store keeps of them."""

    def __init__(
        self,
        histories: Histories,
        products: Products,
        model: StageModel,
        outbox: Outbox,
        as_of: datetime,
        policy: Policy,
        tally: Tally,
    ) -> None:
        self.store = histories.store
        self.histories = histories
        self.products = products
        self.model = model
        self.outbox = outbox
        self.as_of = as_of
        self.policy = policy
        self.tally = tally

    def fold(self, touched: Touched) -> None:
        """Fold them, people first, because accounts may follow from them."""
        histories = self.histories
        if touched.names:
            had_catalogue = bool(self.products.catalogue.products)
            self.products.load()
            if self.products.catalogue.products and not had_catalogue:
                touched.all_of(self.store.subjects())  # what is not in it is unknown from now on
            touched.all_of(self.store.subjects_of_names(touched.names))
        for owner in histories.items.owners_of(touched.items):
            touched.people.update(filter(None, [owner.subject]))
            touched.accounts.update(filter(None, [owner.account]))
        self._regroup(touched)
        touched.accounts |= histories.members.accounts_of(touched.people)
        for kind in (PEOPLE, ACCOUNTS):
            for subjects in chunks(sorted(touched.of(kind)), SUBJECTS):
                both = self._fold_some(subjects, kind, touched)
                touched.accounts |= both
                histories.regrouped |= both
        histories.end_batch()

    def _regroup(self, touched: Touched) -> None:
        """Let the batch's links join and part people and accounts."""
        identities, corrected = self.histories.identities, self.histories.corrected
        for kind, before, after in identities.regroup(corrected=corrected):
            touched.of(kind).update(before, before.values(), after.values())
            if kind == PEOPLE:
                touched.known.update(before, before.values(), after.values())
            self.histories.regrouped.update(after.values())

    def _fold_some(self, subjects: Sequence[str], kind: str, touched: Touched) -> set[str]:
        """Fold these subjects and write what changed.

        Of people, it tells the accounts that have to be folded again because of that.
        """
        histories = self.histories
        groups = histories.identities.ids_of(subjects, kind)
        views = self.store.customers_of(groups)
        others = {subject for subject, view in views.items() if view[1] != kind}
        if kind == ACCOUNTS:
            self._refuse({subject: groups.pop(subject) for subject in others})
            views = {subject: view for subject, view in views.items() if subject in groups}
        events = histories.events_of(groups, kind, views)
        self._load_items(events)
        known = histories.people.known(events) if kind == ACCOUNTS else {}
        teams: list[BuyingTeam] = []
        old = {row[:KEY_LENGTH]: row for row in self.store.stages_of(views)}
        changes = Changes(isoformat(self.as_of), old)
        consents: dict[str, dict[str, bool]] = {}
        decided: set[str] = set()  # ids of those who may allow something else now
        for subject, ids in groups.items():
            own = events.get(subject, ())
            if kind == PEOPLE:
                folded = self._fold_person(subject, own)
                if not touched.known.isdisjoint(ids):
                    touched.accounts.update(event.account for event in own if event.account)
                    touched.accounts.update(self._accounts_of_deals(own))
                consents[subject] = folded.consents
                if not allows(folded.consents, self.policy.purpose):
                    folded = withheld(folded)
                    changes.silent += [subject] * (subject in views)
            else:
                folded, found = self._fold_account(subject, own, known.get(subject, Known()))
                teams += found
                changes.names += [(item, subject) for item in {i for e in own for i in items_of(e)}]
            view = views.get(subject)
            decides = view is not None and view[CONSENTS] != json_text(folded.consents)
            if decides or view is None or subject in histories.regrouped:
                decided.update(ids)
            note_stages(changes, folded, decides=decides)
            note_customer(changes, subject, kind, ids, folded, view)
            changes.names += [(name, subject) for name in folded.other_names]
            if folded.unresolved:
                changes.doubts += own_doubts(subject, kind, folded)
        if kind == ACCOUNTS:
            changes.doubts += histories.members.doubts(groups)
            self._keep_teams({*groups, *others}, teams)
        changes.write(self.store)
        refused_before = map(account_key, groups) if kind == ACCOUNTS else ()
        self.store.keep_doubts([*groups, *refused_before], changes.doubts)
        stages = changes.stages + changes.again
        self.outbox.enqueue(
            self.store, stages, changes.visits, list(changes.old), consents=consents
        )
        self.tally.stages_changed += len(changes.stages) + len(changes.old)
        if kind == ACCOUNTS:
            return set()
        named = self.store.accounts_of(decided) if self.policy.purpose else ()
        return {*others, *changes.gone, *named}

    def _fold_person(self, subject: str, own: Iterable[JourneyEvent]) -> Folded:
        return fold_subject(self.model, own, subject, self.products.catalogue, self.as_of)

    def _fold_account(
        self, subject: str, own: Sequence[JourneyEvent], known: Known
    ) -> tuple[Folded, list[BuyingTeam]]:
        catalogue = self.products.catalogue
        return fold_account(self.model, own, subject, catalogue, self.as_of, known)

    def _load_items(self, events: Mapping[str, Sequence[JourneyEvent]]) -> None:
        """What the items (deals, orders …) of these events stand for."""
        items = {
            scope.id  # not by items_of(), because this looks at every event
            for own in events.values()
            for event in own
            for scope in event.scopes
            if scope.grain == "item"
        }
        self.products.catalogue.items = self.histories.items.products_of(items)

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
        events = self.histories.events_of(groups, ACCOUNTS, groups)
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


def note_stages(changes: Changes, folded: Folded, *, decides: bool) -> None:
    """Note which records of a subject differ from those of before."""
    for record in folded.records:
        row = stage_row(record)
        before = changes.old.pop(row[:KEY_LENGTH], None)
        if before == row:
            if decides:
                changes.again.append(row)  # destinations may have to be told, or no longer
            continue
        changes.stages.append(row)
        since, appended = visit_rows(before, row, record)
        if since is not None:
            changes.retracted.append((changes.at, *row[:KEY_LENGTH], since))
        changes.visits += appended


def note_customer(
    changes: Changes,
    subject: str,
    kind: str,
    ids: Sequence[str],
    folded: Folded,
    before: Sequence[object] | None,
) -> None:
    """Note the view of a subject if it differs from that of before."""
    if folded.first_at is not None:
        view = customer_row(subject, kind, ids, folded)
        if before != view:
            changes.customers.append(view)
    elif before is not None:
        changes.gone.append(subject)


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
