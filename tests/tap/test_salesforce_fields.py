"""Values of Salesforce in one form, whichever way they came, and the queries that ask for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tap_journeys.sources.salesforce_fields import (
    Field,
    chunks,
    cursor_of,
    described,
    from_csv,
    from_rest,
    full_id,
    schema_of,
)
from tap_journeys.sources.salesforce_objects import stream_name
from tap_journeys.sources.salesforce_soql import Rows
from tap_journeys.sources.windows import Window


@pytest.mark.parametrize(
    ("kind", "rest", "bulk", "value"),
    [
        ("boolean", True, "true", True),
        ("boolean", False, "false", False),
        ("int", 7, "7.0", 7),
        ("double", 2.5, "2.5", 2.5),
        ("currency", 1200, "1200.0", 1200.0),
        ("double", 1e7, "1.0E7", 1e7),
        ("date", "2026-02-01", "2026-02-01", "2026-02-01"),
        (
            "datetime",
            "2026-01-02T03:04:05.000+0000",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02T03:04:05.000Z",
        ),
        ("string", None, "", None),
        ("reference", "001D000000IqhSL", "001D000000IqhSLIAZ", "001D000000IqhSLIAZ"),
        ("anyType", True, "true", "true"),
        ("anyType", 12.0, "12.0", "12.0"),
        ("anyType", "2026-01-02T03:04:05.000+0000", "2026-01-02T03:04:05.000Z", None),
        ("int", "a word", "a word", "a word"),
    ],
)
def test_a_value_is_the_same_by_rest_and_by_bulk(kind: str, rest: Any, bulk: str, value: Any):
    fields = [Field("V", kind)]
    one, other = from_rest(fields, {"V": rest}), from_csv(fields, {"V": bulk})
    assert one == other
    assert type(one["V"]) is type(other["V"])
    if value is not None or not rest:
        assert one["V"] == value


def test_rows_beside_a_row_are_objects_or_null():
    fields = [Field("Id", "id"), Field("Case.A", "string"), Field("Case.B", "string")]
    nested = {"Id": "5", "Case": {"attributes": {"type": "Case"}, "A": None, "B": "b"}}
    assert from_rest(fields, nested) == {"Id": "5", "Case": {"A": None, "B": "b"}}
    assert from_csv(fields, {"Id": "5", "Case.A": "", "Case.B": "b"}) == from_rest(fields, nested)
    for nothing in (None, {"A": None, "B": None}):
        assert from_rest(fields, {"Id": "5", "Case": nothing}) == {"Id": "5", "Case": None}
    assert schema_of(fields)["properties"]["Case"]["properties"]["A"] == {
        "type": ["string", "null"]
    }


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("001D000000IqhSL", "001D000000IqhSLIAZ"),
        ("001D000000IqhSLIAZ", "001D000000IqhSLIAZ"),
        ("006xx01", "006xx01"),
    ],
)
def test_an_id_of_fifteen_characters_becomes_one_of_eighteen(short: str, full: str):
    assert full_id(short) == full


def test_compounds_and_files_are_not_read():
    kinds = ("string", "address", "location", "base64")
    answer = {"fields": [{"name": kind, "type": kind} for kind in kinds]}
    assert [field.path for field in described(answer)] == ["string"]


def test_rows_are_ordered_by_the_first_stamp_that_can_be_asked_for():
    stamps = [Field(name, "datetime") for name in ("CreatedDate", "LastModifiedDate")]
    assert cursor_of(stamps) == "LastModifiedDate"
    assert cursor_of([*stamps, Field("SystemModstamp", "datetime")]) == "SystemModstamp"
    assert cursor_of([*stamps, Field("SystemModstamp", "datetime", filters=False)]) != (
        "SystemModstamp"
    )
    assert cursor_of([Field("Id", "id")]) is None


def test_fields_are_cut_into_pieces_that_fit():
    fields = [Field("Id", "id"), *(Field(f"Field{n:03}__c", "string") for n in range(100))]
    pieces = chunks(fields, ("Id",), 300)
    assert [field for piece in pieces for field in piece[1:]] == fields[1:]
    assert all(piece[0].path == "Id" for piece in pieces)
    assert all(sum(len(field.path) + 3 for field in piece[1:]) <= 300 for piece in pieces)


def test_queries_are_those_that_the_vendor_documents():
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, 678912, UTC))
    bounds = (
        "WHERE SystemModstamp >= 2026-01-01T00:00:00.000Z "
        "AND SystemModstamp < 2026-01-02T03:04:05.678Z"
    )
    rows = Rows("Lead", "SystemModstamp", window)
    assert rows.number() == f"SELECT COUNT() FROM Lead {bounds}"
    assert rows.unordered(["Id", "Name"]) == f"SELECT Id, Name FROM Lead {bounds}"
    assert rows.ordered(["Id"]) == f"SELECT Id FROM Lead {bounds} ORDER BY SystemModstamp, Id"
    assert Rows("X", None, window).ordered(["Id"]) == "SELECT Id FROM X ORDER BY Id"


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("OpportunityLineItem", "salesforce_opportunity_line_item"),
        ("Product2", "salesforce_product2"),
        ("NPS__c", "salesforce_nps__c"),
    ],
)
def test_a_stream_is_named_like_its_object(name: str, stream: str):
    assert stream_name(name) == stream
