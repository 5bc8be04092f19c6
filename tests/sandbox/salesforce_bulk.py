"""Salesforce's Bulk API 2.0: jobs, and those that read a query."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sandbox.base import Answer, RefusedError, Request, Routes
from tests.sandbox.salesforce_objects import NOT_IN_BULK
from tests.sandbox.salesforce_query import (
    Found,
    bulk_value,
    find,
    refuse_in_bulk,
    refused,
    rest_value,
)
from tests.sandbox.salesforce_reads import NEWEST, root
from tests.sandbox.salesforce_world import USER, Row

if TYPE_CHECKING:
    from tests.sandbox.salesforce import Salesforce

DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^"}
DELIMITERS["BACKQUOTE"] = "`"
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
ENDED = {"JobComplete", "Failed", "Aborted"}
routes = Routes()


Finish = Callable[["Salesforce", "Job"], None]


@dataclass(slots=True)
class Job:
    """A job of either kind."""

    info: Row  # what is answered of it
    path: str  # under which it is found: "query" or "ingest"
    polls: int  # answers InProgress that are left
    finish: Finish  # what is done when it ends
    found: Found | None = None
    upload: str = ""
    outcomes: list[tuple[Row, Row]] = field(default_factory=list)  # row sent, outcome
    left: list[Row] = field(default_factory=list)  # not processed

    @property
    def state(self) -> str:
        return str(self.info["state"])


def new_job(vendor: Salesforce, path: str, info: Row, finish: Finish) -> Job:
    """A job with what both kinds say of themselves."""
    now = rest_value(vendor.clock.now())
    key = f"7504S{next(vendor.job_numbers):010d}AAA"
    said: Row = {"id": key, "createdById": USER, "createdDate": now, "systemModstamp": now}
    said |= {"concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": NEWEST}
    said |= {"columnDelimiter": info.get("columnDelimiter", "COMMA")}
    said |= {"lineEnding": info.get("lineEnding", "LF")}
    if said["columnDelimiter"] not in DELIMITERS or said["lineEnding"] not in LINE_ENDINGS:
        raise refused(400, "INVALIDJOB", "columnDelimiter or lineEnding is not known")
    vendor.jobs[key] = job = Job(said | info, path, vendor.job_polls, finish)
    return job


def job_of(vendor: Salesforce, path: str, key: str) -> Job:
    job = vendor.jobs.get(key)
    if job is None or job.path != path:
        raise refused(404, "NOT_FOUND", "The requested resource does not exist")
    return job


def asked_of(request: Request) -> Row:
    try:
        asked = request.json
    except ValueError as error:
        raise refused(400, "JSON_PARSER_ERROR", "The body is not JSON") from error
    if not isinstance(asked, dict):
        raise refused(400, "JSON_PARSER_ERROR", "The body is not an object")
    return asked


def _go_on(vendor: Salesforce, job: Job) -> None:
    """Each look at a job brings it on: first InProgress, then its end."""
    if job.state not in {"UploadComplete", "InProgress"}:
        return
    if job.polls > 0:
        job.polls -= 1
        job.info["state"] = "InProgress"
        return
    if vendor.job_failures:
        job.info |= {"state": "Failed", "errorMessage": vendor.job_failures.pop(0)}
        return
    job.info["state"] = "JobComplete"
    job.finish(vendor, job)


def csv_of(job: Job, columns: list[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=DELIMITERS[job.info["columnDelimiter"]],
        lineterminator=LINE_ENDINGS[job.info["lineEnding"]],
        quoting=csv.QUOTE_ALL,
    )
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


@routes("PATCH", "/services/data/v{version}/jobs/{path}/{key}")
def change(vendor: Salesforce, request: Request, version: str, path: str, key: str) -> Answer:
    """Abort a job, or say that all is uploaded."""
    job = job_of(vendor, path, key)
    state = asked_of(request).get("state")
    allowed = {"Aborted"} if path == "query" else {"Aborted", "UploadComplete"}
    if state not in allowed or job.state in ENDED:
        words = f"The job is {job.state} and cannot become {state}"
        raise refused(400, "INVALIDJOBSTATE", words)
    job.info["state"] = state
    return Answer(200, job.info)


@routes("DELETE", "/services/data/v{version}/jobs/{path}/{key}")
def remove(vendor: Salesforce, request: Request, version: str, path: str, key: str) -> Answer:
    if job_of(vendor, path, key).state not in ENDED:
        raise refused(400, "INVALIDJOBSTATE", "The job has to end before it is deleted")
    del vendor.jobs[key]
    return Answer(204)


@routes("GET", "/services/data/v{version}/jobs/{path}")
def listed(vendor: Salesforce, request: Request, version: str, path: str) -> Answer:
    rows = [job.info for job in vendor.jobs.values() if job.path == path]
    return Answer(200, {"done": True, "records": rows, "nextRecordsUrl": None})


@routes("GET", "/services/data/v{version}/jobs/{path}/{key}")
def look(vendor: Salesforce, request: Request, version: str, path: str, key: str) -> Answer:
    job = job_of(vendor, path, key)
    _go_on(vendor, job)
    return Answer(200, job.info)


@routes("POST", "/services/data/v{version}/jobs/query")
def create_query(vendor: Salesforce, request: Request, version: str) -> Answer:
    root(version)
    asked = asked_of(request)
    if asked.get("operation") not in {"query", "queryAll"} or not asked.get("query"):
        raise refused(400, "INVALIDJOB", "operation has to be query or queryAll, with a query")
    found = _find(vendor, asked)
    if found.object in NOT_IN_BULK:
        words = f"Entity '{found.object}' is not supported by the Bulk API."
        raise refused(400, "INVALIDENTITY", words)
    if not found.columns:
        raise refused(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
    refuse_in_bulk(vendor.world, found)
    names = ("operation", "query", "columnDelimiter", "lineEnding")
    info = {name: asked[name] for name in names if name in asked}
    info |= {"object": found.object, "state": "UploadComplete", "jobType": "V2Query"}
    return Answer(200, new_job(vendor, "query", info, _run_query).info)


def _find(vendor: Salesforce, info: Row) -> Found:
    deleted = info["operation"] == "queryAll"
    return find(vendor.world, info["query"], deleted=deleted, hidden=vendor.faults.missing_scopes)


def _run_query(vendor: Salesforce, job: Job) -> None:
    """What is there when the job ends is what it read; a field may be gone since it began."""
    try:
        job.found = _find(vendor, job.info)
    except RefusedError as error:
        job.info |= {"state": "Failed", "errorMessage": error.answer.body[0]["message"]}
        return
    job.info |= {"numberRecordsProcessed": len(job.found.rows), "retries": 0}
    job.info["totalProcessingTime"] = 1


@routes("GET", "/services/data/v{version}/jobs/query/{key}/results")
def results(vendor: Salesforce, request: Request, version: str, key: str) -> Answer:
    """A page of rows; `Sforce-Locator` leads to the next, and says `null` at the end."""
    job = job_of(vendor, "query", key)
    if job.found is None:
        raise refused(400, "INVALIDJOBSTATE", f"The job is {job.state}, not JobComplete")
    try:
        start = int(request.get("locator") or "0", 36)
        most = int(request.get("maxRecords") or vendor.job_page_rows)
    except ValueError as error:
        raise refused(400, "INVALID_LOCATOR", "locator or maxRecords is not valid") from error
    found = job.found
    rows = found.rows[start : start + min(most, vendor.job_page_rows)]
    follow, name = vendor.world.follow, found.object
    lines = ([bulk_value(follow(name, row, path)) for path in found.columns] for row in rows)
    end = start + len(rows)
    headers = {
        "Content-Type": "text/csv",
        "Sforce-NumberOfRecords": str(len(rows)),
        "Sforce-Locator": "null" if end >= len(found.rows) else _base36(end),
    }
    return Answer(200, csv_of(job, found.columns, lines), headers)


def _base36(number: int) -> str:
    """A locator says nothing to who reads it."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + text
    return text
