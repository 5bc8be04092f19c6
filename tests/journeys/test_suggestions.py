"""What may help a journey on: the catalogue first, then what people did; never what they have."""

from __future__ import annotations

from journeys.event import Product
from journeys.suggestions import Together, suggest

LAPTOP = Product(
    "L",
    name="Laptop",
    category="laptops",
    relations={"substitutes": ["M", "N"], "accessories": ["BAG"]},
    attributes={"content": {"considering": ["spec sheet"], "using": "guide"}},
)
TOGETHER = [Together("M", 9, 0), Together("X", 3, 1), Together("Y", 5, 7), Together("Z", 0, 0)]


def told(stage: str, *, owned=(), roadblocks=()) -> list[tuple[str, str, str]]:
    return [tuple(each) for each in suggest(LAPTOP, stage, roadblocks, owned, TOGETHER)]


def test_who_considers_is_shown_substitutes_and_the_content_of_that_stage():
    assert told("considering") == [
        ("substitute", "M", "catalogue"),
        ("substitute", "N", "catalogue"),
        ("substitute", "Y", "5 people compared both"),
        ("substitute", "X", "3 people compared both"),
        ("content", "spec sheet", "catalogue"),
    ]


def test_who_buys_is_shown_accessories():
    assert told("buying") == [
        ("accessory", "BAG", "catalogue"),
        ("accessory", "Y", "7 people bought both"),
        ("accessory", "X", "1 person bought both"),
    ]


def test_who_cannot_pay_is_shown_substitutes_too_until_that_is_over():
    failed = {"type": "payment_failed", "until": None}
    assert ("substitute", "M", "catalogue") in told("buying", roadblocks=[failed])
    over = failed | {"until": "2026-01-01T00:00:00Z"}
    assert told("buying", roadblocks=[over]) == told("buying")


def test_what_the_customer_has_is_not_suggested():
    assert told("considering", owned={"M", "Y"}) == [
        ("substitute", "N", "catalogue"),
        ("substitute", "X", "3 people compared both"),
        ("content", "spec sheet", "catalogue"),
    ]


def test_who_uses_it_is_shown_content_alone():
    assert told("using") == [("content", "guide", "catalogue")]
