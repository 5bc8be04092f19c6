"""What events come to: the main line, its regions, outcomes and episodes."""

from __future__ import annotations

import pytest

from journeys.catalogue import Catalogue, index_aliases
from journeys.event import Product, Scope
from journeys.fold import StageRecord, fold, fold_subject
from target_journeys.stage_model import load
from tests.journeys.events import day, happened, ticket

MODEL = load("standard")


def only(events, **options) -> StageRecord:
    (record,) = fold(MODEL, events, **options)
    return record


@pytest.mark.parametrize(
    ("types", "stage", "headline"),
    [
        (["product_searched"], "aware", "Considering"),
        (["product_viewed"], "considering", "Considering"),
        (["product_viewed", "demo_requested"], "evaluating", "Considering"),
        (["product_viewed", "cart_added"], "buying", "Buying"),
        (["product_viewed", "cart_added", "order_placed"], "receiving", "Buying"),
        (["order_placed", "order_delivered"], "using", "Using"),
        (["order_placed", "feature_used"], "using", "Using"),
        (["feature_used", "renewal_quoted"], "renewing", "Using"),
        (["feature_used", "renewal_quoted", "renewed"], "using", "Using"),
        (["feature_used", "ticket_opened"], "using", "Seeking support"),
        (["order_placed", "order_delivered", "return_requested"], "using", "Returning"),
        (["order_delivered", "ticket_opened", "return_requested"], "using", "Returning"),
        (["order_placed", "product_viewed"], "receiving", "Buying"),
        (["ticket_opened"], "using", "Seeking support"),
        (["problem_identified"], "aware", "Considering"),
    ],
)
def test_events_move_a_journey_along_the_main_line(types, stage, headline):
    record = only([happened(kind, n / 10) for n, kind in enumerate(types)])
    assert (record.stage, record.headline, record.outcome) == (stage, headline, None)


@pytest.mark.parametrize(
    ("types", "outcome"),
    [
        (["product_viewed", "lead_disqualified"], "disqualified"),
        (["opportunity_opened", "opportunity_lost"], "lost_other"),
        (["order_placed", "order_cancelled"], "order_cancelled"),
        (["order_placed", "order_delivered", "order_refunded"], "returned"),
        (["order_refunded"], "returned"),
        (["feature_used", "subscription_cancelled"], "churned"),
        (["feature_used", "subscription_expired"], "expired"),
        (["feature_used", "product_retired"], "completed"),
    ],
)
def test_events_end_a_journey(types, outcome):
    record = only([happened(kind, n) for n, kind in enumerate(types)])
    assert (record.outcome, record.evidence) == (outcome, "explicit")
    assert record.headline is None
    assert record.condition is None


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("No decision / timing", "no_decision"),
        ("Went with a competitor", "lost_competitor"),
        ("Too expensive", "lost_price"),
        ("Champion left", "lost_other"),
        (None, "lost_other"),
    ],
)
def test_a_lost_opportunity_says_why(reason, outcome):
    lost = happened("opportunity_lost", 5, properties={} if reason is None else {"reason": reason})
    record = only([happened("opportunity_opened", 0), lost])
    assert (record.outcome, record.reason) == (outcome, reason)


def test_skipped_stages_are_said_and_evidence_is_kept():
    cart, order = happened("cart_added", 0), happened("order_placed", 0.5)
    record = only([cart, order])
    assert record.stages_skipped == ("aware", "considering", "evaluating")
    assert [(visit.stage, visit.event_id) for visit in record.path] == [
        ("buying", cart.event_id),
        ("receiving", order.event_id),
    ]


def test_impressions_never_open_a_journey_but_are_counted_in_one():
    assert fold(MODEL, [happened("ad_seen", 0), happened("email_delivered", 1)]) == []
    record = only([happened("ad_seen", 0), happened("product_viewed", 1), happened("ad_seen", 2)])
    assert record.event_count == 2


@pytest.mark.parametrize("role", ["candidate", "mentioned"])
@pytest.mark.parametrize("kind", ["demo_requested", "product_viewed"])
def test_a_mention_carries_no_further_than_considering(role, kind):
    assert only([happened(kind, 0, role=role)]).stage == "considering"


