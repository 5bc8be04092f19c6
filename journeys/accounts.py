"""Who belongs to which account: what sources say, a declared field, and the domain of an e-mail."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from journeys.event import JourneyEvent
from journeys.identity import Link

ALWAYS = datetime.min.replace(tzinfo=UTC)  # what an e-mail's domain says has no beginning
DOMAIN = "domain"  # namespace of the accounts that are named by a domain


@dataclass(frozen=True, slots=True)
class Membership:
    """A person belongs to an account from a moment on; ``until`` is open while it lasts."""

    account: str
    subject: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class AccountRules:
    """What makes somebody a member, beside ``account_joined``."""

    fields: Mapping[str, str] = field(default_factory=dict)  # property → namespace of the account
    email_domain: bool = False
    free_domains: Collection[str] = ()  # domains that say nothing of where somebody works
    most_of_domain: int = 1000  # addresses; with more, a domain is a provider, not a company

    def domain_account(self, name: str) -> str | None:
        """The account that the domain of an e-mail id stands for."""
        namespace, _, value = name.partition(":")
        _, at, domain = value.rpartition("@")
        if not self.email_domain or namespace != "email" or not at:
            return None
        domain = domain.lower().rstrip(".")
        if "." not in domain or domain in self.free_domains:
            return None
        return f"{DOMAIN}:{domain}"

    def declared(self, event: JourneyEvent) -> Iterator[tuple[str, str | None]]:
        """(property, account) of what a profile says of somebody's account; None: of none."""
        if self.fields and event.event_type == "profile_observed" and event.subject is not None:
            for name, namespace in self.fields.items():
                if name in event.properties:
                    value = str(event.properties[name] or "").strip()
                    yield name, f"{namespace}:{value}" if value else None

    def named(self, event: JourneyEvent) -> list[str]:
        """The accounts that an event makes somebody a member of, or no longer."""
        if event.event_type in ("account_joined", "account_left"):
            return [event.account] if event.subject and event.account else []
        return [account for _, account in self.declared(event) if account]

    def links(self, event: JourneyEvent) -> Iterator[Link]:
        """An account whose profile names its domains is the account of these domains."""
        if not self.email_domain or event.event_type != "profile_observed":
            return
        if event.subject is not None or event.account is None:
            return
        given = event.properties.get("domain")
        for each in given if isinstance(given, list) else [given]:
            domain = host_of(each) if isinstance(each, str) else ""
            name = f"{DOMAIN}:{domain}"
            if "." in domain and domain not in self.free_domains and name != event.account:
                yield Link(event.occurred_at, event.event_id, event.account, name, True)


def host_of(text: str) -> str:
    """``https://www.Acme.test/about`` → ``acme.test``."""
    without_scheme = re.sub(r"^[a-z][a-z0-9+.\-]*://", "", text.strip().lower())
    host = re.split(r"[/?#]", without_scheme, maxsplit=1)[0].rpartition("@")[2]
    return host.partition(":")[0].removeprefix("www.").rstrip(".")


def memberships(
    events: Iterable[JourneyEvent],
    rules: AccountRules | None = None,
    *,
    people: Mapping[str, str] | None = None,
    accounts: Mapping[str, str] | None = None,
) -> list[Membership]:
    """Who belonged to which account, and when, as far as events say.

    ``people`` and ``accounts`` give the canonical id of an id, so that somebody may leave by
    another id than the one that joined. A declared field holds one account at a time: another
    value, or none, ends what the last one said.
    """
    rules, people, accounts = rules or AccountRules(), people or {}, accounts or {}
    open_: dict[tuple[str, str], datetime] = {}
    by_field: dict[tuple[str, str], tuple[str, datetime]] = {}  # subject, property → account
    found: list[Membership] = []
    for event in sorted(events, key=lambda e: (e.occurred_at, e.event_type, e.event_id)):
        if event.subject is None:
            continue
        subject, at = people.get(event.subject, event.subject), event.occurred_at
        for name, account in rules.declared(event):
            account = account and accounts.get(account, account)
            before, since = by_field.get((subject, name), (None, at))
            if before is not None and before != account:
                found.append(Membership(before, subject, since, at))
                del by_field[subject, name]
            if account is not None and before != account:
                by_field[subject, name] = (account, at)
        if event.account is None:
            continue
        pair = (accounts.get(event.account, event.account), subject)
        if event.event_type == "account_joined":
            open_.setdefault(pair, at)
        elif event.event_type == "account_left" and pair in open_:
            found.append(Membership(*pair, open_.pop(pair), at))
    found += (Membership(*pair, since) for pair, since in open_.items())
    found += (Membership(a, subject, since) for (subject, _), (a, since) in by_field.items())
    return sorted(found, key=lambda m: (m.account, m.subject, m.since))
