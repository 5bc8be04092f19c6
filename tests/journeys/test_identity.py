"""Who is whom, and who belongs to which account."""

from __future__ import annotations

from itertools import permutations

from journeys.identity import Link, Membership, canonical_ids, link_of, memberships
from tests.journeys.events import day, happened


def link(at: float, left: str, right: str, *, joins: bool = True) -> Link:
    return Link(day(at), f"{at}{left}{right}", left, right, joins)


def test_linked_ids_share_the_id_that_was_linked_first():
    links = [link(0, "email:a", "ga:1"), link(1, "email:a", "crm:7"), link(2, "ga:2", "crm:7")]
    for order in permutations(links):
        assert set(canonical_ids(order).values()) == {"email:a"}


def test_ids_that_join_later_rename_nobody():
    before = canonical_ids([link(0, "email:a", "ga:1")])
    after = canonical_ids([link(0, "email:a", "ga:1"), link(5, "aaa:0", "ga:1")])
    assert before["email:a"] == after["email:a"] == after["aaa:0"] == "email:a"


def test_an_unlink_splits_and_a_later_link_joins_again():
    links = [link(0, "a:1", "b:1"), link(1, "b:1", "a:1", joins=False)]
    assert canonical_ids(links) == {"a:1": "a:1", "b:1": "b:1"}
    assert canonical_ids([*links, link(2, "a:1", "b:1")]) == {"a:1": "a:1", "b:1": "a:1"}


def test_a_link_needs_two_different_ids():
    def linked(**properties):
        return link_of(happened("identity_linked", 0, None, properties=properties))

    assert linked() is None
    assert linked(linked="email:ana@acme.test") is None
    assert linked(linked="ga:1").right == "ga:1"


def test_membership_lasts_from_joining_to_leaving():
    joined = happened("account_joined", 0, None, account="crm:acme")
    left = happened("account_left", 5, None, account="crm:acme")
    ana = "email:ana@acme.test"
    assert memberships([joined]) == [Membership("crm:acme", ana, day(0))]
    assert memberships([left, joined]) == [Membership("crm:acme", ana, day(0), day(5))]
