"""BigQuery's REST API for readers: datasets, tables, their rows, and queries with their pages."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sandbox.base import Answer, Request, Routes
from tests.sandbox.bigquery_query import (
    Result,
    encoded,
    not_found,
    picked_layout,
    run,
    schema,
    table_of,
)
from tests.sandbox.bigquery_world import Row, Table
from tests.sandbox.google_login import refused

if TYPE_CHECKING:
    from tests.sandbox.bigquery import BigQuery

PROJECT = "/bigquery/v2/projects/{project}"
TABLE = PROJECT + "/datasets/{dataset}/tables/{table}"
ANYWHERE = {"US", "EU"}  # elsewhere a job is found only with its location
routes = Routes()


@dataclass(slots=True)
class Job:
    """A query that runs, or has run."""

    key: str
    location: str
    result: Result  # of the moment when it was asked
    polls: int  # answers that are left before it is complete

    def reference(self, project: str) -> Row:
        return {"projectId": project, "jobId": self.key, "location": self.location}


def _token(kind: str, at: int) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{at}".encode()).decode().rstrip("=")


def _start(request: Request, kind: str) -> int:
    """Where the page begins that a token or startIndex asks for."""
    token = request.get("pageToken")
    try:
        if not token:
            return int(request.get("startIndex") or 0)
        found, _, at = base64.urlsafe_b64decode(token + "===").decode().rpartition(":")
        if found != kind:
            raise ValueError("a token of something else")
        return int(at)
    except ValueError as error:
        raise refused(400, "Invalid page token", "invalid") from error


def _most(vendor: BigQuery, asked: Any) -> int:
    """How many rows a page has; 0 is a real answer of none."""
    try:
        return min(int(asked), vendor.page_rows) if asked is not None else vendor.page_rows
    except (TypeError, ValueError) as error:
        raise refused(400, "Invalid value for maxResults", "invalidParameter") from error


def _listed(request: Request, kind: str, names: list[str]) -> tuple[list[str], Row]:
    start = _start(request, kind)
    end = start + int(request.get("maxResults") or 50)
    return names[start:end], {"nextPageToken": _token(kind, end)} if end < len(names) else {}


@routes("GET", PROJECT + "/datasets")
def datasets(vendor: BigQuery, request: Request, project: str) -> Answer:
    names = sorted(vendor.world.datasets) if project == vendor.world.project else []
    names, more = _listed(request, "datasets", names)
    rows = [
        {
            "kind": "bigquery#dataset",
            "id": f"{project}:{name}",
            "datasetReference": {"datasetId": name, "projectId": project},
            "location": vendor.world.locations[name],
        }
        for name in names
    ]
    return Answer(200, {"kind": "bigquery#datasetList", "datasets": rows} | more)


@routes("GET", PROJECT + "/datasets/{dataset}")
def dataset(vendor: BigQuery, request: Request, project: str, dataset: str) -> Answer:
    if project != vendor.world.project or dataset not in vendor.world.datasets:
        raise not_found("Dataset", f"{project}:{dataset}")
    reference = {"datasetId": dataset, "projectId": project}
    body = {"kind": "bigquery#dataset", "id": f"{project}:{dataset}"}
    place = {"location": vendor.world.locations[dataset]}
    return Answer(200, body | {"datasetReference": reference} | place)


def _about(vendor: BigQuery, dataset: str, name: str, table: Table) -> Row:
    project = vendor.world.project
    return {
        "kind": "bigquery#table",
        "id": f"{project}:{dataset}.{name}",
        "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
        "type": "TABLE",
        "creationTime": str(int(table.created_at.timestamp() * 1000)),
    }


@routes("GET", PROJECT + "/datasets/{dataset}/tables")
def tables(vendor: BigQuery, request: Request, project: str, dataset: str) -> Answer:
    if project != vendor.world.project or dataset not in vendor.world.datasets:
        raise not_found("Dataset", f"{project}:{dataset}")
    found = vendor.world.datasets[dataset]
    names, more = _listed(request, f"tables {dataset}", sorted(found))
    rows = [_about(vendor, dataset, name, found[name]) for name in names]
    body: Row = {"kind": "bigquery#tableList", "totalItems": len(found)}
    return Answer(200, body | ({"tables": rows} if rows else {}) | more)


@routes("GET", TABLE)
def table(vendor: BigQuery, request: Request, project: str, dataset: str, table: str) -> Answer:
    found = table_of(vendor.world, project, dataset, table)
    body = _about(vendor, dataset, table, found) | {
        "schema": schema(picked_layout(found.layout, request.get("selectedFields"))),
        "numRows": str(len(found.rows)),
        "lastModifiedTime": str(int(found.changed_at.timestamp() * 1000)),
        "location": vendor.world.locations[dataset],
    }
    return Answer(200, body)


@routes("GET", TABLE + "/data")
def data(vendor: BigQuery, request: Request, project: str, dataset: str, table: str) -> Answer:
    """Rows in the order in which they were written; a table that is gone between pages is a 404."""
    found = table_of(vendor.world, project, dataset, table)
    layout = picked_layout(found.layout, request.get("selectedFields"))
    result = Result(layout, found.rows)
    kind = f"data {dataset}.{table}"
    page = _page(vendor, request, result, kind, request.get("maxResults"))
    return Answer(200, {"kind": "bigquery#tableDataList"} | page)


def _page(vendor: BigQuery, request: Request, result: Result, kind: str, asked: Any) -> Row:
    start = _start(request, kind)
    end = start + _most(vendor, asked)
    micros = request.get("formatOptions.useInt64Timestamp") == "true"
    rows = [encoded(row, result.layout, micros=micros) for row in result.rows[start:end]]
    page: Row = {"totalRows": str(len(result.rows))}
    if rows:
        page["rows"] = rows
    if end < len(result.rows):
        page["pageToken"] = _token(kind, end)
    return page


# -- queries -------------------------------------------------------------------------------------


def _new_job(vendor: BigQuery, asked: Row, project: str, location: str, key: str = "") -> Job:
    if project != vendor.world.project:
        raise refused(403, f"Access Denied: Project {project}", "accessDenied")
    if asked.get("useLegacySql") is not False:
        raise refused(400, "Legacy SQL is not spoken here: useLegacySql is true", "invalidQuery")
    if not asked.get("query"):
        raise refused(400, "Required parameter is missing: query", "required")
    params = {one["name"]: _param(one) for one in asked.get("queryParameters") or ()}
    near = (asked.get("defaultDataset") or {}).get("datasetId", "")
    result = run(vendor.world, asked["query"], near, params)
    place = vendor.world.locations[result.dataset]
    if location not in ("", place):
        words = f"{project}:{result.dataset} was not found in location {location}"
        raise not_found("Dataset", words)
    job = Job(key or f"job_{len(vendor.jobs) + 1:08d}", place, result, vendor.job_polls)
    return vendor.jobs.setdefault(job.key, job)


def _param(one: Row) -> Any:
    kind, value = one["parameterType"]["type"], one["parameterValue"]
    if kind == "ARRAY":
        inner = one["parameterType"]["arrayType"]
        listed = value.get("arrayValues") or ()
        return [_param({"parameterType": inner, "parameterValue": v}) for v in listed]
    if kind == "BOOL":
        return value["value"] == "true"
    return {"INT64": int, "FLOAT64": float}.get(kind, str)(value["value"])


def _job(vendor: BigQuery, request: Request, key: str) -> Job:
    job = vendor.jobs.get(key)
    place = request.get("location")
    if (
        job is None
        or (place or job.location) != job.location
        or not (place or job.location in ANYWHERE)
    ):
        raise not_found("Job", f"{vendor.world.project}:{key}")
    return job


def _answered(vendor: BigQuery, request: Request, job: Job, project: str, asked: Any) -> Row:
    body: Row = {"jobReference": job.reference(project), "jobComplete": job.polls <= 0}
    if job.polls > 0:
        job.polls -= 1
        return body
    page = _page(vendor, request, job.result, f"job {job.key}", asked)
    body |= {"schema": schema(job.result.layout), "cacheHit": False, "totalBytesProcessed": "1"}
    return body | page


@routes("POST", PROJECT + "/queries")
def query(vendor: BigQuery, request: Request, project: str) -> Answer:
    asked = _asked(request)
    key = f"job_{asked['requestId']}" if asked.get("requestId") else ""
    job = vendor.jobs.get(key)  # asked again with the same requestId: the same job
    job = job or _new_job(vendor, asked, project, str(asked.get("location") or ""), key)
    body = _answered(vendor, request, job, project, asked.get("maxResults"))
    return Answer(200, {"kind": "bigquery#queryResponse"} | body)


@routes("GET", PROJECT + "/queries/{key}")
def results(vendor: BigQuery, request: Request, project: str, key: str) -> Answer:
    job = _job(vendor, request, key)
    body = _answered(vendor, request, job, project, request.get("maxResults"))
    return Answer(200, {"kind": "bigquery#getQueryResultsResponse"} | body)


@routes("POST", PROJECT + "/jobs")
def insert(vendor: BigQuery, request: Request, project: str) -> Answer:
    asked = _asked(request)
    reference = asked.get("jobReference") or {}
    wanted = (asked.get("configuration") or {}).get("query") or {}
    key = str(reference.get("jobId") or "")
    if key in vendor.jobs:
        raise refused(400, f"Already Exists: Job {project}:{key}", "duplicate")
    job = _new_job(vendor, wanted, project, str(reference.get("location") or ""), key)
    return Answer(200, _about_job(job, project) | {"configuration": asked["configuration"]})


@routes("GET", PROJECT + "/jobs/{key}")
def job_of(vendor: BigQuery, request: Request, project: str, key: str) -> Answer:
    job = _job(vendor, request, key)
    body = _about_job(job, project)
    job.polls = max(0, job.polls - 1)
    return Answer(200, body)


def _about_job(job: Job, project: str) -> Row:
    state = "RUNNING" if job.polls > 0 else "DONE"
    body = {"kind": "bigquery#job", "id": f"{project}:{job.location}.{job.key}"}
    return body | {"jobReference": job.reference(project), "status": {"state": state}}


def _asked(request: Request) -> Row:
    try:
        asked = request.json
    except ValueError as error:
        raise refused(400, "Parse Error", "parseError") from error
    if not isinstance(asked, dict):
        raise refused(400, "Parse Error", "parseError")
    return asked
