"""The rows of any JSON API: paging, children of parents, and bookmarks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from singer_sdk.exceptions import FatalAPIError

from tap_journeys.sources.base import ApiStream, Page, Record
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import NotThereError
from tap_journeys.sources.windows import moment, written

if TYPE_CHECKING:
    import requests
    from singer_sdk import Tap

    from tap_journeys.sources.rest import Incremental, Paginator, Rest, RestStream

PLACE = re.compile(r"\{(incremental\.start_value|resources\.(\w+)\.([\w.]+))\}")
KEY_TYPES = ["string", "integer", "number", "null"]


class Rows(ApiStream):
    """The rows of one stream."""

    def __init__(
        self, tap: Tap, source: Rest, client: Client, settings: RestStream, parent: Rows | None
    ) -> None:
        self.source, self.client, self.settings, self.parent = source, client, settings, parent
        self.paginator = settings.paginator or source.paginator
        self.incremental: Incremental | None = (
            parent.incremental if parent else settings.incremental
        )
        keys = [*settings.primary_keys, *map(self._parent_field, settings.include_from_parent)]
        schema = {
            "type": "object",
            "properties": {name: {"type": KEY_TYPES} for name in keys},
            "additionalProperties": True,
        }
        super().__init__(tap, schema=schema, name=settings.name)
        self.primary_keys = tuple(settings.primary_keys)

    def _parent_field(self, field: str) -> str:
        return f"_{self.settings.parent}_{field.replace('.', '_')}"

    # -- what is read ----------------------------------------------------------------------

    def parts(self, bookmark: Mapping[str, Any]) -> Iterable[Any]:
        start = self._start(bookmark)
        if self.parent is None:
            return (start,)
        return self.parent.pages_of_rows(start, {})

    def read(self, part: Any) -> Iterator[Page]:
        if self.parent is None:
            for rows, latest in self.pages_of_rows(part, {}):
                yield Page(rows, self._bookmark(latest))
            return
        parents, latest = part
        for parent in parents:
            added = {
                self._parent_field(name): pick(parent, name)
                for name in self.settings.include_from_parent
            }
            try:
                for rows, _ in self.pages_of_rows(None, parent):
                    yield Page([row | added for row in rows])
            except NotThereError:  # the parent was deleted meanwhile
                self.logger.debug("a row of '%s' is gone", self.settings.parent)
        yield Page((), self._bookmark(latest))

    def pages_of_rows(
        self, start: str | None, parent: Mapping[str, Any]
    ) -> Iterator[tuple[list[Record], str | None]]:
        """(rows, bookmark once they are written) page by page; the last one always has it."""
        latest, incremental = start, self.settings.incremental
        in_order = incremental is not None and incremental.row_order == "asc"
        for rows in self._answers(start, parent):
            if self.settings.row_path is not None:
                rows = [self._full(row) for row in rows]
            if incremental is not None:
                values = (comparable(pick(row, incremental.cursor_path)) for row in rows)
                latest = max(filter(None, (latest, *values)), default=None, key=by_size)
            yield rows, latest if in_order else None
        yield [], latest

    def _full(self, row: Record) -> Record:
        path = re.sub(r"\{([\w.]+)\}", lambda m: str(pick(row, m[1])), self.settings.row_path or "")
        found = self.client.get(path, self.source.key_params())
        return found if isinstance(found, dict) else row

    def _answers(self, start: str | None, parent: Mapping[str, Any]) -> Iterator[list[Record]]:
        """The rows of each answer, until the paginator knows no next one."""
        settings, paginator = self.settings, self.paginator
        fill = partial(self._filled, start=start, parent=parent)
        address, params = fill(settings.path), self.source.key_params()
        for name, value in settings.params.items():
            text = fill(str(value).lower() if isinstance(value, bool) else str(value))
            if text or value == "":
                params[name] = text
        incremental = settings.incremental
        if incremental is not None and incremental.start_param and start is not None:
            params[incremental.start_param] = self._asked(start)
        if paginator.limit_param:
            params[paginator.limit_param] = str(paginator.limit)
        number, taken = paginator.base_page, 0
        if paginator.type == "page_number":
            params[paginator.page_param] = str(number)
        elif paginator.type == "offset":
            params[paginator.offset_param] = "0"
        while True:
            answer, response = self.client.answer("GET", address, params=params)
            rows = rows_of(answer, settings.data_selector)
            yield rows
            number, taken = number + 1, taken + len(rows)
            total = pick(answer, paginator.total_path) if paginator.total_path else None
            match paginator.type:
                case "page_number" | "offset":
                    by_pages = paginator.type == "page_number"
                    reached = number - paginator.base_page if by_pages else taken
                    if (not rows) if total is None else (reached >= int(total) or not rows):
                        return
                    name = paginator.page_param if by_pages else paginator.offset_param
                    following = address, params | {name: str(number if by_pages else taken)}
                case "cursor":
                    cursor = pick(answer, paginator.cursor_path)
                    if cursor in (None, "", False):
                        return
                    following = address, params | {paginator.cursor_param: str(cursor)}
                case "single_page":
                    return
                case kind:
                    link = next_link(kind, paginator, answer, response)
                    if not link:
                        return
                    base = urlsplit(link)
                    following = link.split("?")[0], dict(parse_qsl(base.query))
                    following[1].update(self.source.key_params())
            if following == (address, params):
                raise FatalAPIError("the next page is the same page again; see `paginator`")
            address, params = following

    # -- bookmarks -------------------------------------------------------------------------

    def _start(self, bookmark: Mapping[str, Any]) -> str | None:
        """The value to read from: the bookmark less the lag, or where to begin."""
        incremental = self.incremental
        if incremental is None:
            return None
        kept = bookmark.get("replication_key_value")
        if kept is None:
            return incremental.initial_value or self.config.get("start_date")
        try:
            at = None if str(kept).isdigit() else moment(str(kept))
        except ValueError:
            at = None
        return str(kept) if at is None else written(at - timedelta(seconds=incremental.lag_s))

    def _asked(self, start: str) -> str:
        """The value as the API wants it."""
        assert self.incremental is not None
        kind = self.incremental.format
        if kind == "raw":
            return start
        at = moment(start) or datetime(1970, 1, 1, tzinfo=UTC)
        match kind:
            case "iso":
                return at.isoformat(timespec="seconds").replace("+00:00", "Z")
            case "date":
                return at.date().isoformat()
            case "epoch_s":
                return str(int(at.timestamp()))
            case "epoch_ms":
                return str(int(at.timestamp() * 1000))
        return at.strftime(kind)

    def _filled(self, text: str, *, start: str | None, parent: Mapping[str, Any]) -> str:
        def value(place: re.Match[str]) -> str:
            if place[2] is None:
                return "" if start is None else self._asked(start)
            return str(pick(parent, place[3]))

        return PLACE.sub(value, text)

    def _bookmark(self, latest: str | None) -> dict[str, str] | None:
        if latest is None or self.incremental is None:
            return None
        return {
            "replication_key": self.incremental.cursor_path,
            "replication_key_value": latest,
        }


def pick(value: Any, path: str) -> Any:
    """What stands at a dotted path; None if nothing does."""
    for name in filter(None, path.removeprefix("$").split(".")):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def rows_of(answer: Any, selector: str) -> list[Record]:
    """The rows of an answer. Raises the SDK's ``FatalAPIError`` where there can be none."""
    found = pick(answer, selector)
    if isinstance(found, dict) and not selector:
        found = [found]
    if found is None and isinstance(answer, dict):
        return []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise FatalAPIError(f"`data_selector` {selector!r} names no list of rows in the answer")
    return found


def next_link(
    kind: str, paginator: Paginator, answer: Any, response: requests.Response
) -> str | None:
    """The address of the next page, in the answer or in its `Link` header."""
    if kind in ("json_link", "auto"):
        link = pick(answer, paginator.next_url_path)
        if isinstance(link, str) and link:
            return link
    if kind in ("header_link", "auto"):
        return response.links.get("next", {}).get("url")
    return None


def comparable(value: Any) -> str | None:
    """A cursor value as bookmarks hold it: moments in UTC, all else as it is."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        try:
            at = moment(value)
        except ValueError:
            return value
        return written(at) if at is not None else None
    return str(value)


def by_size(value: str) -> tuple[int, float, str]:
    """Sorts numbers as numbers, and moments and other text as text."""
    return (0, float(value), "") if value.lstrip("-").isdigit() else (1, 0.0, value)
