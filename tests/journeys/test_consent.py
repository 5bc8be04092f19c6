"""What a person allows, purpose by purpose."""

from __future__ import annotations

import pytest

from journeys.consent import allows, note_consent
from tests.journeys.events import happened


def given(*said: tuple[str, object]) -> dict[str, bool]:
    consents: dict[str, bool] = {}
    for number, (kind, purpose) in enumerate(said):
        properties = {} if purpose is None else {"purpose": purpose}
        note_consent(consents, happened(f"consent_{kind}", number, None, properties=properties))
    return consents


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ([], False),
        ([("given", "ads")], True),
        ([("given", ["news", "ads"])], True),
        ([("given", "news")], False),
        ([("given", "ads"), ("withdrawn", "ads")], False),
        ([("withdrawn", "ads"), ("given", "ads")], True),
        ([("given", None)], True),
        ([("given", "ads"), ("withdrawn", None)], False),
        ([("withdrawn", None), ("given", "ads")], True),
        ([("given", None), ("withdrawn", "ads")], False),
        ([("given", "ads"), ("withdrawn", "news")], True),
    ],
)
def test_the_last_word_on_a_purpose_counts_and_silence_is_no(said, allowed):
    assert allows(given(*said), "ads") is allowed


def test_what_needs_no_purpose_is_allowed():
    assert allows({}, None)


def test_other_events_say_nothing_of_consent():
    consents: dict[str, bool] = {}
    note_consent(consents, happened("profile_observed", 0, None, properties={"purpose": "ads"}))
    assert consents == {}
