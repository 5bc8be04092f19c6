"""GA4's Data API: reports over the exported events, and what dimensions and metrics there are.

A report counts what the tables of the export hold, so both ways to read a property agree. Left out:
pivots, realtime, cohorts, comparisons, totals. What a report says of thresholds, samples and
`(other)` is set by a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tests.sandbox.base import Answer, Clock, Request, Routes
from tests.sandbox.bigquery_world import Row
from tests.sandbox.ga4_fields import (
    CUSTOM,
    DIMENSIONS,
    ITEM_METRICS,
    METRICS,
    Event,
    dimension_of,
    distinct,
    person,
)
from tests.sandbox.google_login import refused

if TYPE_CHECKING:
    from tests.sandbox.bigquery import BigQuery

PROPERTY = "/v1beta/properties/{property_id}"
MOST_ROWS = 250_000
USUAL_ROWS = 10_000
OTHER = "(other)"
DEMOGRAPHIC = {"userAgeBracket", "userGender", "brandingInterest", "audienceName"}
routes = Routes()


@dataclass
class Behaviour:
    """What reports of this account do beside counting."""

    time_zone: str = "Etc/UTC"
    currency: str = "USD"
    threshold_users: int = 0  # rows of fewer users are left out of the report
    most_rows: int = 0  # further values of the dimensions become (other); 0: all are kept
    sampled_share: float = 0.0  # of the events that were read; 0: all


@routes("GET", PROPERTY + "/metadata")
def metadata(vendor: BigQuery, request: Request, property_id: str) -> Answer:
    """What can be asked for; the custom dimensions are those that events have."""
    custom: list[str] = []
    if property_id != "0":  # 0: what all properties have
        events = _export(vendor, property_id).events()
        for prefix, column in CUSTOM.items():
            keys = {one["key"] for event in events for one in event[column]}
            custom += [prefix + key for key in sorted(keys)]
    dimensions = [_told(name) | {"customDefinition": name in custom} for name in DIMENSIONS]
    dimensions += [_told(name) | {"customDefinition": True} for name in custom]
    metrics = [_told(name) | {"type": kind} for name, (kind, _) in METRICS.items()]
    body = {"name": f"properties/{property_id}/metadata", "dimensions": dimensions}
    return Answer(200, body | {"metrics": metrics})


def _told(name: str) -> Row:
    return {"apiName": name, "uiName": name, "description": name, "category": "Sandbox"}


@routes("POST", PROPERTY + ":runReport")
def run_report(vendor: BigQuery, request: Request, property_id: str) -> Answer:
    try:
        asked = request.json
    except ValueError as error:
        raise refused(400, "Invalid JSON payload received.") from error
    export = _export(vendor, property_id)
    dimensions = [str(one.get("name")) for one in asked.get("dimensions") or ()]
    metrics = [str(one.get("name")) for one in asked.get("metrics") or ()]
    _check(dimensions, metrics)
    quota = vendor.quotas.take(thresholded=bool(DEMOGRAPHIC & set(dimensions)))
    by_item = any(name.startswith("item") for name in dimensions + metrics)
    events = [event for row in export.events() for event in _events(row, by_item)]
    groups = _groups(vendor, asked, dimensions, events)
    rows = [
        (key, [_text(METRICS[name][1](group)) for name in metrics])
        for key, group in groups.items()
        if distinct(person)(group) >= vendor.reports.threshold_users
    ]
    several = len(asked.get("dateRanges") or ()) > 1
    headers = dimensions + ["dateRange"] * several
    rows = _sorted(rows, asked.get("orderBys") or (), headers, metrics)
    start, most = int(asked.get("offset") or 0), int(asked.get("limit") or USUAL_ROWS)
    if most > MOST_ROWS or most < 0 or start < 0:
        raise refused(400, f"Limit must be between 1 and {MOST_ROWS}")
    body: Row = {
        "dimensionHeaders": [{"name": name} for name in headers],
        "metricHeaders": [{"name": name, "type": METRICS[name][0]} for name in metrics],
    }
    if shown := rows[start : start + most]:  # a report without rows says nothing of rows
        body["rows"] = [
            {
                "dimensionValues": [{"value": value} for value in key],
                "metricValues": [{"value": value} for value in values],
            }
            for key, values in shown
        ]
    body |= {"rowCount": len(rows), "metadata": _about(vendor, events, groups, len(rows))}
    if asked.get("returnPropertyQuota"):
        body["propertyQuota"] = quota
    return Answer(200, body | {"kind": "analyticsData#runReport"})


def _export(vendor: BigQuery, property_id: str) -> Any:
    if property_id not in vendor.exports:
        words = "User does not have sufficient permissions for this property."
        raise refused(403, words)
    return vendor.exports[property_id]


def _check(dimensions: list[str], metrics: list[str]) -> None:
    """Raises what the API says of names that it does not know or that do not go together."""
    for kind, names, most in (("dimension", dimensions, 9), ("metric", metrics, 10)):
        if len(names) > most:
            raise refused(400, f"Requests are limited to {most} {kind}s.")
        known = DIMENSIONS if kind == "dimension" else METRICS
        for name in names:
            if name not in known and not (kind == "dimension" and name.startswith(tuple(CUSTOM))):
                raise refused(400, f"Field {name} is not a valid {kind}.")
    items = [name for name in dimensions if name.startswith("item")]
    others = [name for name in metrics if name not in ITEM_METRICS]
    if items and others:
        words = f"Please remove {others[0]} to make the request compatible."
        raise refused(400, f"{words} The request's dimensions & metrics are incompatible.")


def _events(row: Row, by_item: bool) -> Iterator[Event]:
    if by_item:
        yield from ((row, item) for item in row["items"])
    else:
        yield row, None


def _groups(
    vendor: BigQuery, asked: Row, dimensions: list[str], events: list[Event]
) -> dict[tuple[str, ...], list[Event]]:
    """The events by the values of their dimensions, within the days that are asked for."""
    groups: dict[tuple[str, ...], list[Event]] = {}
    ranges = asked.get("dateRanges") or [{"startDate": "28daysAgo", "endDate": "yesterday"}]
    for number, days in enumerate(ranges):
        first, last = (_day(vendor.clock, str(days.get(k))) for k in ("startDate", "endDate"))
        suffix = (days.get("name") or f"date_range_{number}",) if len(ranges) > 1 else ()
        for event in events:
            within = first <= event[0]["event_date"] <= last
            if not within or not _wanted(asked.get("dimensionFilter"), event):
                continue
            key = (*(dimension_of(event, name) for name in dimensions), *suffix)
            most = vendor.reports.most_rows
            if most and len(groups) >= most and key not in groups:
                names = [*dimensions, *suffix]
                values = zip(names, key, strict=True)
                key = tuple(value if name == "date" else OTHER for name, value in values)
            groups.setdefault(key, []).append(event)
    return groups


def _day(clock: Clock, text: str) -> str:
    """`2026-01-05`, `today`, `yesterday` or `7daysAgo` as the export writes days."""
    today = clock.now().date()
    ago = re.fullmatch(r"(\d+)daysAgo", text)
    days = {"today": 0, "yesterday": 1}.get(text, int(ago[1]) if ago else None)
    try:
        day = today - timedelta(days=days) if days is not None else date.fromisoformat(text)
    except ValueError as error:
        raise refused(400, f"Invalid date: {text}") from error
    return day.strftime("%Y%m%d")


def _wanted(expression: Row | None, event: Event) -> bool:
    """Whether an event passes a dimensionFilter."""
    if not expression:
        return True
    if group := expression.get("andGroup"):
        return all(_wanted(one, event) for one in group["expressions"])
    if group := expression.get("orGroup"):
        return any(_wanted(one, event) for one in group["expressions"])
    if inner := expression.get("notExpression"):
        return not _wanted(inner, event)
    asked = expression["filter"]
    name = asked["fieldName"]
    if name not in DIMENSIONS and not name.startswith(tuple(CUSTOM)):
        raise refused(400, f"Field {name} is not a valid dimension.")
    value = dimension_of(event, name)
    listed = asked.get("inListFilter")
    if listed:
        folded = [_folded(one, listed) for one in listed["values"]]
        return _folded(value, listed) in folded
    if "stringFilter" not in asked:
        raise refused(400, "The sandbox knows stringFilter and inListFilter only.")
    text = asked["stringFilter"]
    return MATCHES[text.get("matchType", "EXACT")](
        _folded(value, text), _folded(text["value"], text)
    )


def _folded(value: str, asked: Row) -> str:
    return value if asked.get("caseSensitive") else value.casefold()


MATCHES: dict[str, Callable[[str, str], bool]] = {
    "EXACT": lambda value, text: value == text,
    "BEGINS_WITH": lambda value, text: value.startswith(text),
    "ENDS_WITH": lambda value, text: value.endswith(text),
    "CONTAINS": lambda value, text: text in value,
    "FULL_REGEXP": lambda value, text: re.fullmatch(text, value) is not None,
    "PARTIAL_REGEXP": lambda value, text: re.search(text, value) is not None,
}


def _sorted(rows: list[Any], orders: Any, dimensions: list[str], metrics: list[str]) -> list[Any]:
    """By the values of the dimensions, unless the request says how."""
    rows = sorted(rows, key=lambda row: row[0])
    for order in reversed(list(orders)):
        by_dimension = (order.get("dimension") or {}).get("dimensionName")
        by_metric = (order.get("metric") or {}).get("metricName")
        if by_dimension in dimensions:
            values: list[tuple[Any, Any]] = [
                (row[0][dimensions.index(by_dimension)], row) for row in rows
            ]
        elif by_metric in metrics:
            values = [(float(row[1][metrics.index(by_metric)]), row) for row in rows]
        else:
            raise refused(400, "Ordering by a field that is not in the report.")
        values.sort(key=itemgetter(0), reverse=bool(order.get("desc")))
        rows = [row for _, row in values]
    return rows


def _text(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _about(vendor: BigQuery, events: list[Event], groups: Any, rows: int) -> Row:
    told: Row = {"currencyCode": vendor.reports.currency, "timeZone": vendor.reports.time_zone}
    if any(OTHER in key for key in groups):
        told["dataLossFromOtherRow"] = True
    if vendor.reports.threshold_users and rows < len(groups):
        told["subjectToThresholding"] = True
    if vendor.reports.sampled_share:
        read = int(len(events) * vendor.reports.sampled_share)
        sample = {"samplesReadCount": str(read), "samplingSpaceSize": str(len(events))}
        told["samplingMetadatas"] = [sample]
    return told
