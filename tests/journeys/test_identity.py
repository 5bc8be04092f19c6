"""Who is whom, and who belongs to which account."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from journeys.identity import (
    TOO_MANY,
    Grouping,
    Link,
    Rules,
    Tie,
    canonical_ids,
    group,
    link_of,
)
from journeys.shared_ids import SharedIds
from tests.journeys.events import day, happened


def link(at: float, left: str, right: str, *, joins: bool = True) -> Link:
    return Link(day(at), f"{at}{left}{right}", left, right, joins)


def test_linked_ids_share_the_id_that_was_linked_first():
    links = [link(0, "email:a", "ga:1"), link(1, "email:a", "crm:7"), link(2, "ga:2", "crm:7")]
    for order in permutations(links):
        assert set(canonical_ids(order).values()) == {"email:a"}


def test_ids_that_join_later_rename_nobody():
    before = canonical_ids([link(0, "email:a", "ga:1")])
    after = canonical_ids([link(0, "email:a", "ga:1"), link(5, "aaa:9", "ga:1")])
    assert before["email:a"] == after["email:a"] == after["aaa:9"] == "email:a"


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


# -- what joins nobody ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "email:info@acme.test",
        "email:Sales@acme.test",
        "email:no-reply@acme.test",
        "email:noreply+7@acme.test",
        "email:do.not.reply@acme.test",
        "email:test12@acme.test",
        "email:ana@example.com",
        "email:ana@mail.example.org",
        "email:ana@nowhere.invalid",
        "ga4_client:null",
        "crm:undefined",
        "crm:0",
        "crm: N/A ",
        "device:00000000-0000-0000-0000-000000000000",
        "segment:anonymous",
        "crm:",
    ],
)
def test_some_ids_name_nobody(name):
    assert name in SharedIds()
    assert name not in SharedIds(defaults=False)


@pytest.mark.parametrize(
    "name",
    [
        "email:ana@acme.test",
        "email:information@acme.test",
        "email:testa@acme.test",
        "crm:10",
        "crm:7000",
        "domain:info.test",
        "order:order",
        "email:ana@example.company",
    ],
)
def test_other_ids_name_somebody(name):
    assert name not in SharedIds()


def test_patterns_are_whole_ids_with_stars_and_nothing_else_is_special():
    shared = SharedIds(["email:*@kiosk.test", "card:9.9", "tablet:*"], defaults=False)
    named = ("email:A@kiosk.test", "card:9.9", "tablet:")
    assert all(name in shared for name in named)
    others = ("email:a@kiosk.test.org", "card:919", "my_tablet:1", "crm:null")
    assert not any(name in shared for name in others)


def test_an_id_that_names_nobody_joins_nobody():
    links = [link(0, "email:a", "desk:null"), link(1, "email:b", "desk:null")]
    assert canonical_ids(links) == {name: name for name in ("email:a", "email:b", "desk:null")}


def test_a_namespace_with_the_limit_0_joins_nobody():
    rules = Rules(of_kind={"tablet": 0})
    links = [link(0, "tablet:1", "email:a"), link(1, "email:a", "crm:1")]
    assert canonical_ids(links, rules) == {
        "tablet:1": "tablet:1",
        "email:a": "email:a",
        "crm:1": "email:a",
    }


# -- limits --------------------------------------------------------------------------------------


def ties(*pairs: tuple[str, str]) -> list[Tie]:
    return [Tie(day(n), f"{n:032x}", left, right) for n, (left, right) in enumerate(pairs)]


def test_of_two_that_exceed_a_limit_the_later_is_refused():
    rules = Rules(of_kind={"email": 2})
    given = ties(("email:a", "crm:1"), ("crm:1", "email:b"), ("crm:1", "email:c"))
    for order in permutations(given):
        found = group(order, rules)
        assert found.refused == {("crm:1", "email:c"): "too many email ids"}
        assert found.canonical["email:b"] == "email:a"
        assert found.canonical["email:c"] == "email:c"


def test_two_groups_that_are_too_large_together_stay_apart():
    rules = Rules(ids=3)
    given = ties(("a:1", "b:1"), ("c:1", "d:1"), ("a:1", "c:1"), ("a:1", "e:1"))
    found = group(given, rules)
    assert found.refused == {("a:1", "c:1"): TOO_MANY}
    assert found.canonical == {
        "a:1": "a:1",
        "b:1": "a:1",
        "c:1": "c:1",
        "d:1": "c:1",
        "e:1": "a:1",
    }


def test_an_unlink_makes_room():
    rules = Rules(ids=2)
    links = [link(0, "a:1", "b:1"), link(1, "a:1", "c:1")]
    assert canonical_ids(links, rules)["c:1"] == "c:1"
    parted = link(2, "a:1", "b:1", joins=False)
    assert canonical_ids([*links, parted], rules)["c:1"] == "a:1"


def chain(length: int) -> Grouping:
    """That many ids, each tied to one shared value."""
    given = ties(*((f"crm:{n + 1}", "card:shared") for n in range(length)))
    return group(given, Rules(of_one_kind=length))


def test_a_chain_through_one_shared_id_stops_at_the_limit():
    found = chain(100_000)
    sizes = Counter(found.canonical.values())
    assert (sizes["crm:1"], max(sizes.values())) == (100, 100)
    assert len(found.refused) == 100_000 - 99
    assert set(found.refused.values()) == {TOO_MANY}


def test_a_chain_costs_its_size():
    def lines(length: int) -> int:
        """How many lines of code run: no clock, no noise."""
        count = 0

        def traced(*_: object) -> object:
            nonlocal count
            count += 1
            return traced

        before = sys.gettrace()
        sys.settrace(traced)
        try:
            chain(length)
        finally:
            sys.settrace(before)
        return count

    assert lines(10_000) < 11 * lines(1_000)


# -- properties ----------------------------------------------------------------------------------

NAMES = [f"{kind}:{number}" for kind in ("email", "ga", "crm") for number in (1, 2, 3)]
MOMENTS = st.integers(0, 30)


@st.composite
def histories(draw) -> list[Link]:
    """Links and unlinks; some at the same moment, many of the same pair."""
    count = draw(st.integers(0, 20))
    pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))
    return [
        Link(day(draw(MOMENTS)), f"{number:032x}", left, right, draw(st.integers(0, 3)) > 0)
        for number in range(count)
        for left, right in [draw(pairs.filter(lambda pair: pair[0] != pair[1]))]
    ]


RULES = st.sampled_from(
    [Rules(), Rules(ids=3), Rules(of_kind={"email": 1}), Rules(ids=4, of_one_kind=2)]
)


@given(histories(), RULES, st.randoms())
def test_neither_order_nor_repetition_of_links_matters(links, rules, random):
    shuffled = [*links, *links]
    random.shuffle(shuffled)
    assert canonical_ids(shuffled, rules) == canonical_ids(links, rules)


@given(histories(), RULES)
def test_no_group_breaks_a_limit(links, rules):
    found = canonical_ids(links, rules)
    assert max(Counter(found.values()).values(), default=0) <= rules.ids
    kinds = Counter((root, name.partition(":")[0]) for name, root in found.items())
    assert all(count <= rules.limit(kind) for (_, kind), count in kinds.items())


@given(histories(), RULES, st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)))
def test_linked_and_unlinked_is_never_linked(links, rules, pair):
    left, right = pair
    others = [each for each in links if {each.left, each.right} != {left, right}]
    there_and_back = [link(5, left, right), link(9, right, left, joins=False)]
    never = {name: name for name in pair} | canonical_ids(others, rules)
    assert canonical_ids([*others, *there_and_back], rules) == never


def agrees(left: np.ndarray, right: np.ndarray, ids: int) -> None:
    """Our groups are the connected components of the same graph."""
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(ids, ids))
    _, labels = connected_components(graph, directed=False)
    names = [f"n:{number}" for number in range(ids)]
    at = day(0)
    given = (Tie(at, "", names[a], names[b]) for a, b in zip(left, right, strict=True) if a != b)
    found = group(given, Rules(ids=ids, of_one_kind=ids)).canonical
    pairs = {(labels[number], found.get(name, name)) for number, name in enumerate(names)}
    assert len(pairs) == len({label for label, _ in pairs}) == len({root for _, root in pairs})


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=25))
def test_without_limits_groups_are_connected_components(edges):
    left, right = np.array(edges).T
    agrees(left, right, 13)


def test_groups_are_the_connected_components_of_a_million_edges():
    random = np.random.default_rng(7)
    ids = 1_200_000  # a giant component, many small ones, and ids that are alone
    left, right = random.integers(0, ids, (2, 1_000_000))
    agrees(left, right, ids)
