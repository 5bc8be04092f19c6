"""Ids that name nobody: role mailboxes, test addresses, place-holders. They join no two people."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What systems write when they do not know: compared in lower case, without spaces around.
_WORDS = """null nil none nan undefined unknown anonymous guest nobody n/a na notset not-set test
true false - -1"""
PLACE_HOLDERS = frozenset(_WORDS.split()) | {
    "",
    "not set",
    "(not set)",
    "(none)",
    "[object object]",
}
ALL_ZERO = re.compile(r"[0\-.:]+")  # 0, 000-000, 00000000-0000-0000-0000-000000000000
# Mailboxes of a function, not of a person (RFC 2142 and what companies use besides), and of nobody.
_MAILBOXES = """
abuse accounting accounts admin administrator billing booking bookings careers contact
customercare customerservice enquiries enquiry feedback finance frontdesk hello help helpdesk
hostmaster hr info inquiries inquiry invoice invoices jobs kiosk kontakt legal mail
mailerdaemon marketing media newsletter office order orders payments postmaster press privacy
purchasing reception recruiting root sales security service shop store support team webmaster
welcome nomail noemail none null undefined unknown anonymous guest nobody test tester testing
testuser dummy fake example demo user
"""
ROLES = frozenset(_MAILBOXES.split())
NO_REPLY = ("noreply", "donotreply")
# RFC 2606 and RFC 6761; `.test` and `.example` are left out, because samples and staging use them.
TEST_DOMAINS = ("example.com", "example.org", "example.net", "test.com", "invalid", "localhost")
MARK = "shared-"  # begins the value of a pseudonym whose plain id named nobody


class SharedIds:
    """Which ids name nobody: what is known of everywhere, and a user's own patterns."""

    def __init__(self, patterns: Iterable[str] = (), *, defaults: bool = True) -> None:
        """``patterns`` are whole ids, ``namespace:value``; ``*`` stands for any characters."""
        self.defaults = defaults
        self.patterns = tuple(sorted(set(patterns)))
        parts = (".*".join(map(re.escape, each.lower().split("*"))) for each in self.patterns)
        self._own = re.compile("|".join(parts), re.DOTALL) if self.patterns else None

    def __contains__(self, name: str) -> bool:
        """Whether an id, ``namespace:value``, names nobody."""
        known = name.lower()
        value = known.partition(":")[2].strip()
        if value.startswith(MARK) or (self._own is not None and self._own.fullmatch(known)):
            return True
        return self.defaults and names_nobody(value)


def names_nobody(value: str) -> bool:
    """Whether the value of an id, in lower case, is a place-holder, a role or a test address."""
    if value in PLACE_HOLDERS or ALL_ZERO.fullmatch(value):
        return True
    mailbox, at, domain = value.rpartition("@")
    if not at:
        return False
    mailbox = re.sub(r"[._\-]", "", mailbox.partition("+")[0])
    if mailbox in ROLES or mailbox.startswith(NO_REPLY) or re.fullmatch(r"test\d*", mailbox):
        return True
    return any(domain == each or domain.endswith(f".{each}") for each in TEST_DOMAINS)
