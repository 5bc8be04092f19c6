"""What a HubSpot account holds: objects with their history, associations, definitions, forms.

All values are texts, as the API gives them. An object keeps its versions, so that the search index
can lag behind; the list always tells the newest.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from tests.sandbox.base import Clock, RLock, iso, locked
from tests.sandbox.hubspot_defaults import (
    ASSOCIATION_TYPES,
    CREATED,
    DEAL_STAGES,
    MODIFIED,
    PROPERTIES,
    TICKET_STAGES,
    TYPE_IDS,
)

Row = dict[str, Any]
Properties = dict[str, str | None]


@dataclass
class CrmObject:
    """One object; its properties are replaced as a whole by each write."""

    id: int
    created_at: str
    updated_at: str
    versions: list[tuple[datetime, Properties]] = field(default_factory=list)
    history: dict[str, list[Row]] = field(default_factory=dict)  # newest first
    archived_at: str | None = None

    @property
    def properties(self) -> Properties:
        return self.versions[-1][1]

    def as_of(self, moment: datetime) -> Properties | None:
        """The properties as they were written until then; None: it was not there."""
        for written_at, properties in reversed(self.versions):
            if written_at <= moment:
                return properties
        return None


class HubSpotWorld:
    """The state. Tests change it through the methods; `at` is when the change happened."""

    def __init__(self, clock: Clock, lock: RLock) -> None:
        self.clock = clock
        self.lock = lock
        self.objects: dict[str, dict[int, CrmObject]] = {kind: {} for kind in TYPE_IDS}
        self.merged: dict[str, dict[int, int]] = defaultdict(dict)  # loser: winner
        self.blocked: set[str] = set()  # e-mails that were erased
        self.other_emails: dict[str, int] = {}  # of merged contacts: whose they are now
        self.by_value: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)  # unique ones
        self.definitions: dict[str, dict[str, Row]] = {}
        self.groups: dict[str, dict[str, Row]] = {}
        self.schemas: dict[str, Row] = {}
        self.pipelines: dict[str, list[Row]] = {}
        self.forms: dict[str, Row] = {}
        self.submissions: dict[str, list[Row]] = {}
        self.owners: dict[str, Row] = {}
        self.labels: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        # (from, to): from id: to id: the type ids of this association
        self.associations: dict[tuple[str, str], dict[int, dict[int, list[int]]]]
        self.associations = defaultdict(lambda: defaultdict(dict))
        self.revision = 0  # counts writes: what was computed before one is stale
        self._lists: dict[tuple[str, bool], tuple[int, list[CrmObject]]] = {}
        self._ids = count(10_001)
        self._type_ids = count(101)
        self._default_types: dict[tuple[str, str], int] = {}
        for kind in TYPE_IDS:
            self._defaults(kind)
        self.pipelines["deals"] = [pipeline("default", "Sales Pipeline", DEAL_STAGES)]
        self.pipelines["tickets"] = [pipeline("0", "Support Pipeline", TICKET_STAGES)]

    # -- objects ---------------------------------------------------------------------------------

    @locked
    def add(
        self,
        kind: str,
        properties: Mapping[str, Any] | None = None,
        *,
        id: int | str | None = None,
        at: str | None = None,
    ) -> str:
        """A new object; a property that is not defined yet becomes a text. Its id."""
        kind = self.kind(kind)
        now = _millis(at) or iso(self.clock.now(), millis=True)
        new = CrmObject(int(id) if id is not None else next(self._ids), now, now)
        self.objects[kind][new.id] = new
        given = {name: text(value) for name, value in (properties or {}).items()}
        given.setdefault(CREATED.get(kind, "hs_createdate"), now)
        new.created_at = given[CREATED.get(kind, "hs_createdate")] or now
        self._write(kind, new, given | {"hs_object_id": str(new.id)}, now)
        return str(new.id)

    @locked
    def update(
        self, kind: str, object_id: int | str, changes: Mapping[str, Any], at: str | None = None
    ) -> None:
        """Change properties; an empty text clears one."""
        kind = self.kind(kind)
        now = _millis(at) or iso(self.clock.now(), millis=True)
        given = {name: text(value) or None for name, value in changes.items()}
        self._write(kind, self.objects[kind][int(object_id)], given, now)

    @locked
    def archive(self, kind: str, object_id: int | str, at: str | None = None) -> None:
        """Archive; `updatedAt` stays as it was, associations are gone."""
        kind = self.kind(kind)
        found = self.objects[kind][int(object_id)]
        found.archived_at = _millis(at) or iso(self.clock.now(), millis=True)
        for (source, target), rows in self.associations.items():
            if source == kind:
                for to_id in rows.pop(found.id, {}):
                    self.associations[target, source][to_id].pop(found.id, None)
        self.revision += 1

    @locked
    def merge(
        self, kind: str, loser_id: int | str, winner_id: int | str, at: str | None = None
    ) -> None:
        """Merge one object into another, which keeps its id and is told of the one."""
        kind = self.kind(kind)
        now = _millis(at) or iso(self.clock.now(), millis=True)
        loser = self.objects[kind].pop(int(loser_id))
        self._forget_values(kind, loser)
        winner = self.objects[kind][int(winner_id)]
        self.merged[kind][loser.id] = winner.id
        known = [value for value in (winner.properties.get("hs_merged_object_ids"),) if value]
        changes: Properties = {"hs_merged_object_ids": ";".join([*known, str(loser.id)])}
        if kind == "contacts":
            vids = winner.properties.get("hs_calculated_merged_vids")
            stamp = f"{loser.id}:{int(self.clock.now().timestamp() * 1000)}"
            changes["hs_calculated_merged_vids"] = f"{vids};{stamp}" if vids else stamp
            if email := loser.properties.get("email"):
                others = winner.properties.get("hs_additional_emails")
                changes["hs_additional_emails"] = f"{others};{email}" if others else email
                self.other_emails[email] = winner.id
        for (source, target), rows in list(self.associations.items()):
            if source == kind:
                for to_id, types in rows.pop(loser.id, {}).items():
                    rows[winner.id].setdefault(to_id, types)
                    back = self.associations[target, source][to_id]
                    back.setdefault(winner.id, back.pop(loser.id, types))
        self._write(kind, winner, changes, now)

    @locked
    def erase(self, kind: str, object_id: int) -> None:
        """Delete for good: the e-mail cannot come back."""
        gone = self.objects[kind].pop(object_id)
        self._forget_values(kind, gone)
        if email := gone.properties.get("email"):
            self.blocked.add(email)
        self.revision += 1

    def find(self, kind: str, value: str, by: str | None = None) -> CrmObject | None:
        """An object by its id (also one that was merged away) or by a unique property."""
        if by and by != "hs_object_id":
            found = self.by_value[kind, by].get(value)
            return None if found is None else self.objects[kind][found]
        if not value.isdigit():
            return None
        object_id = int(value)
        while object_id in self.merged[kind]:
            object_id = self.merged[kind][object_id]
        return self.objects[kind].get(object_id)

    def listed(self, kind: str, *, archived: bool = False) -> list[CrmObject]:
        """Objects in the order of their ids; kept until something is written."""
        revision, found = self._lists.get((kind, archived), (-1, []))
        if revision != self.revision:
            rows = self.objects[kind].values()
            found = [row for row in rows if (row.archived_at is not None) == archived]
            found.sort(key=lambda row: row.id)
            self._lists[kind, archived] = (self.revision, found)
        return found

    def kind(self, name: str) -> str:
        """The plural that stands for a name, singular, number or spelling of a type; KeyError."""
        low = name.lower()
        for kind, type_id in TYPE_IDS.items():
            if low in {kind, type_id, singular(kind)}:
                return kind
        for kind, schema in self.schemas.items():
            if name in {kind, schema["objectTypeId"], schema["fullyQualifiedName"]}:
                return kind
            if low in {schema["name"], f"p_{schema['name']}"}:
                return kind
        raise KeyError(name)

    # -- associations ----------------------------------------------------------------------------

    @locked
    def associate(
        self,
        kind: str,
        object_id: int | str,
        to_kind: str,
        to_id: int | str,
        *,
        label: str | None = None,
        type_id: int | None = None,
    ) -> None:
        """Associate both ways; nothing of the two objects is touched. A label is a role."""
        kind, to_kind = self.kind(kind), self.kind(to_kind)
        for here, there, one, other in (
            (kind, to_kind, int(object_id), int(to_id)),
            (to_kind, kind, int(to_id), int(object_id)),
        ):
            types = self.associations[here, there][one].setdefault(other, [])
            wanted = [self.default_type(here, there)]
            if label:
                wanted.append(self.label(here, there, label))
            if type_id and here == kind:
                wanted.append(type_id)
            types += [each for each in wanted if each not in types]
        self.revision += 1

    @locked
    def dissociate(self, kind: str, object_id: int | str, to_kind: str, to_id: int | str) -> None:
        kind, to_kind = self.kind(kind), self.kind(to_kind)
        self.associations[kind, to_kind][int(object_id)].pop(int(to_id), None)
        self.associations[to_kind, kind][int(to_id)].pop(int(object_id), None)
        self.revision += 1

    @locked
    def label(self, kind: str, to_kind: str, label: str) -> int:
        """The type id of a user's label between two types, made if it is new."""
        labels = self.labels[self.kind(kind), self.kind(to_kind)]
        if label not in labels:
            labels[label] = next(self._type_ids)
        return labels[label]

    def default_type(self, kind: str, to_kind: str) -> int:
        pair = (kind, to_kind)
        if pair in ASSOCIATION_TYPES:
            return ASSOCIATION_TYPES[pair]
        if pair not in self._default_types:
            self._default_types[pair] = next(self._type_ids)
        return self._default_types[pair]

    def type_specs(self, kind: str, to_kind: str, type_ids: Iterable[int]) -> list[Row]:
        """What the type ids of an association mean."""
        names = {number: label for label, number in self.labels[kind, to_kind].items()}
        return [
            {
                "category": "USER_DEFINED" if each in names else "HUBSPOT_DEFINED",
                "typeId": each,
                "label": names.get(each),
            }
            for each in type_ids
        ]

    # -- definitions -----------------------------------------------------------------------------

    @locked
    def define(
        self,
        kind: str,
        name: str,
        type: str = "string",
        field_type: str = "text",
        *,
        options: Iterable[str | Row] = (),
        unique: bool = False,
        **more: Any,
    ) -> Row:
        """Define a property."""
        kind = self.kind(kind)
        now = iso(self.clock.now(), millis=True)
        row = {
            "name": name,
            "label": name.replace("_", " ").capitalize(),
            "type": type,
            "fieldType": field_type,
            "description": "",
            "groupName": f"{singular(kind)}information",
            "options": [
                {"label": each, "value": each, "displayOrder": number, "hidden": False}
                if isinstance(each, str)
                else dict(each)
                for number, each in enumerate(options)
            ],
            "displayOrder": -1,
            "calculated": False,
            "externalOptions": False,
            "archived": False,
            "hasUniqueValue": unique,
            "hidden": False,
            "hubspotDefined": False,
            "modificationMetadata": {
                "archivable": True,
                "readOnlyDefinition": False,
                "readOnlyValue": False,
            },
            "formField": False,
            "dataSensitivity": "non_sensitive",
            "createdAt": now,
            "updatedAt": now,
        }
        row |= more
        self.definitions[kind][name] = row
        return row

    @locked
    def define_type(self, schema: Mapping[str, Any]) -> Row:
        """A custom object: its schema, as the API takes it."""
        number = f"2-{len(self.schemas) + 1001}"
        now = iso(self.clock.now(), millis=True)
        name = schema["name"]
        row = json.loads(json.dumps(dict(schema))) | {
            "id": number.removeprefix("2-"),
            "objectTypeId": number,
            "fullyQualifiedName": f"p4711_{name}",
            "createdAt": now,
            "updatedAt": now,
            "archived": False,
            "associations": [],
        }
        self.schemas[number] = row
        self.objects[number] = {}
        self._defaults(number)
        for each in schema.get("properties", []):
            known = {"name", "type", "fieldType", "hasUniqueValue", "options"}
            self.define(
                number,
                each["name"],
                each.get("type", "string"),
                each.get("fieldType", "text"),
                unique=each.get("hasUniqueValue", False),
                **{key: value for key, value in each.items() if key not in known},
            )
        row["properties"] = list(self.definitions[number].values())
        return dict(row)

    @locked
    def add_pipeline(
        self, kind: str, pipeline_id: str, label: str, stages: Iterable[tuple[str, str, str]]
    ) -> None:
        """Stages are (id, label, probability or state)."""
        self.pipelines.setdefault(self.kind(kind), []).append(pipeline(pipeline_id, label, stages))

    @locked
    def add_form(self, form_id: str, name: str) -> None:
        now = iso(self.clock.now(), millis=True)
        row = {"id": form_id, "name": name, "formType": "hubspot", "archived": False}
        row |= {"createdAt": now, "updatedAt": now, "fieldGroups": []}
        self.forms[form_id] = row
        self.submissions.setdefault(form_id, [])

    @locked
    def submit(
        self,
        form_id: str,
        values: Mapping[str, str],
        *,
        at_ms: int,
        page_url: str = "",
        conversion_id: str | None = None,
    ) -> None:
        """A submission of a form."""
        row = {
            "conversionId": conversion_id or f"conversion-{next(self._ids)}",
            "submittedAt": at_ms,
            "values": [
                {"name": name, "value": value, "objectTypeId": "0-1"}
                for name, value in values.items()
            ],
            "pageUrl": page_url,
        }
        self.submissions[form_id].append(row)
        self.submissions[form_id].sort(key=lambda each: -int(each["submittedAt"]))

    @locked
    def add_owner(self, email: str, first: str = "", last: str = "", **more: Any) -> str:
        now = iso(self.clock.now(), millis=True)
        row: Row = {"id": str(next(self._ids)), "type": "PERSON", "email": email}
        row |= {"firstName": first, "lastName": last, "userId": len(self.owners) + 1}
        row |= {"createdAt": now, "updatedAt": now, "archived": False} | more
        self.owners[row["id"]] = row
        return str(row["id"])

    @locked
    def clear(self) -> None:
        """Empty the account."""
        self.__init__(self.clock, self.lock)  # type: ignore[misc]  # the same as a new one

    # -- inside ----------------------------------------------------------------------------------

    def _defaults(self, kind: str) -> None:
        self.definitions[kind] = {}
        group = f"{singular(kind)}information"
        self.groups[kind] = {
            group: {"name": group, "label": group, "displayOrder": -1, "archived": False}
        }
        known = {
            "hs_object_id": "number",
            "hs_merged_object_ids": "string",
            CREATED.get(kind, "hs_createdate"): "datetime",
            MODIFIED.get(kind, "hs_lastmodifieddate"): "datetime",
            **PROPERTIES.get(kind, {}),
        }
        for name, type_name in known.items():
            field_type = {"number": "number", "datetime": "date", "bool": "booleancheckbox"}
            self.define(
                kind,
                name,
                type_name,
                field_type.get(type_name, "text"),
                unique=(kind, name) == ("contacts", "email"),
                hubspotDefined=True,
            )

    def _write(self, kind: str, row: CrmObject, given: Properties, now: str) -> None:
        for name in given.keys() - self.definitions[kind].keys():
            self.define(kind, name)
        before = row.properties if row.versions else {}
        changed = {name: value for name, value in given.items() if before.get(name) != value}
        changed |= self._derived(kind, before, changed, now)
        if not changed and row.versions:
            return
        row.updated_at = max(row.updated_at, now)
        changed[MODIFIED.get(kind, "hs_lastmodifieddate")] = row.updated_at
        for name, value in changed.items():
            entry: Row = {"value": value or "", "timestamp": now, "sourceType": "CRM_UI"}
            entry |= {"sourceId": "userId:12", "updatedByUserId": 12}
            entries = row.history.setdefault(name, [])
            entries.insert(0, entry)
            entries.sort(key=lambda each: str(each["timestamp"]), reverse=True)
        for name, value in changed.items():
            if self.definitions[kind][name]["hasUniqueValue"]:
                owners = self.by_value[kind, name]
                if owners.get(before.get(name) or "") == row.id:
                    del owners[before[name] or ""]
                if value:
                    owners[value] = row.id
        row.versions.append((self.clock.now(), {**before, **changed}))
        self.revision += 1

    def _forget_values(self, kind: str, gone: CrmObject) -> None:
        for (owner, name), values in self.by_value.items():
            if owner == kind and values.get(gone.properties.get(name) or "") == gone.id:
                del values[gone.properties[name] or ""]

    def _derived(self, kind: str, before: Properties, changed: Properties, now: str) -> Properties:
        """What the account computes from a stage."""
        stage_name = {"deals": "dealstage", "tickets": "hs_pipeline_stage"}.get(kind, "")
        stage_id = changed.get(stage_name)
        if stage_id is None:
            return {}
        found: Properties = {f"hs_v2_date_entered_{stage_id}": now}
        if before.get(stage_name):
            found[f"hs_v2_date_exited_{before[stage_name]}"] = now
        if kind == "deals":
            marks: Row = next(
                (s["metadata"] for s in self._stages(kind) if s["id"] == stage_id), {}
            )
            closed = marks.get("isClosed", "false")
            won = closed == "true" and float(marks.get("probability", 0)) == 1
            found |= {"hs_is_closed": closed, "hs_is_closed_won": str(won).lower()}
        for name in found.keys() - self.definitions[kind].keys():
            self.define(kind, name, "datetime", "date", calculated=True)
        return found

    def _stages(self, kind: str) -> Iterator[Row]:
        for each in self.pipelines.get(kind, []):
            yield from each["stages"]


