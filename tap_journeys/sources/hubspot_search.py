"""HubSpot's searches: rows in the order of their ids, however many there are of one moment.

A search has a limit of its own beside that of all other requests, gives twice the rows of a list
and any number of properties, and can be asked for what changed. So searches find the rows, and the
other limit is left to what is read beside them. Each page is asked for from the last id on: nothing
is 10,000 rows deep, and it does not matter how many changed at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.client import Client
from tap_journeys.sources.hubspot_client import RefusedError, Row, next_of
from tap_journeys.sources.hubspot_kinds import Kind
from tap_journeys.sources.windows import EPOCH, moment

PAGE = 200  # rows; the documented maximum
Filters = Sequence[Sequence[Row]]  # any of these groups, all of a group


class Search:
    """Finds the objects of one type, with ``properties`` as long as it takes them."""

    def __init__(self, client: Client, kind: Kind, properties: Sequence[str] | None) -> None:
        self._client, self._kind = client, kind
        self._properties = properties

    @property
    def tells_properties(self) -> bool:
        """Whether rows come with their properties, or a batch must tell them."""
        return self._properties is not None

    def modified_since(self, since: datetime | None) -> list[Row]:
        """The filter of what was modified; no filter for None."""
        if since is None:
            return []
        value = str((since - EPOCH) // timedelta(milliseconds=1))
        return [{"propertyName": self._kind.modified, "operator": "GTE", "value": value}]

    def newest(self, since: datetime | None) -> datetime | None:
        """The last change that the index knows, by HubSpot's own clock; None: nothing changed."""
        sort = {"propertyName": self._kind.modified, "direction": "DESCENDING"}
        rows = self._ask([self.modified_since(since)], sort, limit=1).get("results") or ()
        return next((moment(row["updatedAt"]) for row in rows), None)

    def ascending(self, groups: Filters, last: int) -> Iterator[tuple[list[Row], bool]]:
        """Pages of rows behind an id, and whether a page is the last; one may be empty."""
        sort = {"propertyName": "hs_object_id", "direction": "ASCENDING"}
        after: str | None = None
        while True:
            beyond = {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)}
            answer = self._page([[*group, beyond] for group in groups], sort, after)
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

    def _page(self, groups: Filters, sort: Row, after: str | None) -> Row:
        more: Row = {} if after is None else {"after": after}
        if self._properties is not None:
            try:
                return self._ask(groups, sort, properties=self._properties, **more)
            except RefusedError:  # perhaps they are too many: a batch takes more
                self._properties = None
        return self._ask(groups, sort, **more)

    def _ask(self, groups: Filters, sort: Row, *, limit: int = PAGE, **more: Any) -> Row:
        body: Row = {
            "filterGroups": [{"filters": list(group)} for group in groups if group],
            "sorts": [sort],
            "limit": limit,
            "properties": [self._kind.modified],
            **more,
        }
        address = f"/crm/v3/objects/{self._kind.name}/search"
        found: Row = self._client.post(address, body, bucket="search")
        return found
