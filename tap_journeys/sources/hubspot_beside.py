"""What is read beside HubSpot's objects: associations with their labels, history, line items.

A search tells none of it, and the mapper sees one record at a time. So each page of objects is
completed by batches, all of them at once, before it is written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import Any, TypeVar

from singer_sdk.exceptions import FatalAPIError

from tap_journeys.side_by_side import together
from tap_journeys.sources.client import Client
from tap_journeys.sources.errors import MissingScopeError
from tap_journeys.sources.hubspot_client import Row, next_of
from tap_journeys.sources.hubspot_kinds import Kind
from tap_journeys.sources.windows import EPOCH, moment

BATCH = 100  # ids in one batch; the documented maximum …
BATCH_HISTORY = 50  # … and with history
LINE = ("hs_sku", "hs_product_id", "name", "quantity", "price", "amount")
STAGE = ("id", "label", "metadata")
PRIMARY = "primary"  # the label of the company that an object belongs to first
PRIMARY_OF = ("associatedcompanyid", "hs_primary_associated_company")

T = TypeVar("T")
Cast = Callable[[Mapping[str, Any]], Row]


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in pieces."""
    return (items[at : at + size] for at in range(0, len(items), size))


def all_at_once(jobs: Iterable[Callable[[], T]]) -> list[T]:
    """The results of independent requests; raises the first error."""
    found: list[T] = []
    for _, result in together(lambda job: job(), list(jobs)):
        if isinstance(result, Exception):
            raise result
        found.append(result)
    return found


