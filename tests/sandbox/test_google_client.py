"""Google's official client, built from the official descriptions, reads the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.pipes import SHARED
from tests.sandbox.bigquery import BigQuery
from tests.sandbox.bigquery_world import EVENT, event
from tests.sandbox.test_clients import ask
from tests.sandbox.test_clients import pytestmark as needs_clients

DOCUMENTS = SHARED / "specs/ga4"
FIRST = datetime(2026, 3, 1, 9, tzinfo=UTC)
pytestmark = [
    *needs_clients,
    pytest.mark.skipif(not DOCUMENTS.is_dir(), reason="needs the discovery documents"),
]


def test_google_api_python_client(bigquery: BigQuery) -> None:
    bigquery.clock.run()  # the client looks at the real clock to see whether its token is old
    bigquery.world.add_dataset("zoo")
    export = bigquery.add_export("7")
    people = [f"p{number:03d}" for number in range(150)]
    for number, person in enumerate(people):
        export.stream(event(FIRST + timedelta(seconds=number), "page_view", user_id=person))
    export.close_day("20260301")
    export.stream(event(FIRST + timedelta(days=1), "page_view"))

    found = ask("with_google_api_client.py", bigquery.url, "sandbox-google-refresh", str(DOCUMENTS))

    assert found["datasets"] == ["analytics_7", "zoo"]
    assert found["tables"] == ["events_20260301", "events_intraday_20260302"]
    assert found["columns"] == list(EVENT)
    assert found["rows"] == people
    assert found["queried"] == people[::-1]
    assert found["complete"] == [False, True, True, True]
    assert found["states"] == ["RUNNING", "RUNNING", "DONE"]
    assert found["refused"] == [404, "notFound"]
    assert {"eventCount", "itemRevenue"} <= set(found["metrics"])
    assert found["report"] == ["20260301", "150", 2, {"consumed": 1, "remaining": 199_999}]
    assert found["not ours"][0] == 403
