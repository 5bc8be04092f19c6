"""How HubSpot's objects are read: by search, 200 at once, and completed by batches side by side.

A search has a limit of its own beside that of all other requests, gives twice the rows of a list
and any number of properties, and can be asked for what changed. So searches find the rows, and the
other limit is left to what is read beside them. Rows come in the order of their ids, each page from
the last id on: nothing is 10,000 rows deep, and it does not matter how many changed at once. The
search index is late, so the last minutes before a bookmark are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys.sources.base import Page
from tap_journeys.sources.client import Client, ClosedError
from tap_journeys.sources.hubspot_beside import (
    BATCH,
    BATCH_HISTORY,
    Beside,
    Cast,
    all_at_once,
    chunks,
    company_of,
    roles_of,
    visits,
)
from tap_journeys.sources.hubspot_client import SCOPES, HubSpotStream, RefusedError, Row, next_of
from tap_journeys.sources.hubspot_kinds import Kind, caster, schema_of
from tap_journeys.sources.windows import EPOCH, moment, written

if TYPE_CHECKING:
    from singer_sdk import Tap

PAGE = 200  # rows of a search; the documented maximum
PAGE_LIST = 100  # rows of a list
LOOKBACK = timedelta(minutes=10)  # the search index lags "seconds to minutes"
Filters = Sequence[Sequence[Row]]  # any of these groups, all of a group


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that a search or list found, still to be completed, and the bookmark behind them."""

    rows: Sequence[Row]
    bookmark: Mapping[str, Any] | None = None
    archived: bool = False
    read_at: str | None = None  # of associations that are read without a change of the object


