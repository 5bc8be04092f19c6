"""Salesforce's Bulk API 2.0: rows as CSV, and what became of each of them.

Oddities: an empty cell leaves a field as it is, `#N/A` clears it; results are CSV in any order, so
rows are known by their key; a job that failed may have written some of its rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from target_journeys.destinations.base import Verdict

WORKING = {"Open", "UploadComplete", "InProgress"}  # a job that is open is closed when asked for
CLEARED = "#N/A"
OURS = "InvalidBatch"  # how the error of a job begins that would fail again
WORDS = 200  # characters of an error that are kept


def ingest(object_name: str, key: str) -> dict[str, str]:
    """The body that opens a job."""
    return {
        "operation": "upsert",
        "object": object_name,
        "externalIdFieldName": key,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }


def csv_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as a job takes them; a row that refers to another names it `Other__r.Key__c`."""
    lines = [cells(row) for row in rows]
    columns = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def cells(row: Mapping[str, Any]) -> dict[str, str]:
    """One row, column by column."""
    found: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": str(inner) for key, inner in value.items()}
        elif value is None or value == "":
            found[name] = CLEARED
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def outcomes(successful: bytes, failed: bytes, *, key: str) -> dict[str, tuple[str, str]]:
    """Key → code and words of what is wrong with the row; empty if nothing is."""
    found: dict[str, tuple[str, str]] = {row[key]: ("", "") for row in _rows(successful)}
    for row in _rows(failed):
        code, _, words = row["sf__Error"].partition(":")
        found[row[key]] = (code, words)
    return found


def left_over(job: Mapping[str, Any]) -> Verdict:
    """What becomes of the rows that neither result mentions."""
    words = str(job.get("errorMessage") or f"the job ended {job['state']} without this row")[:WORDS]
    return Verdict("refused" if words.startswith(OURS) else "waiting", words)


def _rows(content: bytes) -> csv.DictReader[str]:
    return csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
