"""HubSpot's search: filters, one sort, a page by offset, and nothing behind row 10,000."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tests.sandbox.base import Answer, Request, Routes, moment
from tests.sandbox.hubspot_words import body, kind_of, refused, shown
from tests.sandbox.hubspot_world import CrmObject, Properties, Row

if TYPE_CHECKING:
    from tests.sandbox.hubspot import HubSpot

PAGE = 200
DEEPEST = 10_000  # rows
GROUPS, FILTERS, FILTERS_IN_ALL = 5, 6, 18

routes = Routes()
Found = tuple[CrmObject, Properties]


@routes("POST", "/crm/v3/objects/{kind}/search")
def _search(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    asked = body(request)
    limit, offset = _whole(asked, "limit", 10), _whole(asked, "after", 0)
    if not 1 <= limit <= PAGE:
        raise refused(400, f"The requested limit of {limit} must be between 1 and {PAGE}")
    if offset + limit > DEEPEST:
        raise refused(400, f"Paging past {DEEPEST} results is not possible: offset {offset}")
    rows = _results(hubspot, kind, asked)
    page = rows[offset : offset + limit]
    wanted = asked.get("properties") or []
    answer: Row = {
        "total": len(rows),
        "results": [
            shown(hubspot.world, kind, row, wanted, properties=properties)
            for row, properties in page
        ],
    }
    if offset + limit < len(rows):
        answer["paging"] = {"next": {"after": str(offset + limit)}}
    return Answer(200, answer)


def _results(hubspot: HubSpot, kind: str, asked: Row) -> list[Found]:
    """All rows of a query, kept until something is written."""
    world, lag = hubspot.world, hubspot.faults.index_lag_s
    query = {name: asked.get(name) for name in ("filterGroups", "sorts", "query")}
    key = (world.revision, kind, json.dumps(query, sort_keys=True))
    if not lag and key in hubspot.searches:
        return hubspot.searches[key]
    indexed_until = hubspot.clock.now() - timedelta(seconds=lag)
    keeps = _filter(hubspot, kind, asked.get("filterGroups") or [], asked.get("query"))
    found: list[Found] = []
    for row in world.listed(kind):
        properties = row.as_of(indexed_until) if lag else row.properties
        if properties is not None and keeps(properties):
            found.append((row, properties))
    found = _sorted(hubspot, kind, found, asked.get("sorts") or [])
    if not lag:
        if len(hubspot.searches) > 20:  # queries; most are stale
            hubspot.searches.clear()
        hubspot.searches[key] = found
    return found


def _whole(asked: Row, name: str, default: int) -> int:
    value = str(asked.get(name) or default)
    if not value.isdigit():
        raise refused(400, f"{name} must be a number")
    return int(value)


def _sorted(hubspot: HubSpot, kind: str, rows: list[Found], sorts: list[Any]) -> list[Found]:
    """By one property; rows that are equal in it come in no order that one could rely on."""
    if len(sorts) > 1:
        raise refused(400, "Only one sort is allowed")
    name, backwards = "hs_object_id", False
    if sorts and isinstance(sorts[0], str):
        name, backwards = sorts[0].removeprefix("-"), sorts[0].startswith("-")
    elif sorts:
        name = sorts[0].get("propertyName", "")
        backwards = sorts[0].get("direction") == "DESCENDING"
    read = _reader(_type(hubspot, kind, name))
    there = [each for each in rows if each[1].get(name)]
    absent = [each for each in rows if not each[1].get(name)]
    if name != "hs_object_id":
        there.sort(key=lambda each: zlib.crc32(str(each[0].id).encode()))
    there.sort(key=lambda each: read(each[1][name] or ""), reverse=backwards)
    return there + absent


def _type(hubspot: HubSpot, kind: str, name: str) -> str:
    definition = hubspot.world.definitions[kind].get(name)
    if definition is None:
        raise refused(400, f"There was a problem with the request: no property {name}")
    return str(definition["type"])


def _filter(
    hubspot: HubSpot, kind: str, groups: list[Row], query: str | None
) -> Callable[[Properties], bool]:
    filters = [group.get("filters") or [] for group in groups]
    if len(groups) > GROUPS or any(len(each) > FILTERS for each in filters):
        raise refused(400, f"At most {GROUPS} groups of {FILTERS} filters are allowed")
    if sum(len(each) for each in filters) > FILTERS_IN_ALL:
        raise refused(400, f"At most {FILTERS_IN_ALL} filters are allowed")
    tests = [[_test(hubspot, kind, each) for each in group] for group in filters]
    words = (query or "").casefold().split()

    def keeps(properties: Properties) -> bool:
        if tests and not any(all(test(properties) for test in group) for group in tests):
            return False
        values = " ".join(value.casefold() for value in properties.values() if value)
        return all(word in values for word in words)

    return keeps if words or tests else lambda _: True


def _test(hubspot: HubSpot, kind: str, rule: Row) -> Callable[[Properties], bool]:
    """One filter as a test of an object's properties."""
    name, operator = str(rule.get("propertyName")), rule.get("operator")
    read = _reader(_type(hubspot, kind, name))
    if operator in {"HAS_PROPERTY", "NOT_HAS_PROPERTY"}:
        return lambda row: bool(row.get(name)) == (operator == "HAS_PROPERTY")
    try:
        if operator in {"IN", "NOT_IN"}:
            among = {read(str(value)) for value in rule["values"]}
            return lambda row: (
                bool(row.get(name)) and (read(row[name] or "") in among) == (operator == "IN")
            )
        low = str(rule["value"])
        if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"}:
            token = low.strip("*").casefold()
            return lambda row: (
                (token in (row.get(name) or "").casefold()) == (operator == "CONTAINS_TOKEN")
            )
        if operator == "BETWEEN":
            first, last = read(low), read(str(rule["highValue"]))
            return lambda row: bool(row.get(name)) and first <= read(row[name] or "") <= last
        value, compare = read(low), _COMPARE[str(operator)]
    except (KeyError, TypeError, ValueError) as problem:
        raise refused(400, f"Invalid filter of {name} with operator {operator}") from problem
    if operator == "NEQ":  # an object without the property is another
        return lambda row: not row.get(name) or read(row[name] or "") != value
    return lambda row: bool(row.get(name)) and compare(read(row[name] or ""), value)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda one, other: one == other,
    "NEQ": lambda one, other: one != other,
    "LT": lambda one, other: one < other,
    "LTE": lambda one, other: one <= other,
    "GT": lambda one, other: one > other,
    "GTE": lambda one, other: one >= other,
}


def _reader(type_name: str) -> Callable[[str], Any]:
    """How a value is compared: dates as milliseconds, numbers as numbers, texts without case."""
    if type_name in {"datetime", "date"}:
        return _millis
    return float if type_name == "number" else str.casefold


@lru_cache(maxsize=200_000)
def _millis(text: str) -> float:
    if text.lstrip("-").isdigit():
        return float(text)
    return round(moment(text).timestamp() * 1000)