@pytest.mark.parametrize("kind", ["cart_added", "order_placed", "ticket_opened", "feature_used"])
def test_a_mention_opens_neither_buying_nor_anything_after(kind):
    assert fold(MODEL, [happened(kind, 0, role="candidate")]) == []


def test_events_without_a_product_stay_with_the_customer():
    events = [happened("product_viewed", 0, None), happened("email_opened", 1, None)]
    folded = fold_subject(MODEL, events, "email:ana@acme.test", Catalogue(), None)
    assert folded.records == []
    assert folded.touchpoints == 2
    assert folded.unresolved == {("tests", "no product", True): 1}


def test_one_event_may_be_about_several_products():
    scopes = tuple(Scope("product", name) for name in ("A", "B", "C", "A"))
    records = fold(MODEL, [happened("order_placed", 0, scopes=scopes)])
    assert [(record.scope_id, record.event_count) for record in records] == [
        ("A", 1),
        ("B", 1),
        ("C", 1),
    ]


def test_two_tickets_are_two():
    events = [
        happened("order_delivered", 0),
        ticket("opened", 1, "T1"),
        ticket("opened", 2, "T2"),
        ticket("closed", 3, "T1"),
    ]
    assert only(events).regions["support"]["open"] == ["T2"]
    assert only(events).headline == "Seeking support"
    closed = only([*events, ticket("closed", 4, "T2")])
    assert "support" not in closed.regions
    assert closed.headline == "Using"


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([ticket("opened", 1, "T")], "open"),
        (
            [ticket("opened", 1, "T"), ticket("updated", 2, "T", status="pending")],
            "waiting_on_customer",
        ),
        ([ticket("opened", 1, "T"), ticket("updated", 2, "T", status="hold")], "waiting_on_us"),
        ([ticket("opened", 1, "T"), ticket("escalated", 2, "T")], "escalated"),
        ([ticket("opened", 1, "T"), ticket("resolved", 2, "T")], "resolved"),
        (
            [ticket("opened", 1, "T"), ticket("resolved", 2, "T"), ticket("reopened", 3, "T")],
            "reopened",
        ),
        ([ticket("opened", 1, "T"), ticket("escalated", 2, "U")], "escalated"),
    ],
)
def test_the_support_region_shows_the_worst_ticket(events, state):
    assert only(events).regions["support"]["state"] == state


@pytest.mark.parametrize(
    ("types", "region", "state"),
    [
        (["return_requested"], "return", "requested"),
        (["return_requested", "return_received"], "return", "in_transit"),
        (["return_requested", "exchange_sent"], "return", "exchanged"),
        (["return_requested", "return_rejected"], "return", "rejected"),
        (["security_review_started"], "internal", "active"),
        (["security_review_started", "security_review_passed"], "internal", "done"),
        (["referral_made"], "advocacy", "referrer"),
        (["feature_used"], "engagement", "active"),
        (["invoice_overdue"], "payment", "overdue"),
        (["invoice_overdue", "invoice_paid"], "payment", "settled"),
    ],
)
def test_regions_stand_beside_the_main_line(types, region, state):
    record = only([happened(kind, n) for n, kind in enumerate(types)])
    assert record.regions[region]["state"] == state


def test_a_step_of_the_buyers_own_work_that_starts_again_is_revisited():
    kinds = ["security_review_started", "security_review_passed", "security_review_started"]
    record = only([happened(kind, n) for n, kind in enumerate(kinds)])
    assert record.regions["internal"]["steps"]["security"] == "revisited"


@pytest.mark.parametrize(
    ("score", "is_reviewer"), [("9", True), (10, True), (8, False), ("", False)]
)
def test_promoters_are_advocates(score, is_reviewer):
    events = [happened("feature_used", 0), happened("nps_answered", 1, properties={"score": score})]
    assert ("advocacy" in only(events).regions) is is_reviewer


def test_usage_declines_and_goes_dormant_with_time():
    events = [happened("feature_used", n) for n in range(0, 90, 3)]
    engagement = lambda at: only(events, as_of=day(at)).regions["engagement"]["state"]  # noqa: E731
    assert engagement(88) == "active"
    assert engagement(110) == "declining"
    assert engagement(118) == "dormant"


def test_a_partial_refund_keeps_the_product():
    refund = happened("order_refunded", 3, properties={"partial": True})
    record = only([happened("order_delivered", 0), refund])
    assert (record.stage, record.outcome) == ("using", None)
    assert record.regions["return"]["state"] == "refunded"


