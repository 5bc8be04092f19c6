"""Salesforce's data API for readers: limits, describe, queries and their pages, single rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.sandbox.base import Answer, Request, Routes
from tests.sandbox.salesforce_objects import SObject
from tests.sandbox.salesforce_query import Found, find, record, refused
from tests.sandbox.salesforce_world import Row, full_id

if TYPE_CHECKING:
    from tests.sandbox.salesforce import Salesforce

NEWEST = 66
OLDEST = 46
SHARED_ROWS = 20_000  # distinct ids that a sharing check takes at most
routes = Routes()


@dataclass(slots=True)
class Cursor:
    """A query that was answered in part."""

    found: Found
    page_rows: int


def versions() -> Answer:
    """What every client may ask without a login."""
    numbers = range(OLDEST, NEWEST + 1)
    url = "/services/data/v{}.0"
    body = [{"label": f"v{n}", "url": url.format(n), "version": f"{n}.0"} for n in numbers]
    return Answer(200, body)


def root(version: str) -> str:
    """The path of a version of the API; raises the 404 of one that is not there."""
    if not re.fullmatch(r"\d+\.0", version) or not 20 <= int(version[:-2]) <= NEWEST:
        raise refused(404, "NOT_FOUND", "The requested resource does not exist")
    return f"/services/data/v{version}"


def readable(vendor: Salesforce, name: str) -> SObject:
    """The object, or the 404 where it is not there for this user."""
    hidden = vendor.faults.missing_scopes
    folded = name.casefold()
    for made in vendor.world.objects.values():
        if made.name.casefold() == folded and made.name not in hidden:
            return made
    raise refused(404, "NOT_FOUND", "The requested resource does not exist")


def found_by(vendor: Salesforce, text: str, *, deleted: bool) -> Found:
    """What a query finds, or why it does not."""
    found = find(vendor.world, text, deleted=deleted, hidden=vendor.faults.missing_scopes)
    if vendor.timeout_rows is not None and len(found.rows) > vendor.timeout_rows:
        raise refused(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
    if not vendor.views_all_data and len(found.rows) > SHARED_ROWS:
        raise refused(400, "OPERATION_TOO_LARGE", "exceeded 20000 distinct ids")
    return found


@routes("GET", "/services/data/v{version}")
def resources(vendor: Salesforce, request: Request, version: str) -> Answer:
    names = ("sobjects", "query", "queryAll", "limits", "jobs", "composite")
    return Answer(200, {name: f"{root(version)}/{name}" for name in names})


@routes("GET", "/services/data/v{version}/limits")
def limits(vendor: Salesforce, request: Request, version: str) -> Answer:
    root(version)
    names = {"DailyApiRequests": "daily", "DailyBulkV2QueryJobs": "bulk_query_jobs"}
    body = {
        name: {"Max": vendor.limits[of].limit, "Remaining": vendor.limits.remaining(of)}
        for name, of in names.items()
    }
    return Answer(
        200, body | {"DailyBulkV2QueryFileStorageMB": {"Max": 976562, "Remaining": 976562}}
    )


@routes("GET", "/services/data/v{version}/sobjects")
def objects(vendor: Salesforce, request: Request, version: str) -> Answer:
    hidden = vendor.faults.missing_scopes
    listed = [made for made in vendor.world.objects.values() if made.name not in hidden]
    body = [made.summary(root(version)) for made in listed]
    return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": body})


@routes("GET", "/services/data/v{version}/sobjects/{name}/describe")
def describe(vendor: Salesforce, request: Request, version: str, name: str) -> Answer:
    made = readable(vendor, name)
    empty = ("actionOverrides", "childRelationships", "namedLayoutInfos", "recordTypeInfos")
    body = made.summary(root(version))
    body |= {key: [] for key in (*empty, "supportedScopes")}
    body |= dict.fromkeys(("listviewable", "lookupLayoutable", "networkScopeFieldName"))
    body |= dict.fromkeys(("compactLayoutable", "mruEnabled", "searchLayoutable"), True)
    body["sobjectDescribeOption"] = "FULL"
    return Answer(200, body | {"fields": [field.describe() for field in made.fields.values()]})


@routes("GET", "/services/data/v{version}/sobjects/{name}/deleted")
@routes("GET", "/services/data/v{version}/sobjects/{name}/updated")
def replicated(vendor: Salesforce, request: Request, version: str, name: str) -> Answer:
    """The ids that were deleted, or changed and are still there, between two moments."""
    made = readable(vendor, name)
    start, end = request.get("start"), request.get("end")
    if not start or not end:
        raise refused(400, "INVALID_REPLICATION_DATE", "start and end are needed")
    # A `+` that was sent as it is arrives as a space.
    bounds = [text.replace(" ", "+").replace("+00:00", "Z") for text in (start, end)]
    gone = request.path.rstrip("/").endswith("deleted")
    text = (
        f"SELECT Id, SystemModstamp FROM {made.name} WHERE IsDeleted = {str(gone).lower()} "
        f"AND SystemModstamp >= {bounds[0]} AND SystemModstamp < {bounds[1]}"
    )
    found = find(vendor.world, text, deleted=True)
    shown = [record(vendor.world, made.name, row, found.columns, "") for row in found.rows]
    latest = vendor.clock.now().strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    body: Row = {"latestDateCovered": latest}
    if not gone:
        return Answer(200, body | {"ids": [row["Id"] for row in shown]})
    oldest = vendor.clock.now() - timedelta(days=15)
    body["earliestDateAvailable"] = oldest.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    rows = [{"id": row["Id"], "deletedDate": row["SystemModstamp"]} for row in shown]
    return Answer(200, body | {"deletedRecords": rows})


@routes("GET", "/services/data/v{version}/query")
@routes("GET", "/services/data/v{version}/queryAll")
def query(vendor: Salesforce, request: Request, version: str) -> Answer:
    text = request.get("q")
    if not text:
        raise refused(400, "MALFORMED_QUERY", "A query string has to be specified")
    found = found_by(vendor, text, deleted=request.path.rstrip("/").endswith("queryAll"))
    if not found.columns:
        rows = [found.aggregates] if found.aggregates else []
        return Answer(200, {"totalSize": found.total, "done": True, "records": rows})
    cursor = Cursor(found, _batch_size(vendor, request))
    key = f"01g4S{len(vendor.log):010d}"[:15]
    if cursor.page_rows < len(found.rows):
        vendor.cursors[key] = cursor
        while len(vendor.cursors) > vendor.open_cursors:
            del vendor.cursors[next(iter(vendor.cursors))]
    return _page(vendor, cursor, f"{key}-0", version)


@routes("GET", "/services/data/v{version}/query/{locator}")
@routes("GET", "/services/data/v{version}/queryAll/{locator}")
def more(vendor: Salesforce, request: Request, version: str, locator: str) -> Answer:
    """The page at a locator; the rows are those of the query, their values those of now."""
    key, _, start = locator.rpartition("-")
    if key not in vendor.cursors or not start.isdigit():
        raise refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(vendor, vendor.cursors[key], locator, version)


def _page(vendor: Salesforce, cursor: Cursor, locator: str, version: str) -> Answer:
    key, _, start = locator.rpartition("-")
    found, at = cursor.found, int(start)
    rows = found.rows[at : at + cursor.page_rows]
    records = [record(vendor.world, found.object, r, found.columns, root(version)) for r in rows]
    end = at + len(rows)
    body: Row = {"totalSize": len(found.rows), "done": end >= len(found.rows)}
    if not body["done"]:
        body["nextRecordsUrl"] = f"{root(version)}/query/{key}-{end}"
    return Answer(200, body | {"records": records})


def _batch_size(vendor: Salesforce, request: Request) -> int:
    asked = re.search(r"batchSize=(\d+)", request.headers.get("sforce-query-options", ""))
    return min(2000, max(200, int(asked[1]))) if asked else vendor.page_rows


@routes("GET", "/services/data/v{version}/sobjects/{name}/{key}")
def one(vendor: Salesforce, request: Request, version: str, name: str, key: str) -> Answer:
    """A row by its id."""
    made = readable(vendor, name)
    row = vendor.world.rows[made.name].get(full_id(key))
    if row is None or row.get("IsDeleted"):
        raise refused(404, "NOT_FOUND", "The requested resource does not exist")
    return Answer(200, record(vendor.world, made.name, row, list(made.fields), root(version)))


@routes("GET", "/services/data/v{version}/sobjects/{name}/{field}/{value}")
def by_external_id(
    vendor: Salesforce, request: Request, version: str, name: str, field: str, value: str
) -> Answer:
    """A row by an external id."""
    made = readable(vendor, name)
    rows = vendor.world.by(made.name, field, value)
    if not rows:
        raise refused(404, "NOT_FOUND", "Provided external ID field does not exist")
    return Answer(200, record(vendor.world, made.name, rows[0], list(made.fields), root(version)))
