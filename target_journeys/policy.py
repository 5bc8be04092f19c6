"""What the target may do with people: whom it joins, as the settings say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from journeys.identity import Rules


@dataclass(frozen=True)
class Policy:
    """The settings about people, as the ledger needs them."""

    identity: Rules = field(default_factory=Rules)

    @property
    def name(self) -> str:
        """A text that changes when who is whom has to be found anew."""
        rules = self.identity
        parts = [rules.ids, rules.of_one_kind, sorted(rules.of_kind.items())]
        parts += [rules.shared.patterns, rules.shared.defaults]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
