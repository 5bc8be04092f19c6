"""Buying roles: the few that teams are counted in, what sources call them, what titles suggest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

OTHER = "other"  # somebody has a role that none of our words stands for


@dataclass(frozen=True, slots=True)
class RoleWords:
    """The declared buying roles, and the words of others that mean them."""

    roles: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)  # their name, plain → role
    titles: tuple[tuple[str, re.Pattern[str]], ...] = ()  # role, words of a title; in order

    def named(self, value: object) -> Iterator[tuple[str, str]]:
        """(role, as the source writes it) of a role property: one, a list, or `A;B`."""
        for each in value if isinstance(value, list) else [value]:
            for part in str(each if each is not None else "").split(";"):
                theirs = part.strip()
                if theirs:
                    yield self.names.get(plain(theirs), OTHER), theirs

    def suggested(self, title: object) -> str | None:
        """The role that a job title suggests, the first that fits."""
        text = title if isinstance(title, str) else ""
        return next((role for role, words in self.titles if words.search(text)), None)


def role_words(
    roles: Iterable[str], names: Mapping[str, str], titles: Mapping[str, Iterable[str]]
) -> RoleWords:
    """The words as they are looked up; a role is always its own name."""
    declared = tuple(roles)
    known = {plain(role): role for role in declared}
    known |= {plain(name): role for name, role in names.items()}
    patterns = tuple((role, whole_words(words)) for role, words in titles.items() if words)
    return RoleWords(declared, known, patterns)


def plain(name: str) -> str:
    """``ECONOMIC_BUYER`` and ``Economic Buyer`` are one name."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def whole_words(words: Iterable[str]) -> re.Pattern[str]:
    """Finds any of these as whole words, in any case: `cto`, and not `director`."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
