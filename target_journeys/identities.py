"""Who is whom, kept up to date: what new links say, at the cost of the people they join.

The answer is always that of :func:`journeys.identity.group` over all ties. Less is looked at where
it comes to the same: whole groups that no limit was ever applied to, and, where one was, what is
newer than everything that is known of the group. A link that arrives late beside refused ones
costs the size of all that these reach.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from journeys.accounts import AccountRules
from journeys.event import JourneyEvent
from journeys.identity import (
    SHARED,
    Grouping,
    Link,
    Pair,
    Rules,
    Tie,
    group,
    link_of,
    pair_of,
    pairs_of,
)
from target_journeys.events import decode_many
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_identities import PairKey, PairRow

PEOPLE, ACCOUNTS = "people", "accounts"
COLUMN = {PEOPLE: "subject", ACCOUNTS: "account"}
UNLIMITED = Rules(ids=sys.maxsize, of_one_kind=sys.maxsize)


@dataclass(slots=True)
class Known:
    """Whole groups of the store."""

    ids: set[str] = field(default_factory=set)
    canonical: dict[str, str] = field(default_factory=dict)  # of those that are not alone
    rows: dict[PairKey, PairRow] = field(default_factory=dict)


class Identities:
    """Takes in links during a batch and finds who is whom at its end."""

    def __init__(
        self, store: SQLiteStore, rules: Rules, accounts: AccountRules | None = None
    ) -> None:
        self.store = store
        self.rules = rules
        self.accounts = accounts or AccountRules()
        self.any = not store.identities.is_empty()  # whether any link is known
        self._corrected = True
        self._fresh: dict[str, list[Link]] = {PEOPLE: [], ACCOUNTS: []}
        self._stale: dict[str, set[PairKey]] = {PEOPLE: set(), ACCOUNTS: set()}

    def learn(self, event: JourneyEvent) -> None:
        """Take in what a new event says about two ids."""
        for link in self._links_of(event):
            self._fresh[kind_of(event)].append(link)
            self.any = True

    def doubt(self, event: JourneyEvent) -> None:
        """What this event said about two ids counts no more, or not as it did."""
        for link in self._links_of(event):
            self._stale[kind_of(event)].add(pair_of(link))
            self.any = True

    def _links_of(self, event: JourneyEvent) -> Iterator[Link]:
        """What an event says of two ids, by itself or by the domains that it names."""
        link = link_of(event)
        return self.accounts.links(event) if link is None else iter((link,))

    def ids_of(self, ids: Iterable[str], kind: str) -> dict[str, list[str]]:
        """Canonical id → all ids of that person or account, for the given ids."""
        wanted = list(ids)
        if not self.any:
            return {name: [name] for name in wanted}
        canonical = self.store.identities.canonical(kind, wanted)
        groups: dict[str, list[str]] = {
            name: [] if name in canonical else [name] for name in wanted
        }
        groups |= {name: [] for name in canonical.values()}
        for name, member in self.store.identities.group(kind, set(canonical.values())):
            groups[name].append(member)
        return groups

    def regroup(self, *, corrected: bool) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
        """Write down what the batch's links come to.

        Tells, per kind, the canonical ids before and after, of ids for which they differ.
        ``corrected``: some events of the store supersede others.
        """
        self._corrected = corrected
        for kind in (PEOPLE, ACCOUNTS):
            if self._fresh[kind] or self._stale[kind]:
                found = self._regroup(kind)
                self._fresh[kind], self._stale[kind] = [], set()
                yield kind, *found

    def _regroup(self, kind: str) -> tuple[dict[str, str], dict[str, str]]:
        old, new = self._pairs(kind)
        was = {pair: tie for pair, row in old.items() if (tie := self._candidate(row.pair))}
        now = {pair: tie for pair, each in new.items() if (tie := self._candidate(each))}
        gone = {pair for pair, tie in was.items() if now.get(pair) != tie}
        came = {pair: tie for pair, tie in now.items() if was.get(pair) != tie}
        known = Known()
        self._load(kind, known, {name for pair in (*gone, *came) for name in pair})
        grouping = self._grouping(kind, known, gone, came)
        rows = {
            pair: row._replace(refused=grouping.refused.get(pair))
            for pair, row in known.rows.items()
            if pair not in new
        }
        for pair, found in new.items():
            shared = SHARED if found.tie and pair not in now else None
            undecided = pair in old and pair not in came and pair not in known.rows
            kept = old[pair].refused if undecided else None
            rows[pair] = PairRow(found, shared or grouping.refused.get(pair, kept))
        before = known.rows | old
        self.store.identities.keep_pairs(
            kind, {pair: row for pair, row in rows.items() if before.get(pair) != row}
        )
        return self._move(kind, known, grouping.canonical)

    def _candidate(self, pair: Pair) -> Tie | None:
        """The tie of a pair, unless one of its ids names nobody."""
        return None if pair.tie is None or self.rules.bars(pair.tie) else pair.tie

    # -- pairs -----------------------------------------------------------------------------

    def _pairs(self, kind: str) -> tuple[dict[PairKey, PairRow], dict[PairKey, Pair]]:
        """What was known of the pairs that the batch names, and what they come to now."""
        fresh, stale = self._fresh[kind], self._stale[kind]
        links = [(pair_of(link), link) for link in self._counted(fresh)]
        old = self.store.identities.pairs(kind, {pair for pair, _ in links} | stale)
        new = {pair: replace(row.pair) for pair, row in old.items()}
        for pair, link in links:
            found = new.setdefault(pair, Pair())
            if not found.take(link):
                stale.add(pair)
        for pair in sorted(stale):
            new[pair] = self._read_again(kind, pair)
        return old, new

    def _read_again(self, kind: str, pair: PairKey) -> Pair:
        """What all links of a pair come to, from the events."""
        found = []
        for _, bodies in self.store.events_of(COLUMN[kind], pair):
            events = decode_many(bodies) if bodies is not None else []
            own = (event for event in events if kind_of(event) == kind)
            links = (link for event in own for link in self._links_of(event))
            found += [link for link in links if pair_of(link) == pair]
        return pairs_of(self._counted(found)).get(pair, Pair())

    def _counted(self, links: list[Link]) -> list[Link]:
        """Those that no other event supersedes."""
        if not self._corrected:
            return links
        superseded = self.store.superseded_among(link.event_id for link in links)
        return [link for link in links if link.event_id not in superseded]

    # -- groups ----------------------------------------------------------------------------

    def _load(self, kind: str, known: Known, names: Collection[str]) -> set[str]:
        """Add the whole groups of these ids to what is known; tells the ids that are new to it."""
        store = self.store.identities
        roots = store.canonical(kind, names)
        members = {name: root for root, name in store.group(kind, set(roots.values()))}
        found = (set(names) | members.keys()) - known.ids
        known.ids |= found
        known.canonical |= members
        known.rows |= store.ties(kind, members)
        return found

    def _grouping(
        self, kind: str, known: Known, gone: Collection[PairKey], came: Mapping[PairKey, Tie]
    ) -> Grouping:
        """Who is whom among all that is known, less what is gone, with what came."""
        ties = {pair: row.pair.tie for pair, row in known.rows.items() if row.pair.tie}
        refused = self.store.identities.last_refused(kind, known.ids)
        settled: dict[PairKey, Tie] = {}
        if refused:
            parts = group([*ties.values(), *came.values()], UNLIMITED).canonical
            newest: dict[str, datetime] = {}
            for name, moment in (
                *refused.items(),
                *((tie.left, tie.since) for tie in ties.values()),
            ):
                part = parts.get(name, name)
                newest[part] = max(newest.get(part, moment), moment)
            limited = {parts.get(name, name) for name in refused}
            late = {parts.get(name, name) for pair in gone for name in pair}
            late |= {
                part
                for tie in came.values()
                if (part := parts[tie.left]) in newest and tie.since <= newest[part]
            }
            reached = self._widen(kind, known, parts, limited & late)
            ties = {pair: row.pair.tie for pair, row in known.rows.items() if row.pair.tie}
            settled = {
                pair: tie
                for pair, tie in ties.items()
                if pair[0] not in reached and parts.get(pair[0], pair[0]) in limited
            }
        todo = {pair: tie for pair, tie in ties.items() if pair not in gone} | dict(came)
        return group(
            (tie for pair, tie in todo.items() if pair not in settled),
            self.rules,
            settled.values(),
        )

    def _widen(
        self, kind: str, known: Known, parts: Mapping[str, str], late: Collection[str]
    ) -> set[str]:
        """Add what refused ties reach from these parts; tells whose ties are to be decided anew."""
        members: dict[str, set[str]] = {}
        for name in known.ids:
            members.setdefault(parts.get(name, name), set()).add(name)
        frontier = {name for part in late for name in members[part]}
        reached = set(frontier)
        while frontier:
            rows = dict(self.store.identities.refused(kind, frontier))
            known.rows |= rows
            ends = {name for pair in rows for name in pair} - reached
            found = self._load(kind, known, ends)
            found |= {name for end in ends if end in parts for name in members[parts[end]]}
            frontier = found - reached
            reached |= frontier
        return reached

    def _move(
        self, kind: str, known: Known, canonical: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Write down the groups that differ from what is known."""
        after = {name: canonical.get(name, name) for name in known.ids}
        size = Counter(after.values())
        groups = {name: root for name, root in after.items() if size[root] > 1}
        self.store.identities.keep(
            kind,
            {name: root for name, root in groups.items() if known.canonical.get(name) != root},
            [name for name in known.canonical if name not in groups],
        )
        before = {name: known.canonical.get(name, name) for name in after}
        moved = [name for name in after if before[name] != after[name]]
        return {name: before[name] for name in moved}, {name: after[name] for name in moved}


def kind_of(event: JourneyEvent) -> str:
    """Whether an event's link is about people or accounts."""
    return PEOPLE if event.subject is not None else ACCOUNTS
