"""Whether a login to Zendesk can read what the streams need, and what to do if not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import MissingScopeError, NotThereError
from tap_journeys.sources.zendesk_answers import LIST_SIZE, list_pages, rows_of

Finding = tuple[str, str]  # "ok", "warning" or "error", and a sentence
PROBLEMS = (FatalAPIError, RetriableAPIError, requests.RequestException)
SURVEYS = {
    "satisfaction_ratings": "/api/v2/satisfaction_ratings.json",
    "survey_responses": "/api/v2/guide/survey_responses",
}
SHOWN = 5  # ticket fields that are proposed


def check(client: Client, product_field: int | None) -> Iterator[Finding]:
    """Findings about login, role, surveys and the product field, in this order."""
    try:
        user = client.get("/api/v2/users/me.json")["user"]
        if user.get("id") is None:  # this address answers to nobody as well
            yield "error", "the login is not known; renew it in the settings"
            return
        if user.get("role") == "admin":
            yield "ok", "logged in as an admin"
        else:
            yield "error", "the login is no admin, so it may not read exports; use an admin's"
        yield from _surveys(client)
        yield from _product(client, product_field)
    except PROBLEMS as error:
        yield "error", _said(error)


def _surveys(client: Client) -> Iterator[Finding]:
    found, missing = [], []
    for kind, path in SURVEYS.items():
        try:
            client.get(path, {"page[size]": 1})
            found.append(kind)
        except MissingScopeError as error:
            missing.append(f"{kind}: {error}")
        except NotThereError:
            continue
    if found:
        yield "ok", f"answers to surveys: {' and '.join(found)}"
    else:
        yield "warning", "; ".join(("no answers to surveys can be read", *missing))


def _product(client: Client, product_field: int | None) -> Iterator[Finding]:
    pages = list_pages(client, "/api/v2/ticket_fields.json", {"page[size]": LIST_SIZE})
    fields: list[dict[str, Any]] = [
        row for answer in pages for row in rows_of(answer, "ticket_fields")
    ]
    chosen = next((each for each in fields if each.get("id") == product_field), None)
    if chosen is not None:
        yield "ok", f"the product of a ticket is its field '{chosen.get('title')}'"
        return
    fit = [each for each in fields if each.get("type") in ("tagger", "multiselect", "text")]
    fit.sort(key=lambda each: "product" not in str(each.get("title")).lower())
    names = ", ".join(f"{each.get('id')} ({each.get('title')})" for each in fit[:SHOWN])
    wrong = "names no field of tickets" if product_field is not None else "is not set"
    advice = f"set it to one of: {names}" if names else "no field of tickets fits, write a rule"
    yield "warning", f"`product_field` {wrong}, so tickets have no product; {advice}"


def _said(error: Exception) -> str:
    """The error in words that hold no address with what was asked for."""
    return type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