class Beside:
    """Completes the objects of one stream.

    Without the scope of another type its associations are left out, with one warning.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        logger: logging.Logger | logging.LoggerAdapter[Any],
        *,
        associations: bool,
        line_items: Cast | None,
    ) -> None:
        self._client, self._kind, self._logger = client, kind, logger
        self._types = kind.beside if associations else ()
        self._cast_line = line_items
        self._left_out: dict[str, object] = {}

    def of(self, ids: Sequence[str]) -> dict[str, Row]:
        """Object id → the fields that its record gets in addition."""
        if not self._types:
            return {each: {} for each in ids}
        jobs = [
            partial(self._allowed, to, partial(self._associations, to, part))
            for to in self._types
            for part in chunks(ids, BATCH)
        ]
        found: dict[str, dict[str, list[Row]]] = {each: {} for each in ids}
        for to, rows in all_at_once(jobs):
            for origin in found:
                found[origin].setdefault(to, []).extend(rows.get(origin, ()))
        beside: dict[str, Row] = {each: {"associations": found[each]} for each in ids}
        if self._cast_line is not None and "line_items" in self._types:
            self._add_lines(beside)
        return beside

    def _allowed(self, to: str, ask: Callable[[], Mapping[str, T]]) -> tuple[str, Mapping[str, T]]:
        """What ``ask`` finds, or nothing where the login may not read the other type."""
        if to not in self._left_out:
            try:
                return to, ask()
            except MissingScopeError as error:
                mine = object()
                if self._left_out.setdefault(to, mine) is mine:  # other threads find the same
                    name = f"hubspot_{self._kind.name}"
                    self._logger.warning("Stream '%s': %s are left out: %s", name, to, error)
        return to, {}

    def _associations(self, to: str, ids: Sequence[str]) -> dict[str, list[Row]]:
        """Object id → what it is associated with, however many pages an object has."""
        found: dict[str, dict[str, Row]] = {each: {} for each in ids}
        address = f"/crm/v4/associations/{self._kind.name}/{to}/batch/read"
        inputs: list[Row] = [{"id": each} for each in ids]
        while inputs:
            answer = self._client.post(address, {"inputs": inputs})
            following: list[Row] = []
            for row in answer.get("results") or ():
                origin = str(row["from"]["id"])
                for each in row.get("to") or ():
                    target = str(each["toObjectId"])  # a number in older versions
                    found.setdefault(origin, {})[target] = {**each, "toObjectId": target}
                if after := next_of(row):
                    following.append({"id": origin, "after": after})
            if following and following == inputs:
                raise FatalAPIError("the next page of associations is the same page again")
            inputs = following
        return {origin: list(targets.values()) for origin, targets in found.items()}

    def _add_lines(self, beside: Mapping[str, Row]) -> None:
        """The line items of each deal, with what names their product."""
        wanted = {
            each["toObjectId"]: None
            for row in beside.values()
            for each in row["associations"]["line_items"]
        }
        jobs = [
            partial(self._allowed, "line_items", partial(self._lines, part))
            for part in chunks(list(wanted), BATCH)
        ]
        lines: dict[str, Row] = {}
        for _, found in all_at_once(jobs):
            lines.update(found)
        for row in beside.values():
            ids = [each["toObjectId"] for each in row["associations"]["line_items"]]
            row["line_items"] = [{"id": each, **lines.get(each, {})} for each in ids]

    def _lines(self, ids: Sequence[str]) -> dict[str, Row]:
        assert self._cast_line is not None
        body = {"inputs": [{"id": each} for each in ids], "properties": LINE}
        answer = self._client.post("/crm/v3/objects/line_items/batch/read", body)
        return {
            str(row["id"]): self._cast_line(
                {name: value for name, value in row["properties"].items() if name in LINE}
            )
            for row in answer.get("results") or ()
        }


def company_of(record: Row) -> str | None:
    """The company that an object belongs to first, where it is known."""
    companies: list[Row] = record["associations"].get("companies") or []
    for each in companies:
        labels = (str(kind.get("label")) for kind in each.get("associationTypes") or ())
        if any(label.lower() == PRIMARY for label in labels):
            return str(each["toObjectId"])
    for name in PRIMARY_OF:
        if value := record["properties"].get(name):
            return str(value)
    return str(companies[0]["toObjectId"]) if companies else None


def roles_of(record: Row) -> list[Row]:
    """The contacts of a deal, once for each label of their association."""
    found = []
    for each in record["associations"].get("contacts") or ():
        kinds = each.get("associationTypes") or [{}]
        for kind in [one for one in kinds if one.get("label")] or kinds[:1]:
            name = f"{each['toObjectId']}:{kind.get('typeId')}"
            found.append({"id": name, "toObjectId": each["toObjectId"], **kind})
    return found


def visits(history: Mapping[str, Any], kind: Kind, stages: Mapping[str, Row]) -> list[Row]:
    """The stages that an object went through, newest first, with what the pipelines say of them.

    Other properties with a history are told as they were when the object left the stage.
    """
    stage, *others = (_entries(history.get(name)) for name in kind.history)
    steps = [stage[0]] if stage else []
    steps += [entry for before, entry in pairwise(stage) if entry["value"] != before["value"]]
    found: list[Row] = []
    for step, following in pairwise(chain(steps, [None])):
        assert step is not None
        until = None if following is None else str(following["timestamp"])
        visit = {**stages.get(step["value"], {}), "id": step["value"]}
        visit |= {"timestamp": step["timestamp"], "until": until}
        for name, entries in zip(kind.history[1:], others, strict=True):
            visit[name] = _value_at(entries, until)
        visit["previous"] = {name: found[-1].get(name) for name in STAGE} if found else None
        found.append(visit)
    return found[::-1]


def _entries(history: Sequence[Row] | None) -> list[Row]:
    """The values that a property had, oldest first."""
    there = [entry for entry in history or () if entry.get("value") not in (None, "")]
    return sorted(there, key=lambda entry: moment(entry["timestamp"]) or EPOCH)


def _value_at(entries: Sequence[Row], at: str | None) -> Any:
    """The value until a moment; the last one for None."""
    end = moment(at)
    until = [each for each in entries if end is None or (moment(each["timestamp"]) or EPOCH) < end]
    return until[-1]["value"] if until else None
