"""How HubSpot's objects are read: found by searches, completed by batches side by side.

The search index is late by seconds to minutes, so the last minutes before a bookmark are read
again, until nothing can be missing there. Bookmarks are moments of HubSpot's own clock; ours only
tells how long ago something was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys.sources.base import Page
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import ClosedError
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
from tap_journeys.sources.hubspot_client import SCOPES, HubSpotStream, Row
from tap_journeys.sources.hubspot_kinds import Kind, caster, schema_of
from tap_journeys.sources.hubspot_search import Search
from tap_journeys.sources.windows import EPOCH, moment, written

if TYPE_CHECKING:
    from singer_sdk import Tap

PAGE_LIST = 100  # rows of a list; the documented maximum
LOOKBACK = timedelta(minutes=10)  # the search index lags "seconds to minutes"
A_MOMENT = timedelta(milliseconds=1)  # what HubSpot's times are told in


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """What is the same for all types of an account."""

    start: datetime | None
    associations_every: timedelta
    cast_line_item: Cast


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
        settings: ObjectSettings,
    ) -> None:
        self.selected_by_default = not kind.on_request
        super().__init__(tap, client, schema=schema_of(kind, types), name=f"hubspot_{kind.name}")
        self.scope = SCOPES[kind.name]
        self.customer_paths, self.product_paths = kind.customer_paths, kind.product_paths
        self._kind, self._types, self._cast = kind, types, caster(types)
        self._settings = settings
        self._address = f"/crm/v3/objects/{kind.name}"
        self._stages: Mapping[str, Row] = {}

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
            yield from self._changed(state, begun)
        yield from self._changed(state, begun)
        if self._kind.closed in self._types:
            read_at = moment(state.get("associations_read_at"))
            if is_first or read_at is None or begun - read_at >= self._settings.associations_every:
                if not is_first:
                    yield from self._open(written(begun))
                state["associations_read_at"] = written(begun)
        yield Found((), dict(state))

    def _prepare(self) -> None:
        """Find out what the catalog leaves of the record, and what the stages are called."""
        mask = self.mask
        self._names = [n for n in self._types if mask["properties", "properties", "properties", n]]
        self._history = self._kind.history if self._wants("propertiesWithHistory", "stages") else ()
        self._search = Search(self.client, self._kind, None if self._history else self._names)
        self._beside = Beside(
            self.client,
            self._kind,
            self.logger,
            associations=self._wants("associations", "line_items", "company_id", "contact_roles"),
            line_items=self._settings.cast_line_item if self._wants("line_items") else None,
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

    def _changed(self, state: Row, begun: datetime) -> Iterator[Found]:
        """What was modified since the bookmark; ``state`` becomes the bookmark behind it.

        What is modified later than the newest change that there is at the beginning is for the
        next run.
        """
        known = state.get("replication_key_value")
        if (cursor := state.get("cursor")) is None:
            since = self._since(known, settled=bool(state.get("settled")))
            newest = self._search.newest(since)
            if newest is None:
                return
            until = max(written(newest), known or "")
            cursor = {"since": since and written(since), "until": until, "after_id": 0}
            cursor["found_at"] = written(begun)
        filters = self._search.modified_since(moment(cursor["since"]))
        for rows, is_last in self._search.ascending([filters], int(cursor["after_id"])):
            if is_last:
                state.pop("cursor", None)
                self._pass(state, cursor)
            elif rows:
                state["cursor"] = {**cursor, "after_id": int(rows[-1]["id"])}
            yield Found(rows, dict(state))

    def _pass(self, state: Row, cursor: Mapping[str, Any]) -> None:
        """Move the bookmark. It is settled once it is older than the search index may be late."""
        if cursor["until"] != state.get("replication_key_value"):
            state["replication_key_value"] = cursor["until"]
            state["found_at"] = cursor["found_at"]
            state.pop("settled", None)
            return
        first, last = moment(state.get("found_at")), moment(cursor["found_at"])
        if first is not None and last is not None and last - first >= LOOKBACK:
            state["settled"] = True

    def _since(self, value: str | None, *, settled: bool = False) -> datetime | None:
        """Where to read from: some time before a bookmark, never before `start_date`."""
        at = moment(value)
        if at is not None:
            at = at + A_MOMENT if settled else at - LOOKBACK
        known = [each for each in (at, self._settings.start) if each is not None]
        return max(known, default=None)

    def _open(self, read_at: str) -> Iterator[Found]:
        """Objects whose associations may have changed, which does not count as a change."""
        closed = self._kind.closed
        groups = [
            [{"propertyName": closed, "operator": "EQ", "value": "false"}],
            [{"propertyName": closed, "operator": "NOT_HAS_PROPERTY"}],
        ]
        for rows, _ in self._search.ascending(groups, 0):
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

    # -- records ---------------------------------------------------------------------------

    def read(self, part: Found) -> Iterator[Page]:
        """The rows of a search, completed."""
        yield Page(list(self._records(part)) if part.rows else (), part.bookmark)

    def _records(self, part: Found) -> Iterator[Row]:
        ids = [str(row["id"]) for row in part.rows]
        rows = {str(row["id"]): row for row in part.rows}
        jobs: list[Callable[[], Mapping[str, Row]]] = []
        if not part.archived:
            jobs.append(partial(self._beside.of, ids))
        if part.archived or not self._search.tells_properties:
            size = BATCH_HISTORY if self._history else BATCH
            jobs += [
                partial(self._whole, each, archived=part.archived) for each in chunks(ids, size)
            ]
            if not part.archived:
                rows = {}  # what is gone meanwhile comes as archived, or by what it was merged into
        found = all_at_once(jobs)
        beside = {} if part.archived else found.pop(0)
        for whole in found:
            rows.update(whole)
        for each in ids:
            if each in rows:
                yield self._record(rows[each], beside.get(each, {}), part)

    def _whole(self, ids: Sequence[str], *, archived: bool) -> dict[str, Row]:
        """Objects with all their properties, and the past of some."""
        body: Row = {"inputs": [{"id": each} for each in ids], "properties": self._names}
        if self._history:
            body["propertiesWithHistory"] = self._history
        address = f"{self._address}/batch/read"
        params = {"archived": "true"} if archived else None
        answer = self.client.json("POST", address, json=body, params=params)
        return {str(row["id"]): row for row in answer.get("results") or ()}

    def _record(self, row: Row, beside: Row, part: Found) -> Row:
        """HubSpot's own object, with values that have types and what was read beside it."""
        record = {**row, **beside, "id": str(row["id"])}
        record["properties"] = self._cast(row.get("properties") or {})
        if part.read_at is not None:
            record["associations_read_at"] = part.read_at
        if beside:
            record["company_id"] = company_of(record)
        if beside and "line_items" in self._kind.beside:  # a deal
            record["contact_roles"] = roles_of(record)
        if self._history:
            past = row.get("propertiesWithHistory") or {}
            record["stages"] = visits(past, self._kind, self._stages)
        return record
