"""Zendesk under the SDK's own suite, and what that suite does not look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from singer_sdk.testing import get_tap_test_class

from tap_journeys.tap import TapJourneys
from tests.sandbox.server import Sandbox
from tests.tap.zendesk_account import fill, repeated, settings, sync

# Most fields of a small account are empty or missing, which the suite warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:No records were available to test"),
    pytest.mark.filterwarnings("ignore:Fields in transformed catalog but not in records"),
]

# The suite asks for the streams while tests are collected, so the vendor is there from the start.
SANDBOX = Sandbox("zendesk")
SANDBOX.__enter__()
SANDBOX.clock.set("2026-03-01T00:00:00Z")
for bucket in SANDBOX.zendesk.limits.buckets.values():
    bucket.limit = 1_000_000
fill(SANDBOX.zendesk, tickets=5)
SANDBOX.zendesk.world.add("ticket_forms", {"name": "Default"})
CONFIG = settings(SANDBOX.zendesk)
TestSuite = get_tap_test_class(TapJourneys, config=CONFIG)


@pytest.fixture(autouse=True, scope="module")
def end() -> Iterator[None]:
    yield
    SANDBOX.__exit__(None)


def test_keys_are_there_and_unique():
    run = sync(CONFIG)
    assert (repeated(run), run.code) == ([], 0)
    streams = {each["stream"] for each in run.messages if each["type"] == "RECORD"}
    assert len(streams) == 11


def test_a_state_is_small_and_says_one_moment_for_each_stream():
    bookmarks = sync(CONFIG).state["bookmarks"]
    known = {"replication_key", "replication_key_value", "cursor"}
    assert all(set(each) <= known for each in bookmarks.values())
    assert len(str(bookmarks)) < 200 * len(bookmarks)
