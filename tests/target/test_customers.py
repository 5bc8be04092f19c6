"""The customer view: all journeys side by side, and what belongs to no product; no average."""

from __future__ import annotations

import json

from tests.target.messages import SCHEMA, five_products, product, products_schema, record, sync

ANA = "email:ana@acme.test"


def view(kept, subject=ANA):
    columns = ("journeys", "open_journeys", "touchpoints", "all_journeys", "feedback", "headlines")
    (row,) = kept.ask(f"select {', '.join(columns)} from customers where subject = ?", subject)
    return {
        name: json.loads(value) if isinstance(value, str) else value
        for name, value in zip(columns, row, strict=True)
    }


def test_every_journey_in_every_category_is_listed_also_what_has_ended(kept):
    laptop = product(product_id="A", category="computers/laptops")
    lost = record(19, "lead_disqualified", scopes=[{"grain": "product", "id": "A"}])
    messages = [products_schema(), laptop, SCHEMA, *five_products(), lost]
    sync(kept, *messages, as_of="2026-01-01T20:00:00Z")
    found = view(kept)
    assert (found["journeys"], found["open_journeys"]) == (5, 4)  # four at the same time
    listed = {each["scope_id"]: each for each in found["all_journeys"]}
    assert list(listed) == ["A", "B", "C", "D", "E"]
    assert listed["A"] == {
        "category": "computers/laptops",
        "scope_grain": "product",
        "scope_id": "A",
        "episode": 1,
        "stage": "considering",
        "headline": None,
        "outcome": "disqualified",
    }
    assert [each["headline"] for each in found["headlines"]] == [
        "Buying",
        "Using",
        "Returning",
        "Seeking support",
    ]


def test_the_last_answer_of_each_kind_counts_whatever_it_was_about(kept):
    def answered(number, kind, score, **more):
        properties = {"score": score, "comment": "none of the view's business"}
        return record(number, f"{kind}_answered", properties=properties, **more)

    about_nothing = {"scopes": []}
    answers = [
        answered(3, "nps", 9, **about_nothing),
        answered(1, "nps", 2, **about_nothing),
        answered(2, "csat", "good"),
        record(4, "product_viewed", scopes=[]),
    ]
    sync(kept, SCHEMA, *answers)
    found = view(kept)
    assert found["feedback"] == {
        "csat": {"at": "2026-01-01T02:00:00Z", "score": "good", "about": ["P"]},
        "nps": {"at": "2026-01-01T03:00:00Z", "score": 9},
    }
    assert found["touchpoints"] == 3


def test_linked_ids_share_one_view_and_keep_the_last_word(kept):
    browser = "ga4_client:7"
    early = record(1, "nps_answered", subject=ANA, scopes=[], properties={"score": 3})
    late = record(5, "nps_answered", subject=browser, scopes=[], properties={"score": 10})
    link = record(2, "identity_linked", scopes=[], properties={"linked": browser})
    sync(kept, SCHEMA, late)
    sync(kept, SCHEMA, early, link)
    assert view(kept)["feedback"]["nps"]["score"] == 10
    assert kept.ask("select count(*) from customers") == [(1,)]


def test_there_is_no_average(kept):
    sync(kept, SCHEMA, *five_products())
    columns = [row[1] for row in kept.ask("select * from pragma_table_info('customers')")]
    assert not [name for name in columns if "stage" in name or "average" in name]
