"""What Zendesk's answers mean: refusals, limits, and where the next page is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import requests
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.answers import body_of, judge_status
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import MissingScopeError, TryAgainError
from tap_journeys.sources.pace import Bucket
from tap_journeys.sources.windows import follow

EXPORTS = "exports"  # the bucket of the incremental exports
MINUTE_S = 60.0
LIST_SIZE = 100  # rows of a page of a list; the API's maximum
ADMIN = "`read` of an admin, on a plan that includes it"

Place = tuple[str, Mapping[str, Any] | None]  # an address, and what is asked for there


class RejectedError(FatalAPIError):
    """The vendor does not take these parameters."""


def judge(response: requests.Response) -> Exception | None:
    """What an answer means; ``error`` may be a text, an object, or a list under ``errors``."""
    problem, status = judge_status(response), response.status_code
    if status == HTTPStatus.FORBIDDEN:
        return MissingScopeError(_missing_scope(body_of(response)))
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return RejectedError(f"HTTP {status}{_code(body_of(response))}")
    if isinstance(problem, TryAgainError) and status == HTTPStatus.TOO_MANY_REQUESTS:
        problem.wait_s = MINUTE_S if problem.wait_s is None else problem.wait_s
    return problem


def _missing_scope(body: Any) -> str:
    words = body.get("description") if isinstance(body, dict) else None
    found = re.search(r"required scopes?: ([\w:, ]+)", words) if isinstance(words, str) else None
    return f"`{found[1].strip()}`" if found else ADMIN


def _code(body: Any) -> str:
    """The vendor's word for it, if it is one word; sentences may name what was asked for."""
    found = body.get("error", body.get("errors")) if isinstance(body, dict) else None
    first = found[0] if isinstance(found, list) and found else found
    word = first.get("code") if isinstance(first, dict) else first
    return f" {word}" if isinstance(word, str) and re.fullmatch(r"[A-Za-z_]{1,60}", word) else ""


def follow_headers(response: requests.Response, exports: Bucket, others: Bucket) -> None:
    """Keep the limits that an answer states; wait where it says that nothing is left."""
    stated = response.headers
    limit = _number(stated, "X-Rate-Limit", "ratelimit-limit")
    if limit is not None:
        others.resize(max(limit - exports.requests, limit // 2), others.per_s)
    if _number(stated, "X-Rate-Limit-Remaining", "ratelimit-remaining") == 0:
        reset_s = _number(stated, "ratelimit-reset")
        for bucket in (exports, others):
            bucket.pause(MINUTE_S if reset_s is None else reset_s)
    for name, value in stated.items():
        if name.lower().startswith("zendesk-ratelimit-incremental-exports"):
            own = {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", value)}
            if "total" in own:
                exports.resize(own["total"], exports.per_s)
            if own.get("remaining") == 0:
                exports.pause(own.get("resets", MINUTE_S))


def _number(headers: Mapping[str, str], *names: str) -> int | None:
    found = (headers.get(name, "").strip() for name in names)
    return next((int(text) for text in found if text.isdigit()), None)


def rows_of(answer: Any, key: str) -> list[dict[str, Any]]:
    """The rows of an answer; a 200 without them is an error that says 200."""
    rows = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise FatalAPIError(f"the answer has no list `{key}`")
    return rows


def list_pages(client: Client, path: str, asked: Mapping[str, Any]) -> Iterator[Any]:
    """The answers of a list, page after page."""

    def ask(place: Place) -> tuple[Any, Place | None]:
        answer = client.get(*place)
        return answer, _next_of_list(answer, path, asked)

    first: Place = (path, asked)
    yield from follow(first, ask)


def _next_of_list(answer: Any, path: str, asked: Mapping[str, Any]) -> Place | None:
    """By cursor, with a link or without one; by number where the list knows no cursor."""
    if not isinstance(answer, dict):
        return None
    meta = answer.get("meta")
    if not isinstance(meta, dict):
        return (answer["next_page"], None) if answer.get("next_page") else None
    if not meta.get("has_more"):  # the last page has a link, too
        return None
    if link := (answer.get("links") or {}).get("next"):
        return link, None
    if cursor := meta.get("after_cursor"):
        return path, {**asked, "page[after]": cursor}
    raise FatalAPIError("there is more, and the answer does not say where")


def export_pages(client: Client, place: Place) -> Iterator[Any]:
    """The answers of an export by cursor, until one says that it is the last."""

    def ask(place: Place) -> tuple[Any, Place | None]:
        answer = client.get(*place, bucket=EXPORTS)
        if not isinstance(answer, dict) or answer.get("end_of_stream") is True:
            return answer, None
        if link := answer.get("after_url"):
            return answer, (link, None)
        if answer.get("end_of_stream") is False:
            raise FatalAPIError("it is not the last page, and the answer does not say what follows")
        return answer, None

    yield from follow(place, ask)
