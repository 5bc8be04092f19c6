"""Personas: declared tests, from the moment that they came to hold."""

from __future__ import annotations

import pytest

from journeys.catalogue import Catalogue
from journeys.fold import fold, fold_subject
from journeys.personas import holds
from target_journeys.stage_model import StageModelError, load
from tests.journeys.events import day, happened


@pytest.mark.parametrize(
    ("test", "value", "passes"),
    [
        ("CFO", "CFO", True),
        ("CFO", "cfo", False),
        (50, "50", True),
        (50, 50.0, True),
        (True, True, True),
        (["a", "b"], "b", True),
        (["a", "b"], ["c", "b"], True),
        ({"in": ["a"]}, "b", False),
        ({"eq": "a"}, "a", True),
        ({"matches": "(?i)finance"}, "Head of Finance", True),
        ({"matches": "^Finance"}, "Head of Finance", False),
        ({"gte": 50, "lte": 100}, "75", True),
        ({"gte": 50, "lte": 100}, 101, False),
        ({"gte": 50}, "many", False),
        ({"gte": 50}, "NaN", False),
        ({"eq": "a"}, None, False),
    ],
)
def test_what_a_test_says(test, value, passes):
    assert holds(test, value) is passes


MODEL = load(
    {
        "personas": {
            "finance lead": {"when": {"title": {"matches": "CFO"}, "employees": {"gte": 50}}},
            "payer": {"when": {"role": "economic_buyer"}},
            "regular": {"counts": {"order_placed": {"gte": 2}}},
        }
    }
)


def profile(at, **properties):
    return happened("profile_observed", at, None, properties=properties)


def who(*events, as_of=100):
    folded = fold_subject(MODEL, events, "email:ana@acme.test", Catalogue(), day(as_of))
    return folded.persona, folded.persona_since


def test_a_persona_holds_from_the_moment_its_last_fact_became_true():
    title, size = profile(1, title="CFO"), profile(9, employees="80")
    assert who(title) == (None, None)
    assert who(size, title) == ("finance lead", day(9))
    assert who(title, size, profile(12, title="Clerk")) == (None, None)


def test_the_first_persona_that_fits_counts():
    orders = [happened("order_placed", at) for at in (3, 5, 7)]
    assert who(*orders) == ("regular", day(5))
    assert who(*orders, profile(6, role="BUDGET_HOLDER")) == ("payer", day(6))


def test_a_role_in_a_deal_is_a_fact_until_it_is_removed():
    added = happened("contact_role_added", 1, properties={"role": "Economic Buyer"}, source_key="1")
    removed = happened("contact_role_removed", 2, properties={}, source_key="1")
    assert who(added) == ("payer", day(1))
    assert who(added, removed) == (None, None)


def test_a_journey_that_ended_keeps_the_persona_of_its_time():
    events = [
        profile(0, title="CFO", employees=60),
        happened("order_placed", 1),
        happened("order_refunded", 5),
        profile(10, title="Clerk"),
        happened("product_viewed", 20, "Q"),
    ]
    ended, other = fold(MODEL, events)
    assert (ended.persona, ended.persona_since) == ("finance lead", day(0))
    assert (other.persona, other.persona_since) == (None, None)


def test_without_personas_nobody_has_one():
    (record,) = fold(load("standard"), [profile(0, title="CFO"), happened("product_viewed", 1)])
    assert record.persona is None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"personas": {"a": {}}}, "a persona needs `when` or `counts`"),
        ({"personas": {"a": {"when": {"title": {"like": "x"}}}}}, "Allowed: when, counts"),
        ({"personas": {"a": {"when": {"title": {"matches": "("}}}}}, "not a regular expression"),
        ({"personas": {"a": {"counts": {"bought": {"gte": 1}}}}}, "event type 'bought' is unknown"),
        ({"defaults": {"required_roles": ["boss"]}}, "role 'boss' is unknown"),
        ({"role_names": {"Boss": "boss"}}, "role_names: role 'boss' is unknown"),
        ({"role_titles": {"boss": ["ceo"]}}, "role_titles: role 'boss' is unknown"),
        ({"defaults": {"internal_order": {"legal": ["lunch"]}}}, "step 'lunch' is unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused(model, message):
    with pytest.raises(StageModelError, match=message):
        load(model)
