"""What the target may do with people: whom it joins and to whom they belong, as settings say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from journeys.accounts import AccountRules
from journeys.identity import Rules
from target_journeys.pseudonyms import PSEUDONYMS, Pseudonyms, name_of
from target_journeys.stores.base import StoreError
from target_journeys.stores.sqlite import SQLiteStore

FACTS_KEPT = 3  # one more when other events than before are facts; a store then finds them anew


@dataclass(frozen=True)
class Policy:
    """The settings about people, as the ledger needs them."""

    identity: Rules = field(default_factory=Rules)
    accounts: AccountRules = field(default_factory=AccountRules)
    pseudonyms: Pseudonyms | None = None
    purpose: str | None = None  # what a person must have consented to, to have journeys at all

    @property
    def name(self) -> str:
        """A text that changes when who is whom has to be found anew."""
        rules, accounts = self.identity, self.accounts
        parts: list[object] = [rules.ids, rules.of_one_kind, sorted(rules.of_kind.items())]
        parts += [rules.shared.patterns, rules.shared.defaults]
        parts += [sorted(accounts.fields.items()), accounts.email_domain, accounts.most_of_domain]
        parts += [sorted(accounts.free_domains), self.purpose, FACTS_KEPT]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()

    def check(self, store: SQLiteStore) -> None:
        """Refuse a store that was filled with other pseudonyms. Raises :class:`StoreError`."""
        if store.last_row() and (store.note(PSEUDONYMS) or "") != name_of(self.pseudonyms):
            raise StoreError(
                "identity.pseudonymous, identity.secret: the store was filled with another secret, "
                "or with none. Use the settings that it was filled with, or name another store and "
                "read the sources again."
            )

    def id_of(self, name: str) -> str:
        """What the store calls an id that people use."""
        return name if self.pseudonyms is None else self.pseudonyms.of(name)
