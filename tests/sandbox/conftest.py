"""One vendor of the sandbox for a test, without limits unless the test switches them on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.sandbox.bigquery import BigQuery
from tests.sandbox.google_api import Google
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_api import Api
from tests.sandbox.server import Sandbox
from tests.sandbox.zendesk import Zendesk


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def zendesk() -> Iterator[Zendesk]:
    with Sandbox("zendesk") as sandbox:
        sandbox.clock.set("2026-03-01T00:00:00Z")
        sandbox.zendesk.limits.off = True
        yield sandbox.zendesk


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with Sandbox("hubspot") as sandbox:
        sandbox.clock.set("2026-03-01T00:00:00Z")
        sandbox.hubspot.limits.off = True
        yield sandbox.hubspot


@pytest.fixture
def salesforce() -> Iterator[Salesforce]:
    with Sandbox("salesforce") as sandbox:
        sandbox.clock.set("2026-03-01T00:00:00Z")
        yield sandbox.salesforce


@pytest.fixture
def api(salesforce: Salesforce, http: requests.Session) -> Api:
    return Api(salesforce, http)


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    with Sandbox("bigquery") as sandbox:
        sandbox.clock.set("2026-03-04T12:00:00Z")
        sandbox.bigquery.limits.off = True
        yield sandbox.bigquery


@pytest.fixture
def google(bigquery: BigQuery, http: requests.Session) -> Google:
    return Google(bigquery, http)
