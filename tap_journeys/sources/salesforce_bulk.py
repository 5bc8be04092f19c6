"""Salesforce's Bulk API 2.0: one query as a job, its rows as CSV.

Oddities: a job can be refused when it is made or fail later, for objects and fields that only REST
can read; rows come in no order; the last page is told by a locator that is the text ``null``.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import requests
from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.errors import ClosedError, TryAgainError
from tap_journeys.sources.salesforce_api import Organisation, SalesforceError

PAGE_ROWS = 10_000  # of one answer, of up to 50,000; it is held in memory
FIRST_POLL_S, LONGEST_POLL_S = 1.0, 20.0
LONGEST_JOB_S = 4 * 3600
NO_MORE_JOBS = "LIMIT_EXCEEDED"  # of this day
FIELD_SIZE = 2**31 - 1  # characters of a value; the csv module's own limit is 128 KiB

csv.field_size_limit(FIELD_SIZE)


class NoBulkError(FatalAPIError):
    """Bulk cannot read this; REST may."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Bulk cannot ({why})")


def rows_of(organisation: Organisation, soql: str) -> Iterator[dict[str, str]]:
    """The rows of a query, read by a job, by the names of their columns.

    Raises NoBulkError where the job is refused or fails, SalesforceError for a vanished field.
    """
    job = f"jobs/query/{_created(organisation, soql)}"
    try:
        _wait(organisation, job)
        locator: str | None = None
        while locator != "null":
            answer = _page(organisation, job, locator)
            yield from csv.DictReader(_lines(answer), strict=True)
            following = answer.headers.get("Sforce-Locator", "null")
            if following == locator:
                raise FatalAPIError("the vendor's next page is the same page again")
            locator = following
    finally:
        _remove(organisation, job)


def _created(organisation: Organisation, soql: str) -> str:
    body = {
        "operation": "queryAll",
        "query": soql,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    try:
        return str(organisation.post("jobs/query", body)["id"])
    except SalesforceError as error:
        if error.code == "INVALID_FIELD":
            raise
        if error.code == NO_MORE_JOBS:
            organisation.has_bulk_jobs = False
        raise NoBulkError(error.code) from None


def _wait(organisation: Organisation, job: str) -> None:
    """Return when the job has its rows."""
    poll_s, until = FIRST_POLL_S, time.monotonic() + LONGEST_JOB_S
    while True:
        said = organisation.get(job)
        match said["state"]:
            case "JobComplete":
                return
            case "Failed" | "Aborted":
                # its message may hold the query
                vanished = "INVALID_FIELD" in str(said.get("errorMessage"))
                if vanished or "No such column" in str(said.get("errorMessage")):
                    raise SalesforceError(400, "INVALID_FIELD")
                raise NoBulkError(said["state"])
        if time.monotonic() > until:
            raise FatalAPIError(f"a Bulk job has no rows after {LONGEST_JOB_S // 3600} hours")
        time.sleep(poll_s)
        poll_s = min(poll_s * 1.5, LONGEST_POLL_S)


def _page(organisation: Organisation, job: str, locator: str | None) -> requests.Response:
    params: dict[str, Any] = {"maxRecords": PAGE_ROWS}
    if locator is not None:
        params["locator"] = locator
    answer: requests.Response = organisation.text(
        f"{job}/results", _whole, params=params, headers={"Accept": "text/csv"}
    )
    return answer


def _lines(answer: requests.Response) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(answer.content), encoding="utf-8", newline="")


def _whole(answer: requests.Response) -> None:
    """Raise where an answer was cut short: half a CSV still is one."""
    said = answer.headers.get("Sforce-NumberOfRecords", "")
    try:
        rows = [len(row) for row in csv.reader(_lines(answer), strict=True)]
    except (csv.Error, UnicodeDecodeError):
        rows = []
    told = int(said) + 1 if said.isdigit() else len(rows)
    nothing = not answer.content and said in {"", "0"}
    if not nothing and (len(rows) != told or len(set(rows)) != 1):
        raise TryAgainError("the answer is not whole")


def _remove(organisation: Organisation, job: str) -> None:
    """Free the room that the rows take; the vendor does it after a week."""
    try:
        organisation.delete(job)
    except (FatalAPIError, ClosedError):
        return  # not worth a failure
