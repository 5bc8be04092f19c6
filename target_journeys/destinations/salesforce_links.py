"""Whom a row of Salesforce is related to: contact or lead, and account, by id or external id.

Oddities: an id that leads nowhere, as of a contact that was merged into another, refuses the row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from target_journeys.destinations.base import Delivery

LOOKUPS = {  # object → the namespace of its ids, and our field that refers to it
    "Contact": ("salesforce_contact", "Linked_Contact__c"),
    "Lead": ("salesforce_lead", "Linked_Lead__c"),
    "Account": ("salesforce_account", "Linked_Account__c"),
}
GONE = {"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"}
NOT_FOUND = "Foreign key external ID"  # how the words begin where no record has an external id


class Link(NamedTuple):
    """One relation of a row."""

    field: str  # our lookup field
    name: str  # under which the row has it: the field, or its relationship
    value: Any
    of: str  # our id of who it is


def candidates(
    each: Delivery, external_ids: Mapping[str, str]
) -> Iterator[tuple[str, Sequence[Link]]]:
    """Lookup field → all ways to relate it, best first."""
    for kind, (namespace, field) in LOOKUPS.items():
        own = [
            Link(field, field, value, f"{namespace}:{value}")
            for value in values(each, kind, namespace)
        ]
        for other, target in external_ids.items():
            owner, _, theirs = target.partition(".")
            if owner == kind:
                own += [
                    Link(field, f"{field[:-1]}r", {theirs: value}, f"{other}:{value}")
                    for value in values(each, kind, other)
                ]
        if own:
            yield field, own


def values(each: Delivery, kind: str, namespace: str) -> Iterator[str]:
    """The ids of a namespace that the person has, or the account of the journey."""
    ids: Sequence[str] = each.ids
    if kind == "Account" and each.who == "people":
        ids = [str(each.data.get("account"))]
    elif kind != "Account" and each.who == "accounts":
        ids = ()
    prefix = f"{namespace}:"
    return (name.removeprefix(prefix) for name in ids if name.startswith(prefix))


def links(
    each: Delivery, external_ids: Mapping[str, str], dead: Collection[str] = ()
) -> list[Link]:
    """How a row is related, when these ids of ours lead nowhere."""
    living = (
        [link for link in found if link.of not in dead]
        for _, found in candidates(each, external_ids)
    )
    return [found[0] for found in living if found]


def leads_nowhere(code: str, words: str) -> bool:
    """Whether an error is about a record that the row refers to."""
    return code in GONE or words.startswith(NOT_FOUND)


def dead_ends(fields: Sequence[str], used: Sequence[Link]) -> set[str]:
    """Which of these lead nowhere; all of them where the error names none."""
    named = {link.of for link in used if link.field in fields or link.name in fields}
    return named or {link.of for link in used}
