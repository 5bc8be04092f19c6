"""Reports of GA4's Data API: counts by day. They know no persons, so no journey is made of them.

Days are read one by one, which keeps samples and the row `(other)` away, up to yesterday: a day
that is not over changes from answer to answer, and the last days may still.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from tap_journeys.sources.base import ApiStream, Page, Record

if TYPE_CHECKING:
    from singer_sdk import Tap

    from tap_journeys.sources.client import Client

LATE_DAYS = 3  # events arrive for 72 hours
FIRST_DAYS = 28  # that are read first where no start_date is given
ROWS = 10_000  # of one answer
AT_ONCE = 8  # reports that may be in the making; the API's limit is ten


class Report(BaseModel):
    """One report."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern="^[a-z0-9_]+$", description="The stream is called `ga4_report_` and this."
    )
    dimensions: list[str] = Field(
        [], max_length=8, description="What it counts by besides `date`, such as `itemId`."
    )
    metrics: list[str] = Field(
        min_length=1, max_length=10, description="What it counts, such as `itemsViewed`."
    )


class ReportRows(ApiStream):
    """The rows of one report: an aggregate, without any person."""

    def __init__(
        self, tap: Tap, client: Client, property_id: str, report: Report, since: datetime | None
    ) -> None:
        self.client, self.report, self._since = client, report, since
        self.path = f"/v1beta/properties/{property_id}:runReport"
        self.dimensions = ["date", *(name for name in report.dimensions if name != "date")]
        properties: dict[str, Any] = {name: {"type": "string"} for name in self.dimensions}
        properties |= {name: {"type": ["number", "null"]} for name in report.metrics}
        properties["metadata"] = {
            "type": "object",
            "description": "What the API says of the answer: time zone, currency, thresholds, "
            "samples, rows that became (other).",
        }
        schema = {"type": "object", "properties": properties}
        super().__init__(tap, schema=schema, name=f"ga4_report_{report.name}")
        self.primary_keys = tuple(self.dimensions)

    def parts(self, bookmark: Mapping[str, Any]) -> Iterable[date]:
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        if kept := bookmark.get("replication_key_value"):
            day = date.fromisoformat(kept) - timedelta(days=LATE_DAYS)
        else:
            day = self._since.date() if self._since else yesterday - timedelta(days=FIRST_DAYS)
        while day <= yesterday:
            yield day
            day += timedelta(days=1)

    def read(self, part: date) -> Iterator[Page]:
        body: dict[str, Any] = {
            "dateRanges": [{"startDate": part.isoformat(), "endDate": part.isoformat()}],
            "dimensions": [{"name": name} for name in self.dimensions],
            "metrics": [{"name": name} for name in self.report.metrics],
            "limit": str(ROWS),
            "returnPropertyQuota": True,
        }
        taken, total = 0, 1
        while taken < total:
            answer = self.client.post(self.path, body | {"offset": str(taken)})
            rows = answer.get("rows", ())
            yield Page([self._record(row, answer) for row in rows])
            self._say_quota(answer.get("propertyQuota") or {})
            total = int(answer.get("rowCount") or 0) if rows else 0
            taken += len(rows)
        yield Page((), {"replication_key": "date", "replication_key_value": part.isoformat()})

    def _record(self, row: Mapping[str, Any], answer: Mapping[str, Any]) -> Record:
        """A row by the names of its columns, with what the answer says of itself."""
        record: Record = {"metadata": answer.get("metadata", {})}
        for header, cell in zip(
            answer.get("dimensionHeaders", ()), row.get("dimensionValues", ()), strict=True
        ):
            record[header["name"]] = cell.get("value", "")
        for header, cell in zip(
            answer.get("metricHeaders", ()), row.get("metricValues", ()), strict=True
        ):
            is_whole = header.get("type") == "TYPE_INTEGER"
            record[header["name"]] = (int if is_whole else float)(cell.get("value") or 0)
        return record

    def _say_quota(self, quota: Mapping[str, Any]) -> None:
        """What is left is told in the answer, and nowhere else."""
        for name, each in quota.items():
            if each.get("remaining") == 0:
                self.logger.warning("Stream '%s': %s of the property is used up", self.name, name)
