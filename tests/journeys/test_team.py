"""Buying teams: members, roles, stages, silence; whatever the order in which events arrive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.catalogue import Catalogue
from journeys.event import JourneyEvent, Product, Scope
from journeys.team import BuyingTeam, Known, fold_account
from target_journeys.stage_model import load
from tests.journeys.events import day, happened

MODEL = load(
    {
        "defaults": {
            "required_roles": ["champion", "economic_buyer", "security"],
            "minimum_role_coverage": 0.6,
            "team_window": "P30D",
        },
        "categories": {"insurance": {"grain_before_purchase": "category"}},
    }
)
CATALOGUE = Catalogue(
    {"I": Product("I", category="insurance")}, {}, {"deal:1": ("P",), "deal:2": ("Q",)}
)
ANA, BO, CY = "email:ana@acme.test", "email:bo@acme.test", "email:cy@acme.test"


def at_acme(kind: str, at: float, who: str | None = ANA, **fields: Any) -> JourneyEvent:
    return happened(kind, at, fields.pop("product", "P"), subject=who, account="crm:acme", **fields)


def role(at: float, who: str, name: object, kind: str = "added", **fields: Any) -> JourneyEvent:
    given = {"role": name, "opportunity": fields.pop("deal", "1")}
    return at_acme(f"contact_role_{kind}", at, who, properties=given, **fields)


def profile(at: float, who: str, **properties: Any) -> JourneyEvent:
    return at_acme("profile_observed", at, who, product=None, properties=properties)


def team_of(
    *events: JourneyEvent, as_of: float = 20, key: tuple[str, str] = ("product", "P"), **known: Any
) -> BuyingTeam | None:
    _, teams = fold_account(MODEL, events, "crm:acme", CATALOGUE, day(as_of), Known(**known))
    return next((t for t in teams if (t.scope_grain, t.scope_id) == key), None)


def roles_of(team: BuyingTeam | None) -> dict[str, list[str]]:
    return {} if team is None else {m.subject: [r.role for r in m.roles] for m in team.members}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CHAMPION", ["champion"]),
        ("BUDGET_HOLDER", ["economic_buyer"]),
        ("Economic Buyer", ["economic_buyer"]),
        ("Economic Decision Maker", ["economic_buyer"]),
        ("decision-maker", ["decision_maker"]),
        ("decider", ["decision_maker"]),
        ("buyer", ["procurement"]),
        ("Evaluator", ["technical_buyer"]),
        ("BLOCKER", ["gatekeeper"]),
        ("gatekeeper", ["gatekeeper"]),
        ("END_USER;LEGAL_AND_COMPLIANCE", ["user", "legal"]),
        (["Influencer", "initiator"], ["influencer", "initiator"]),
        ("EXECUTIVE_SPONSOR", ["executive_sponsor"]),
        ("Fan", ["other"]),
        (None, []),
    ],
)
def test_roles_of_others_are_ours(name, expected):
    team = team_of(role(0, ANA, name))
    assert sorted(roles_of(team)[ANA]) == sorted(expected)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("CISO", ["security"]),
        ("Chief Information Security Officer", ["security"]),
        ("Finance Director", ["economic_buyer"]),
        ("Director of Operations", []),  # holds `cto` and `coo` as no word
        (None, []),
    ],
)
def test_a_title_suggests_a_role_where_nobody_names_one(title, expected):
    given = (profile(0, ANA, title=title), at_acme("product_viewed", 1))
    assert roles_of(team_of(*given))[ANA] == expected
    assert roles_of(team_of(*given, role(2, ANA, "CHAMPION")))[ANA] == ["champion"]


def test_every_role_says_how_it_is_known():
    added = role(1, ANA, "BUDGET_HOLDER")
    titled = profile(0, BO, title="CISO")
    team = team_of(added, titled, at_acme("product_viewed", 2, BO))
    (ana,), (bo,) = (member.roles for member in team.members)
    assert (ana.named, ana.by, ana.event_id) == ("BUDGET_HOLDER", "deal", added.event_id)
    assert (bo.named, bo.by, bo.event_id) == ("CISO", "title", titled.event_id)


def test_a_removed_role_is_gone_in_that_deal_only():
    events = [role(0, ANA, "CHAMPION"), role(1, ANA, "CHAMPION", deal="2")]
    assert roles_of(team_of(*events, role(2, ANA, "CHAMPION", "removed")))[ANA] == ["champion"]
    gone = [role(2, ANA, None, "removed"), role(3, ANA, "Champion", "removed", deal="2")]
    assert team_of(*events, *gone) is None


def test_a_role_of_the_profile_holds_in_every_team_but_makes_none():
    buyer = profile(0, ANA, role="BUDGET_HOLDER")
    assert team_of(buyer) is None
    seen = [at_acme("product_viewed", 1, BO), at_acme("product_viewed", 1, BO, product="Q")]
    for product in "PQ":
        assert roles_of(team_of(buyer, *seen, key=("product", product)))[ANA] == ["economic_buyer"]
    assert ANA not in roles_of(team_of(buyer, *seen, profile(2, ANA, role=None)))
    assert ANA not in roles_of(team_of(profile(0, ANA, role="admin"), *seen))


def test_a_role_in_a_deal_counts_for_the_deals_product():
    label = happened(
        "profile_observed",
        -900,
        subject=ANA,
        scopes=(Scope("item", "deal:1"),),
        properties={"role": "Champion"},
    )
    deal = at_acme("opportunity_opened", 1, None, scopes=(Scope("item", "deal:1"),))
    assert roles_of(team_of(deal, facts=[label])) == {ANA: ["champion"]}
    assert team_of(deal, facts=[label], key=("product", "Q")) is None


def test_the_figures_of_a_team():
    events = [
        role(0, ANA, "CHAMPION"),
        *(at_acme("cart_added", 19 + n / 10, ANA) for n in range(3)),
        profile(0, BO, title="Security Lead"),
        at_acme("product_searched", 18, BO),
        role(-40, CY, "END_USER"),  # was never seen
        at_acme("email_delivered", 19, CY),  # what we send is no touch
    ]
    team = team_of(*events)
    assert [(m.subject, m.stage, m.touches, m.state) for m in team.members] == [
        (ANA, "buying", 3, "new"),
        (BO, "aware", 1, "new"),
        (CY, None, 0, "silent"),
    ]
    assert team.present == ("champion", "user", "security")
    assert team.missing == ("economic_buyer",)
    assert (team.coverage, team.covered) == (0.6667, True)
    assert (team.furthest_stage, team.least_stage, team.stage_spread) == ("buying", "aware", 3)
    assert team.top_share == 0.75
    assert (team.new, team.silent) == ((ANA, BO), (CY,))


def test_the_team_is_there_before_the_deal_and_outlives_it():
    viewed = at_acme("product_viewed", 0)
    assert roles_of(team_of(viewed, as_of=1)) == {ANA: []}
    won = at_acme("opportunity_won", 5, None)
    later = team_of(viewed, role(2, BO, "CHAMPION"), won, as_of=400)
    assert roles_of(later) == {BO: ["champion"]}  # who had no role and did nothing is out of it
    assert later.silent == (BO,)


def test_time_alone_changes_a_team_and_says_when():
    viewed = at_acme("product_viewed", 0)
    assert team_of(viewed, as_of=29).next_check_at == day(30)
    assert team_of(viewed, as_of=30) is None
    held = team_of(role(0, ANA, "CHAMPION"), as_of=31)
    assert (held.silent, held.next_check_at) == ((ANA,), None)


def test_two_ids_of_one_person_are_one_member():
    events = [role(0, "hubspot_contact:7", "CHAMPION"), at_acme("product_viewed", 1)]
    assert len(team_of(*events).members) == 2
    (member,) = team_of(*events, people={"hubspot_contact:7": ANA}).members
    assert (member.subject, member.touches, member.roles[0].role) == (ANA, 1, "champion")


def test_who_left_the_account_is_no_member():
    events = [role(0, ANA, "CHAMPION"), at_acme("product_viewed", 1)]
    assert team_of(*events, at_acme("account_left", 2, product=None)) is None


def test_a_category_that_is_considered_has_a_team():
    viewed = at_acme("product_viewed", 1, product="I")
    team = team_of(viewed, key=("category", "insurance"))
    assert [(member.subject, member.stage) for member in team.members] == [(ANA, "considering")]


def test_records_show_their_team_and_ended_episodes_the_one_they_had():
    events = [
        role(0, ANA, "CHAMPION"),
        at_acme("opportunity_opened", 1, None, properties={"opportunity": "1"}),
        at_acme("opportunity_lost", 5, None, properties={"opportunity": "1"}),
        role(50, BO, "BUDGET_HOLDER", deal="2"),
        at_acme("opportunity_opened", 51, None, properties={"opportunity": "2"}),
    ]
    folded, _ = fold_account(MODEL, events, "crm:acme", CATALOGUE, day(60), Known())
    first, second = (record.buying_team for record in folded.records)
    assert (first["members"], first["roles_present"]) == (1, ["champion"])
    assert (second["members"], second["roles_missing"]) == (2, ["security"])


KINDS = st.sampled_from(
    [
        "product_viewed",
        "cart_added",
        "order_placed",
        "contact_role_added",
        "contact_role_removed",
        "profile_observed",
        "account_left",
        "email_delivered",
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> list[JourneyEvent]:
    count = draw(st.integers(1, 12))
    return [
        at_acme(
            draw(KINDS),
            draw(st.integers(0, 60)),
            draw(st.sampled_from([ANA, BO, "crm_contact:1", None])),
            product=draw(st.sampled_from(["P", "Q", "I", None])),
            properties={
                "role": draw(st.sampled_from(["CHAMPION", "Economic Buyer", "Fan", None])),
                "title": draw(st.sampled_from(["CFO", "Clerk"])),
                "opportunity": draw(st.sampled_from("12")),
            },
        )
        for _ in range(count)
    ]


@given(histories(), st.randoms())
def test_order_and_repetition_do_not_matter(events, random):
    shuffled = [*events, *events[:3]]
    random.shuffle(shuffled)
    known = Known({"crm_contact:1": ANA})
    expected = fold_account(MODEL, events, "crm:acme", CATALOGUE, day(70), known)
    assert fold_account(MODEL, shuffled, "crm:acme", CATALOGUE, day(70), known) == expected


@given(histories(), st.integers(0, 90))
def test_a_team_is_consistent_with_itself(events, as_of):
    _, teams = fold_account(MODEL, events, "crm:acme", CATALOGUE, day(as_of), Known())
    moment = max(day(as_of), *(event.occurred_at for event in events))
    for team in teams:
        names = [member.subject for member in team.members]
        assert names == sorted(set(names))
        held = {role.role for member in team.members for role in member.roles}
        assert set(team.missing) == set(team.required) - held
        assert set(team.new).isdisjoint(team.silent)
        touches = sum(member.touches for member in team.members)
        assert (team.top_share is None) == (touches == 0)
        assert team.next_check_at is None or team.next_check_at > moment
        if team.next_check_at is not None:
            just_before = team.next_check_at - timedelta(seconds=1)
            if just_before > moment:
                _, again = fold_account(MODEL, events, "crm:acme", CATALOGUE, just_before, Known())
                same = next(t for t in again if t.scope_id == team.scope_id)
                assert (same.new, same.silent) == (team.new, team.silent)
