"""What is wrong with a rule, and what is wrong with a record that a rule reads."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


class BadRuleError(Exception):
    """A rule says something that the language does not have: the key, and what is allowed."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"`{key}` {problem}")


class RuleError(Exception):
    """A rule cannot read one record: the reason, and what the author of the rule can do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def closest(word: object, known: Collection[str]) -> str:
    """A hint for a misspelt word, or nothing."""
    found = get_close_matches(str(word), sorted(known), n=1)
    return f" (did you mean '{found[0]}'?)" if found else ""
