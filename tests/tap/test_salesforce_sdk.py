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

# The suite asks for the streams while tests are collected: the vendor is there for a moment, and
# again, at the same address, while they run.
with Sandbox("salesforce") as sandbox:
    CONFIG = settings(sandbox.salesforce)
    TestSuite = get_tap_test_class(TapJourneys, config=CONFIG)
PORT = int(sandbox.salesforce.url.rpartition(":")[2])


@pytest.fixture(autouse=True, scope="module")
def company() -> Iterator[None]:
    with Sandbox("salesforce", port=PORT) as sandbox:
        found_company(sandbox.salesforce)
        yield


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