def pipeline(pipeline_id: str, label: str, stages: Iterable[tuple[str, str, str]]) -> Row:
    """A pipeline whose stages are (id, label, probability of a deal or state of a ticket)."""
    epoch = {"createdAt": "1970-01-01T00:00:00Z", "updatedAt": "1970-01-01T00:00:00Z"}
    rows = []
    for number, (stage_id, stage_label, mark) in enumerate(stages):
        closed = mark in {"CLOSED", "0.0", "1.0"}
        metadata = {"isClosed": str(closed).lower()}
        metadata["ticketState" if mark.isalpha() else "probability"] = mark
        row = {"id": stage_id, "label": stage_label, "displayOrder": number, "metadata": metadata}
        rows.append(row | epoch | {"archived": False})
    whole = {"id": pipeline_id, "label": label, "displayOrder": 0, "stages": rows}
    return whole | epoch | {"archived": False}


def singular(kind: str) -> str:
    """`companies` → `company`, `line_items` → `line_item`."""
    return f"{kind[:-3]}y" if kind.endswith("ies") else kind.removesuffix("s")


def text(value: Any) -> str | None:
    """A value as the API writes it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _millis(at: str | None) -> str | None:
    """A time as the API writes it, with milliseconds."""
    return iso(datetime.fromisoformat(at.replace("Z", "+00:00")), millis=True) if at else None
