"""Runs of the tap against the sandbox's HubSpot, faster than the vendor allows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import pytest

from tap_journeys.sources import base, hubspot_client, patience
from tap_journeys.tap import TapJourneys
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.server import Sandbox

NOW = "2026-03-01T00:00:00Z"
PAST = "2026-01-05T00:00:00Z"
FASTER = 100  # times


@dataclass
class Ran:
    """What a run wrote, and how it ended."""

    code: int
    messages: list[dict[str, Any]] = field(default_factory=list)
    written: bytes = b""

    def records(self, name: str) -> list[dict[str, Any]]:
        stream = f"hubspot_{name}"
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    def ids(self, name: str) -> set[str]:
        return {record["id"] for record in self.records(name)}

    def one(self, name: str, object_id: str) -> dict[str, Any]:
        (found,) = [record for record in self.records(name) if record["id"] == object_id]
        return found

    @property
    def state(self) -> dict[str, Any]:
        states = [each["value"] for each in self.messages if each["type"] == "STATE"]
        return states[-1] if states else {}


@contextmanager
def account() -> Iterator[HubSpot]:
    """An account that refuses nothing until a test says otherwise."""
    with pytest.MonkeyPatch.context() as patch, Sandbox("hubspot") as sandbox:
        sandbox.clock.set(NOW)
        sandbox.hubspot.limits.off = True
        sandbox.hubspot.limits.rate_factor = FASTER
        patch.setattr(hubspot_client, "WINDOW_S", hubspot_client.WINDOW_S / FASTER)
        patch.setattr(hubspot_client, "SEARCHES", hubspot_client.SEARCHES * FASTER)
        patch.setattr(hubspot_client, "SECOND_S", hubspot_client.SECOND_S / FASTER)
        patch.setattr(patience, "wait_random_exponential", lambda **_: lambda state: 0.001)
        patch.setattr(base, "STATE_EVERY_S", 0.0)
        yield sandbox.hubspot


def settings(hubspot: HubSpot, **more: Any) -> dict[str, Any]:
    given = {"access_token": hubspot.token, "base_url": hubspot.url, **more}
    return {"sources": {"hubspot": given}}


def oauth(hubspot: HubSpot, **more: Any) -> dict[str, Any]:
    (client_id, client_secret), *_ = hubspot.clients.items()
    login = {"client_id": client_id, "client_secret": client_secret}
    login |= {"refresh_token": hubspot.refresh_token}
    return settings(hubspot, **{"access_token": None, **login, **more})


def messages_of(written: bytes) -> list[dict[str, Any]]:
    """The messages of whole lines."""
    return [json.loads(line) for line in written[: written.rfind(b"\n") + 1].splitlines()]


def run(
    hubspot: HubSpot,
    state: dict[str, Any] | None = None,
    *,
    config: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    raw: io.BytesIO | None = None,
) -> Ran:
    """One run of all streams."""
    raw = raw or io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="utf-8")):
        tap = TapJourneys(config=config or settings(hubspot), state=state, catalog=catalog)
        code, written = tap.run(), raw.getvalue()
    return Ran(code, messages_of(written), written)
