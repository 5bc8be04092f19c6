"""Salesforce's Bulk API 2.0: jobs that write a CSV, with the outcome of every row."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from tests.sandbox.base import Answer, Request, Routes
from tests.sandbox.salesforce_bulk import DELIMITERS, Job, asked_of, csv_of, job_of, new_job
from tests.sandbox.salesforce_objects import NOT_IN_BULK
from tests.sandbox.salesforce_query import refused
from tests.sandbox.salesforce_reads import root
from tests.sandbox.salesforce_rows import RowError, create, delete, update, upsert_all
from tests.sandbox.salesforce_world import Row

if TYPE_CHECKING:
    from tests.sandbox.salesforce import Salesforce

BATCH_ROWS = 200  # written together; a key that comes twice within is refused
routes = Routes()


@routes("POST", "/services/data/v{version}/jobs/ingest")
def create_ingest(vendor: Salesforce, request: Request, version: str) -> Answer:
    asked = asked_of(request)
    operations = {"insert", "update", "upsert", "delete", "hardDelete"}
    name = asked.get("object")
    if name not in vendor.world.objects or name in NOT_IN_BULK:
        raise refused(400, "INVALIDENTITY", f"Entity '{name}' is not supported by the Bulk API.")
    if asked.get("operation") not in operations:
        raise refused(400, "INVALIDJOB", f"operation is one of {sorted(operations)}")
    if asked["operation"] == "upsert" and not asked.get("externalIdFieldName"):
        raise refused(400, "INVALIDJOB", "externalIdFieldName is needed for upsert")
    names = ("operation", "object", "externalIdFieldName", "columnDelimiter", "lineEnding")
    info = {name: asked[name] for name in names if name in asked}
    info |= {"state": "Open", "jobType": "V2Ingest"}
    job = new_job(vendor, "ingest", info, _write_upload)
    path = f"{root(version)}/jobs/ingest/{job.info['id']}/batches"
    job.info["contentUrl"] = path.removeprefix("/")
    return Answer(200, job.info)


@routes("PUT", "/services/data/v{version}/jobs/ingest/{key}/batches")
def upload(vendor: Salesforce, request: Request, version: str, key: str) -> Answer:
    job = job_of(vendor, "ingest", key)
    if job.state != "Open" or job.upload:
        raise refused(400, "INVALIDJOBSTATE", "A job takes one upload, while it is Open")
    job.upload = request.body.decode("utf-8-sig")
    return Answer(201)


def _write_upload(vendor: Salesforce, job: Job) -> None:
    """Write the rows in batches; nothing is written where the header names an unknown field."""
    delimiter = DELIMITERS[job.info["columnDelimiter"]]
    reader = csv.DictReader(io.StringIO(job.upload, newline=""), delimiter=delimiter)
    rows: list[Row] = list(reader)
    name = job.info["object"]
    made = vendor.world.objects[name]
    for column in reader.fieldnames or ():
        head = column.partition(".")[0]
        if made.named(head) is None and vendor.world.relation(name, head) is None:
            words = f"InvalidBatch : Field name not found : {column}"
            job.info |= {"state": "Failed", "errorMessage": words}
            job.left = rows
            return
    for start in range(0, len(rows), BATCH_ROWS):
        batch = rows[start : start + BATCH_ROWS]
        outcomes = _written(vendor, job.info, [_values(row) for row in batch])
        job.outcomes += zip(batch, outcomes, strict=True)
    failed = sum(not outcome["success"] for _, outcome in job.outcomes)
    job.info |= {"numberRecordsProcessed": len(rows), "numberRecordsFailed": failed, "retries": 0}
    job.info["totalProcessingTime"] = 1


def _values(row: Row) -> Row:
    """A line's values: an empty cell says nothing, `#N/A` says null."""
    values: Row = {}
    for column, cell in row.items():
        if cell in ("", None):
            continue
        head, _, field_name = str(column).partition(".")
        value = None if cell == "#N/A" else cell
        values[head] = {field_name: value} if field_name else value
    return values


def _written(vendor: Salesforce, info: Row, rows: list[Row]) -> list[Row]:
    name, operation = info["object"], info["operation"]
    if operation == "upsert":
        return upsert_all(vendor, name, info["externalIdFieldName"], rows)
    outcomes = []
    for row in rows:
        key = str(row.pop("Id", ""))
        try:
            if operation == "insert":
                outcome = create(vendor, name, row) | {"created": True}
            elif operation == "update":
                outcome = update(vendor, name, key, row)
            else:
                outcome = delete(vendor, name, key)
            if operation == "hardDelete":
                vendor.world.purge(name, key)
        except RowError as error:
            outcome = error.outcome()
        outcomes.append(outcome)
    return outcomes


@routes("GET", "/services/data/v{version}/jobs/ingest/{key}/{kind}")
def ingest_results(
    vendor: Salesforce, request: Request, version: str, key: str, kind: str
) -> Answer:
    """The rows as they were sent, with what became of each."""
    job = job_of(vendor, "ingest", key)
    kind = kind.strip("/").lower()
    if kind not in {"successfulresults", "failedresults", "unprocessedrecords"}:
        raise refused(404, "NOT_FOUND", "The requested resource does not exist")
    rows = job.left if kind == "unprocessedrecords" else []
    head: list[str] = []
    lines: list[list[Any]] = [list(row.values()) for row in rows]
    if kind != "unprocessedrecords":
        good = kind == "successfulresults"
        head = ["sf__Id", "sf__Created" if good else "sf__Error"]
        for row, outcome in job.outcomes:
            if outcome["success"] == good:
                created = str(outcome.get("created", False)).lower()
                said = created if good else _error_text(outcome)
                lines.append([outcome.get("id", ""), said, *row.values()])
    header = job.upload.splitlines()[:1]
    columns = next(csv.reader(header, delimiter=DELIMITERS[job.info["columnDelimiter"]]), [])
    return Answer(200, csv_of(job, head + columns, lines), {"Content-Type": "text/csv"})


def _error_text(outcome: Row) -> str:
    error = outcome["errors"][0]
    return f"{error['statusCode']}:{error['message']}:{','.join(error['fields'])} --"
