"""Requests to a vendor that cannot be reached: what counts, and who gives up."""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from tenacity import wait_fixed

from tap_journeys.sources import patience
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import ClosedError, FatalAPIError
from tap_journeys.sources.pace import Bucket
from tests.tap.running import Done, command


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "wait_random_exponential", lambda **_: wait_fixed(0.01))


def zendesk(folder: Any, address: str) -> Done:
    login = {"email": "a@acme.test", "api_token": "t"}
    return command(folder, config={"sources": {"zendesk": {"base_url": address, **login}}})


def test_a_host_that_refuses_connections_is_given_up_on_for_all_streams(
    tmp_path: Any, nobody: str, caplog: Any
) -> None:
    """Eleven streams would fail eight times each, and the exports at ten a minute."""
    caplog.set_level(logging.DEBUG, "tap-journeys.client")
    start = time.monotonic()
    done = zendesk(tmp_path, nobody)
    assert time.monotonic() - start < 20
    assert done.returncode == 1
    assert "11 streams not read" in done.stderr
    assert "8 times; see to `base_url` and the network" in done.stderr
    faults = [one for one in caplog.messages if one.startswith("UnreachableError, fault")]
    assert patience.FAULTS <= len(faults) <= 2 * patience.FAULTS  # two requests describe fields


def test_a_request_that_never_left_does_not_count_for_the_limit(nobody: str) -> None:
    bucket = Bucket(1, 3600.0)
    with pytest.raises(ClosedError, match="no connection"):
        Client(nobody, buckets={"requests": bucket}).get("/a")
    start = time.monotonic()
    bucket.wait()  # its one place in an hour is free
    assert time.monotonic() - start < 5


def test_what_waits_for_its_turn_ends_when_the_vendor_is_given_up_on(nobody: str) -> None:
    bucket = Bucket(1, 3600.0)
    bucket.wait()
    client = Client(nobody, buckets={"requests": bucket})
    client.close_with(ClosedError("no connection"))
    start = time.monotonic()
    with pytest.raises(ClosedError):
        client.get("/a")
    assert time.monotonic() - start < 5


class Halves(HTTPAdapter):
    """A vendor of which one half answers, and the other refuses connections."""

    def send(self, request: Any, *others: Any, **named: Any) -> requests.Response:
        answers, client = self.others
        if not request.url.endswith("/refuses"):
            found = requests.Response()
            found.status_code, found._content = 200, b"{}"
            return found
        if answers:
            client.get("/answers")
        return super().send(request, *others, **named)

    others: tuple[bool, Client]


@pytest.mark.parametrize("answers", [True, False])
def test_a_vendor_that_answers_others_meanwhile_is_not_given_up_on(
    nobody: str, answers: bool
) -> None:
    client, adapter = Client(nobody), Halves()
    adapter.others = (answers, client)
    client._session.mount(nobody, adapter)
    with pytest.raises(FatalAPIError, match="8 times"):
        client.get("/refuses")
    assert client.is_closed is not answers