def test_buying_again_after_the_end_is_another_episode():
    kinds = ["order_placed", "order_refunded", "order_refunded", "order_placed"]
    first, second = fold(MODEL, [happened(kind, n) for n, kind in enumerate(kinds)])
    assert (first.episode, first.outcome, first.event_count) == (1, "returned", 3)
    assert (second.episode, second.outcome, second.stage) == (2, None, "receiving")


def test_what_follows_a_purchase_belongs_to_its_episode():
    kinds = ["order_placed", "order_refunded", "order_delivered", "ticket_opened"]
    record = only([happened(kind, n) for n, kind in enumerate(kinds)])
    assert (record.outcome, record.event_count) == ("returned", 4)
    assert record.headline == "Seeking support"


def test_another_order_is_another_cycle_but_its_repetition_is_not():
    first = happened("order_placed", 0, source_key="o1")
    again = happened("order_placed", 0.5, source_key="o1")
    won = happened("opportunity_won", 0.6, source_key="d1")
    assert only([first, again, won]).cycle == 1
    second = happened("order_placed", 5, source_key="o2")
    record = only([first, again, won, happened("order_delivered", 2), second])
    assert (record.cycle, record.stage) == (2, "receiving")


def test_silence_before_the_purchase_is_no_decision_and_inferred():
    events = [happened("product_viewed", 0)]
    assert only(events, as_of=day(89)).outcome is None
    record = only(events, as_of=day(91))
    assert (record.outcome, record.evidence, record.ended_at) == (
        "no_decision",
        "inferred",
        day(90),
    )
    first, second = fold(MODEL, [*events, happened("product_viewed", 100)])
    assert (first.outcome, second.episode, second.outcome) == ("no_decision", 2, None)


def test_an_open_opportunity_stalls_but_is_not_decided_by_silence():
    record = only([happened("opportunity_opened", 0)], as_of=day(200))
    assert (record.outcome, record.condition) == (None, "stalled")


def test_a_loss_ends_the_journey_only_when_no_other_opportunity_is_open():
    events = [
        happened("opportunity_opened", 0, source_key="d1"),
        happened("opportunity_opened", 1, source_key="d2"),
        happened("opportunity_lost", 2, source_key="d1"),
    ]
    assert only(events).outcome is None
    assert only([*events, happened("opportunity_lost", 3, source_key="d2")]).outcome == "lost_other"


def test_a_loss_does_not_take_away_what_was_bought():
    events = [
        happened("opportunity_won", 0, source_key="d1"),
        happened("opportunity_opened", 1, source_key="d2"),
        happened("opportunity_lost", 2, source_key="d2"),
    ]
    assert (only(events).stage, only(events).outcome) == ("receiving", None)


def test_an_abandoned_cart_goes_back_to_where_it_came_from():
    events = [happened("product_viewed", 0), happened("cart_added", 1)]
    assert only(events, as_of=day(1.9)).stage == "buying"
    record = only(events, as_of=day(3))
    assert (record.stage, record.stage_entered_at) == ("considering", day(2))
    assert record.path[-1].event_id == "cart_abandoned"
    assert only([*events, happened("order_placed", 1.5)], as_of=day(3)).stage == "receiving"


def test_an_emptied_cart_goes_back_at_once():
    events = [
        happened("product_viewed", 0),
        happened("cart_added", 1),
        happened("cart_removed", 1.1),
    ]
    assert only(events).stage == "considering"


def test_the_crm_may_move_an_opportunity_back():
    def moved(at, stage):
        properties = {"stage": stage, "opportunity": "d1"}
        return happened("opportunity_stage_changed", at, properties=properties)

    record = only([moved(0, "contractsent"), moved(1, "qualifiedtobuy")])
    assert (record.stage, record.crm_stage) == ("evaluating", "evaluating")


def test_crm_and_behaviour_are_both_kept_and_their_disagreement_is_flagged():
    record = only([happened("lead_created", 0), happened("feature_used", 1)])
    assert (record.crm_stage, record.observed_stage) == ("considering", "using")
    assert record.disagreement


