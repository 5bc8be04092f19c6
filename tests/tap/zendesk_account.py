"""A Zendesk account in the sandbox, and what a run of the tap writes of it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from tap_journeys.tap import TapJourneys
from tests.sandbox.zendesk import Zendesk
from tests.tap.running import last_state, records

VERSION = {  # what tells two versions of a row apart
    "zendesk_tickets": "generated_timestamp",
    "zendesk_users": "updated_at",
    "zendesk_organizations": "updated_at",
    "zendesk_satisfaction_ratings": "updated_at",
}
TABLES = {
    "zendesk_tickets": "tickets",
    "zendesk_ticket_events": "ticket_audits",
    "zendesk_ticket_metric_events": "ticket_metric_events",
    "zendesk_ticket_metrics": "ticket_metrics",
    "zendesk_users": "users",
    "zendesk_organizations": "organizations",
    "zendesk_satisfaction_ratings": "satisfaction_ratings",
    "zendesk_survey_responses": "survey_responses",
    "zendesk_ticket_fields": "ticket_fields",
    "zendesk_ticket_forms": "ticket_forms",
    "zendesk_brands": "brands",
}
TOKEN, SOMEBODY = "planted-7h3-t0k3n", "planted.person@acme.test"
PRODUCT_FIELD = 27642


def day(number: int, second: int = 0) -> str:
    return f"2026-01-{number:02}T00:{second // 60:02}:{second % 60:02}Z"


def fill(zendesk: Zendesk, tickets: int = 40) -> None:
    """Organizations, people, and tickets of one second that were solved in another."""
    world = zendesk.world
    world.add("ticket_fields", {"id": PRODUCT_FIELD, "title": "Product"}, day(1))
    world.add("brands", {"name": "Acme"}, day(1))
    world.add("user_fields", {"key": "crm_id", "type": "integer"}, day(1))
    for number in range(tickets):
        organization = world.add("organizations", {"name": f"O{number}"}, day(1))
        email = SOMEBODY if number == 0 else f"u{number}@acme.test"
        person = {"email": email, "organization_id": organization["id"]}
        user = world.add("users", person, day(1, number // 9))
        ticket = {
            "requester_id": user["id"],
            "organization_id": organization["id"],
            "custom_fields": [{"id": PRODUCT_FIELD, "value": f"p{number % 3}"}],
        }
        made = world.add("tickets", ticket, day(2))["id"]
        world.update("tickets", made, {"status": "solved"}, day(3, number // 15))
        if number % 4 == 0:
            world.rate(made, "good", at=day(4))
            answer = {"responder_id": user["id"], "subject_zrns": [f"zen:ticket:{made}"]}
            world.add("survey_responses", answer, day(4))


def settings(zendesk: Zendesk, **others: Any) -> dict[str, Any]:
    login = {"email": zendesk.email, "api_token": zendesk.api_token}
    return {"sources": {"zendesk": {"base_url": zendesk.url, **login, **others}}}


@dataclass
class Run:
    """What one run wrote, and how it ended."""

    messages: list[dict[str, Any]]
    code: int

    @property
    def state(self) -> dict[str, Any]:
        return last_state(self.messages)

    def rows(self, stream: str) -> list[dict[str, Any]]:
        return records(self.messages, stream)

    def bookmark(self, stream: str) -> dict[str, Any]:
        found: dict[str, Any] = self.state["bookmarks"][stream]
        return found


def sync(config: Mapping[str, Any], state: Any = None, *, only: str | None = None) -> Run:
    """One run in this process; ``only`` names the one stream that is selected."""
    tap = TapJourneys(config=dict(config), state=state)
    for name, stream in tap.streams.items():
        stream.selected = only in (None, name)
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="utf-8")):
        code = tap.run()
        return Run([json.loads(line) for line in raw.getvalue().splitlines()], code)


def truth(zendesk: Zendesk) -> dict[str, dict[Any, Any]]:
    """Each stream's keys with the version that the account holds now."""
    return {
        stream: {
            key: row.get(VERSION.get(stream, ""))
            for key, row in zendesk.world.tables[table].items()
        }
        for stream, table in TABLES.items()
    }


def written(*runs: Run) -> dict[str, dict[Any, Any]]:
    """The same of what the runs wrote, later ones over earlier ones."""
    found: dict[str, dict[Any, Any]] = {stream: {} for stream in TABLES}
    for run in runs:
        for message in run.messages:
            if message["type"] == "RECORD":
                stream, row = message["stream"], message["record"]
                found[stream][row["id"]] = row.get(VERSION.get(stream, ""))
    return found


def repeated(run: Run) -> list[Any]:
    """Versions of rows that one run wrote more than once."""
    seen, twice = set(), []
    for message in run.messages:
        if message["type"] == "RECORD":
            stream, row = message["stream"], message["record"]
            mark = (stream, row["id"], row.get(VERSION.get(stream, "")))
            twice += [mark] if mark in seen else []
            seen.add(mark)
    return twice
