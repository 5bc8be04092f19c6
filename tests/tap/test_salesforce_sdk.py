"""Salesforce under the SDK's own suite, and what that suite does not look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from singer_sdk.testing import get_tap_test_class

from tap_journeys.tap import TapJourneys
from tests.sandbox.server import Sandbox
from tests.tap.running import last_state, run
from tests.tap.salesforce_company import found_company, settings

# Most fields of a small company are empty, which the suite warns of.
pytestmark = pytest.mark.filterwarnings("ignore:No records were available to test")

# The suite asks for the streams while tests are collected, so the vendor is there from the start.
SANDBOX = Sandbox("salesforce")
SANDBOX.__enter__()
found_company(SANDBOX.salesforce)
CONFIG = settings(SANDBOX.salesforce)
TestSuite = get_tap_test_class(TapJourneys, config=CONFIG)


@pytest.fixture(autouse=True, scope="module")
def end() -> Iterator[None]:
    yield
    SANDBOX.__exit__(None)


def test_keys_are_there_and_unique():
    messages = [message for message in run(CONFIG) if message["type"] == "RECORD"]
    keys = Counter((message["stream"], message["record"]["Id"]) for message in messages)
    assert set(keys.values()) == {1}
    assert len({stream for stream, _ in keys}) > 12


def test_a_state_is_small_and_says_one_moment_for_each_stream():
    marks = last_state(run(CONFIG))["bookmarks"]
    for mark in marks.values():
        assert set(mark) in ({"replication_key", "replication_key_value"}, set())
    assert len(str(marks)) < 200 * len(marks)