class Objects(HubSpotStream):
    """The objects of one type."""

    primary_keys = ("id",)
    replication_key = "updatedAt"

    def __init__(
        self,
        tap: Tap,
        client: Client,
        kind: Kind,
        types: Mapping[str, str],
        *,
        line_items: Cast,
        associations_every: timedelta,
    ) -> None:
        super().__init__(tap, client, schema=schema_of(kind, types), name=f"hubspot_{kind.name}")
        self.scope = SCOPES[kind.name]
        self.customer_paths, self.product_paths = kind.customer_paths, kind.product_paths
        self._kind, self._types, self._cast = kind, types, caster(types)
        self._cast_line = line_items
        self._every = associations_every
        self._address = f"/crm/v3/objects/{kind.name}"
        self._by_batch = bool(kind.history)  # else the search itself tells the properties
        self._stages: Mapping[str, Row] = {}
        start = self.config.get("start_date")
        self._start = moment(start) if start else None

    def look(self) -> None:
        self.client.get(self._address, {"limit": 1})

    # -- what is asked for -----------------------------------------------------------------

    def parts(self, bookmark: Mapping[str, Any]) -> Iterator[Found]:
        """Archived objects, then what changed, then what may have other associations."""
        state = {"replication_key": self.replication_key, **bookmark}
        self._prepare()
        begun = datetime.now(UTC)
        is_first = "replication_key_value" not in state
        yield from self._archived(state, begun)
        if "cursor" in state:  # an earlier run was interrupted: its rest, then what came since
            yield from self._changed(state)
        yield from self._changed(state)
        if self._kind.closed in self._types:
            read_at = moment(state.get("associations_read_at"))
            if is_first or read_at is None or begun - read_at >= self._every:
                if not is_first:
                    yield from self._open(written(begun))
                state["associations_read_at"] = written(begun)
        yield Found((), dict(state))

    def _prepare(self) -> None:
        """Find out what the catalog leaves of the record, and what the stages are called."""
        mask = self.mask
        self._names = [n for n in self._types if mask["properties", "properties", "properties", n]]
        self._history = self._kind.history if self._wants("propertiesWithHistory", "stages") else ()
        self._by_batch = bool(self._history)
        self._beside = Beside(
            self.client,
            self._kind,
            self.logger,
            associations=self._wants("associations", "line_items", "company_id", "contact_roles"),
            line_items=self._cast_line if self._wants("line_items") else None,
        )
        if not self._history:
            return
        try:
            answer = self.client.get(f"/crm/v3/pipelines/{self._kind.name}")
        except ClosedError:
            raise
        except (FatalAPIError, RetriableAPIError) as error:
            self.logger.warning("Stream '%s': stages have no labels: %s", self.name, error)
            return
        self._stages = {
            stage["id"]: {
                "label": stage.get("label"),
                "metadata": stage.get("metadata"),
                "pipeline": pipeline["id"],
            }
            for pipeline in answer.get("results") or ()
            for stage in pipeline.get("stages") or ()
        }

    def _wants(self, *fields: str) -> bool:
        return any(self.mask["properties", field] for field in fields)

    def _changed(self, state: Row) -> Iterator[Found]:
        """What was modified since the bookmark; ``state`` becomes the bookmark behind it."""
        if (cursor := state.get("cursor")) is None:
            since = self._since(state.get("replication_key_value"))
            newest = self._newest(since)
            if newest is None:
                return
            cursor = {"since": since and written(since), "until": newest, "after_id": 0}
        filters = self._modified(moment(cursor["since"]))
        until = max(cursor["until"], state.get("replication_key_value") or "")
        for rows, is_last in self._ascending([filters], int(cursor["after_id"])):
            if is_last:
                state.pop("cursor", None)
                state["replication_key_value"] = until
            elif rows:
                state["cursor"] = {**cursor, "after_id": int(rows[-1]["id"])}
            yield Found(rows, dict(state))

    def _since(self, value: str | None) -> datetime | None:
        """Where to read from: some time before a bookmark, never before `start_date`."""
        at = moment(value)
        known = [each for each in (at and at - LOOKBACK, self._start) if each is not None]
        return max(known, default=None)

    def _modified(self, since: datetime | None) -> list[Row]:
        if since is None:
            return []
        value = str((since - EPOCH) // timedelta(milliseconds=1))
        return [{"propertyName": self._kind.modified, "operator": "GTE", "value": value}]

    def _newest(self, since: datetime | None) -> str | None:
        """The last change that the index knows, by HubSpot's own clock; None: nothing changed.

        What changes later, while we read, is for the next run.
        """
        sort = {"propertyName": self._kind.modified, "direction": "DESCENDING"}
        rows = self._search([self._modified(since)], sort, limit=1).get("results") or ()
        at = next((moment(row["updatedAt"]) for row in rows), None)
        return None if at is None else written(at)

    def _open(self, read_at: str) -> Iterator[Found]:
        """Objects whose associations may have changed, which does not count as a change."""
        closed = self._kind.closed
        groups = [
            [{"propertyName": closed, "operator": "EQ", "value": "false"}],
            [{"propertyName": closed, "operator": "NOT_HAS_PROPERTY"}],
        ]
        for rows, _ in self._ascending(groups, 0):
            yield Found(rows, read_at=read_at)

    def _archived(self, state: Row, begun: datetime) -> Iterator[Found]:
        """What was archived since the bookmark: the whole list, because it has no other order."""
        since = self._since(state.get("archived_at")) or EPOCH
        last = moment(state.get("archived_at"))
        params = {"archived": "true", "limit": PAGE_LIST, "properties": "hs_object_id"}
        for rows in self.listed(self._address, **params):
            moments = {row["id"]: moment(row.get("archivedAt")) or begun for row in rows}
            new = [row for row in rows if moments[row["id"]] >= since]
            last = max([each for each in (last, *moments.values()) if each], default=None)
            if new:
                yield Found(new, archived=True)
        if last is not None:
            state["archived_at"] = written(min(last, begun))

    # -- searches --------------------------------------------------------------------------

    def _ascending(self, groups: Filters, last: int) -> Iterator[tuple[list[Row], bool]]:
        """Pages of rows in the order of their ids, and whether a page is the last."""
        sort = {"propertyName": "hs_object_id", "direction": "ASCENDING"}
        after: str | None = None
        while True:
            beyond = {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)}
            answer = self._search([[*group, beyond] for group in groups], sort, after=after)
            rows: list[Row] = answer.get("results") or []
            ids = [int(row["id"]) for row in rows]
            if ids != sorted(ids) or (ids and ids[0] <= last):
                raise FatalAPIError("a search does not keep to the order of `hs_object_id`")
            following = next_of(answer)
            yield rows, following is None
            if following is None:
                return
            if not ids and following == after:
                raise FatalAPIError("the next page of a search is the same page again")
            last, after = (ids[-1], None) if ids else (last, following)

    def _search(self, groups: Filters, sort: Row, *, limit: int = PAGE, **more: Any) -> Row:
        body: Row = {
            "filterGroups": [{"filters": list(group)} for group in groups if group],
            "sorts": [sort],
            "limit": limit,
            **{name: value for name, value in more.items() if value is not None},
        }
        if not self._by_batch and limit > 1:
            try:
                return self._post("search", {**body, "properties": self._names}, bucket="search")
            except RefusedError:  # perhaps the properties are too many: a batch takes more
                self._by_batch = True
        return self._post("search", {**body, "properties": [self._kind.modified]}, bucket="search")

    def _post(self, what: str, body: Row, **request: Any) -> Row:
        found: Row = self.client.json("POST", f"{self._address}/{what}", json=body, **request)
        return found

    # -- records ---------------------------------------------------------------------------

    def read(self, part: Found) -> Iterator[Page]:
        """The rows of a search, completed."""
        yield Page(list(self._records(part)) if part.rows else (), part.bookmark)

    def _records(self, part: Found) -> Iterable[Row]:
        ids = [str(row["id"]) for row in part.rows]
        rows = {str(row["id"]): row for row in part.rows}
        jobs: list[Any] = []
        if part.archived or self._by_batch:
            size = BATCH_HISTORY if self._history else BATCH
            jobs = [
                partial(self._whole, each, archived=part.archived) for each in chunks(ids, size)
            ]
            if not part.archived:
                rows = {}  # what is gone meanwhile is read as archived
        beside: Mapping[str, Row] = {}
        if not part.archived:
            jobs.append(partial(self._beside.of, ids))
        *whole, last = all_at_once(jobs)
        if part.archived:
            whole.append(last)
        else:
            beside = last
        for found in whole:
            rows |= found
        return [self._record(row, beside.get(each, {}), part) for each, row in rows.items()]

    def _whole(self, ids: Sequence[str], *, archived: bool) -> dict[str, Row]:
        """Objects with all their properties, and the past of some."""
        body: Row = {"inputs": [{"id": each} for each in ids], "properties": self._names}
        if self._history:
            body["propertiesWithHistory"] = self._history
        params = {"archived": "true"} if archived else None
        answer = self._post("batch/read", body, params=params)
        return {str(row["id"]): row for row in answer.get("results") or ()}

    def _record(self, row: Row, beside: Row, part: Found) -> Row:
        """HubSpot's own object, with values that have types and what was read beside it."""
        record = {**row, **beside, "id": str(row["id"])}
        record["properties"] = self._cast(row.get("properties") or {})
        if part.read_at is not None:
            record["associations_read_at"] = part.read_at
        if beside:
            record["company_id"] = company_of(record)
        if "line_items" in beside:
            record["contact_roles"] = roles_of(record)
        if self._history:
            past = row.get("propertiesWithHistory") or {}
            record["stages"] = visits(past, self._kind, self._stages)
        return record
