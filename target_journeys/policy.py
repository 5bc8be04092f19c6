"""What the target may do with people: whom it joins and to whom they belong, as settings say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from journeys.accounts import AccountRules
from journeys.identity import Rules

FACTS_KEPT = 2  # one more when other events than before are facts; a store then finds them anew


@dataclass(frozen=True)
class Policy:
    """The settings about people, as the ledger needs them."""

    identity: Rules = field(default_factory=Rules)
    accounts: AccountRules = field(default_factory=AccountRules)

    @property
    def name(self) -> str:
        """A text that changes when who is whom has to be found anew."""
        rules, accounts = self.identity, self.accounts
        parts: list[object] = [rules.ids, rules.of_one_kind, sorted(rules.of_kind.items())]
        parts += [rules.shared.patterns, rules.shared.defaults]
        parts += [sorted(accounts.fields.items()), accounts.email_domain, accounts.most_of_domain]
        parts += [sorted(accounts.free_domains), FACTS_KEPT]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