def test_a_crm_stage_that_no_pipeline_knows_is_counted():
    events = [happened("opportunity_stage_changed", 0, properties={"stage": "Parked"})]
    folded = fold_subject(MODEL, events, "x:1", Catalogue(), None)
    assert folded.unresolved == {("tests", "CRM stage not in the model", True): 1}


def test_a_correction_takes_the_place_of_what_it_corrects():
    wrong = happened("order_placed", 0)
    right = happened("cart_added", 0, supersedes=wrong.event_id)
    assert only([wrong, right]).stage == "buying"
    latest = happened("product_viewed", 0, supersedes=right.event_id)
    assert only([wrong, right, latest]).stage == "considering"


def test_of_two_versions_of_an_event_the_later_recorded_counts():
    old = happened("product_viewed", 0, event_id="e", recorded_at=day(1))
    new = happened("cart_added", 0, event_id="e", recorded_at=day(2))
    assert only([old, new]).stage == only([new, old]).stage == "buying"


def test_aliases_lead_to_the_product_and_its_category():
    pro = Product("GTX Pro", category="hardware/gpu", aliases=("GTXPro",))
    catalogue = Catalogue({"GTX Pro": pro}, index_aliases([pro]))
    events = [happened("product_viewed", 0, "GTXPro"), happened("cart_added", 1, "GTX Pro")]
    record = only(events, catalogue=catalogue)
    assert (record.scope_id, record.category, record.event_count) == ("GTX Pro", "hardware/gpu", 2)


def test_an_item_stands_for_its_products_and_waits_for_the_link():
    deal = (Scope("item", "deal:1"),)
    events = [happened("opportunity_opened", 0, scopes=deal)]
    folded = fold_subject(MODEL, events, "x:1", Catalogue(), None)
    assert folded.records == []
    assert folded.unresolved == {("tests", "item without product", True): 1}
    linked = Catalogue(items={"deal:1": ("A", "B")})
    assert [record.scope_id for record in fold(MODEL, events, catalogue=linked)] == ["A", "B"]


CATEGORY_FIRST = load(
    {
        "categories": {
            "laptops": {"grain_before_purchase": "category", "grain_after_purchase": "item"}
        }
    }
)
LAPTOPS = Catalogue(
    {name: Product(name, category="laptops") for name in ("L1", "L2")}, items={"order:7": ("L2",)}
)


def test_consideration_may_be_about_a_category_and_the_purchase_starts_the_product():
    events = [
        happened("product_viewed", 0, "L1"),
        happened("product_viewed", 1, "L2"),
        happened("order_placed", 2, "L2"),
    ]
    category, product = fold(CATEGORY_FIRST, events, catalogue=LAPTOPS)
    assert (category.scope_grain, category.scope_id) == ("category", "laptops")
    assert (category.outcome, category.candidates) == ("won", ("L1", "L2"))
    assert (product.scope_id, product.stage) == ("L2", "receiving")
    assert product.derived_from == "category:laptops#1"


def test_what_is_owned_may_be_an_item():
    events = [happened("order_placed", 2, scopes=(Scope("item", "order:7"),))]
    (record,) = fold(CATEGORY_FIRST, events, catalogue=LAPTOPS)
    assert (record.scope_grain, record.scope_id, record.product) == ("item", "order:7", "L2")


def test_a_renewal_window_opens_with_time_where_the_model_says_so():
    model = load({"defaults": {"renewal_after": "P335D"}})
    (record,) = fold(model, [happened("feature_used", 0)], as_of=day(336))
    assert (record.stage, record.path[-1].event_id) == ("renewing", "renewal_window_opened")


def test_a_record_says_when_time_alone_may_change_it():
    record = only([happened("product_viewed", 0)])
    assert record.next_check_at is not None
    assert only([happened("product_viewed", 0)], as_of=record.next_check_at).condition == "slow"


def test_events_of_one_instant_are_told_in_the_order_of_life():
    refund, order = happened("order_refunded", 0), happened("order_placed", 0)
    assert only([refund, order]).outcome == "returned"


def test_an_account_folds_the_events_of_its_members():
    events = [
        happened("product_viewed", 0, subject="email:ana@acme.test", account="crm:acme"),
        happened("demo_requested", 1, subject="email:bo@acme.test", account="crm:acme"),
    ]
    record = only(events, subject="crm:acme")
    assert (record.subject, record.stage, record.event_count) == ("crm:acme", "evaluating", 2)
