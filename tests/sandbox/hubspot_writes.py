"""HubSpot's addresses that write: batches with their partial answers, associations, definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tests.sandbox.base import Answer, RefusedError, Request, Routes, moment
from tests.sandbox.hubspot_defaults import TYPE_IDS
from tests.sandbox.hubspot_words import (
    batch,
    body,
    inputs,
    kind_of,
    not_found,
    pair,
    refused,
    row_error,
    shown,
)
from tests.sandbox.hubspot_world import CrmObject, Row, singular, text

if TYPE_CHECKING:
    from tests.sandbox.hubspot import HubSpot

    _Write = Callable[[HubSpot, str, Row], tuple[CrmObject, bool | None]]

routes = Routes()


class _BadRow(Exception):  # noqa: N818  # not an error of the program: a row that is refused
    """A row that the vendor would not write."""

    def __init__(self, category: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.category = category
        self.details = details


# -- objects -------------------------------------------------------------------------------------


@routes("POST", "/crm/v3/objects/{kind}/batch/create")
def _create(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    return _each(hubspot, kind, inputs(request), _create_one, status=201)


@routes("POST", "/crm/v3/objects/{kind}/batch/update")
def _update(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    rows = inputs(request)
    for name in {str(row["idProperty"]) for row in rows if row.get("idProperty")}:
        # hubspot-api-nodejs#548: an e-mail is a key for an upsert, and for nothing else
        if not _is_unique(hubspot, kind, name) or (kind, name) == ("contacts", "email"):
            raise refused(400, f"Cannot update by the non-unique {kind} property {name}")
    return _each(hubspot, kind, rows, _update_one)


@routes("POST", "/crm/v3/objects/{kind}/batch/upsert")
def _upsert(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    rows = inputs(request)
    for row in rows:
        name = row.get("idProperty")
        if not name or not _is_unique(hubspot, kind, str(name)):
            raise refused(400, f"idProperty must be a unique property of {kind}, not {name}")
    return _each(hubspot, kind, rows, _upsert_one)


@routes("POST", "/crm/v3/objects/{kind}/batch/archive")
def _archive(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    for each in inputs(request):
        row = hubspot.world.find(kind, str(each.get("id")))
        if row and row.archived_at is None:  # one that is not there is archived already
            hubspot.world.archive(kind, row.id)
    return Answer(204)


@routes("POST", "/crm/v3/objects/{kind}")
def _create_single(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    return _single(hubspot, kind, body(request), _create_one, status=201)


@routes("PATCH", "/crm/v3/objects/{kind}/{object_id}")
def _update_single(hubspot: HubSpot, request: Request, kind: str, object_id: str) -> Answer:
    row = body(request) | {"id": object_id, "idProperty": request.get("idProperty")}
    return _single(hubspot, kind, row, _update_one)


@routes("DELETE", "/crm/v3/objects/{kind}/{object_id}")
def _archive_single(hubspot: HubSpot, request: Request, kind: str, object_id: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    row = hubspot.world.find(kind, object_id)
    if row and row.archived_at is None:
        hubspot.world.archive(kind, row.id)
    return Answer(204)


@routes("POST", "/crm/v3/objects/{kind}/gdpr-delete")
def _erase(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    asked = body(request)
    value = str(asked.get("objectId"))
    if row := hubspot.world.find(kind, value, asked.get("idProperty")):
        hubspot.world.erase(kind, row.id)
    elif asked.get("idProperty") == "email":  # nobody yet, and nobody later
        hubspot.world.blocked.add(value)
    return Answer(204)


@routes("POST", "/crm/v3/objects/{kind}/merge")
def _merge(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    asked = body(request)
    ids = [str(asked.get(name)) for name in ("primaryObjectId", "objectIdToMerge")]
    winner, loser = (hubspot.world.find(kind, each) for each in ids)
    if winner is None or loser is None or winner is loser:
        raise refused(400, "Both objects must exist, and be two")
    hubspot.world.merge(kind, loser.id, winner.id)
    return Answer(200, shown(hubspot.world, kind, winner, ()))


def _single(hubspot: HubSpot, kind: str, row: Row, write: _Write, *, status: int = 200) -> Answer:
    kind = kind_of(hubspot.world, kind)
    _known(hubspot, kind, [row])
    try:
        written, _ = write(hubspot, kind, row)
    except _BadRow as bad:
        raise _whole(bad) from bad
    return Answer(status, shown(hubspot.world, kind, written, row.get("properties", {})))


def _each(
    hubspot: HubSpot, kind: str, rows: list[Row], write: _Write, *, status: int = 200
) -> Answer:
    """Write the rows: one that cannot be written is told apart if all carry a trace id.

    Without trace ids nothing is written when one row is bad: the whole batch is a 400 or 409.
    """
    _known(hubspot, kind, rows)
    keys = Counter((row.get("idProperty"), str(row["id"])) for row in rows if "id" in row)
    if twice := [key for (_, key), times in keys.items() if times > 1]:
        raise refused(400, f"Duplicate IDs found in batch input: {twice}")
    traced = all(row.get("objectWriteTraceId") for row in rows)
    bad = {
        number: problem
        for number, row in enumerate(rows)
        if (problem := _check(hubspot, kind, row, write))
    }
    for problem in bad.values():
        if not traced or problem.category == "CONFLICT":
            raise _whole(problem)
    results, errors = [], []
    for position, row in enumerate(rows):
        trace = row.get("objectWriteTraceId")
        if position in bad:
            context = {"objectWriteTraceId": [str(trace)]}
            problem = bad[position]
            errors.append(row_error(str(problem), problem.category, context))
            continue
        written, new = write(hubspot, kind, row)
        told = shown(hubspot.world, kind, written, row.get("properties", {}))
        if new is not None:
            told["new"] = new
        if trace:
            told["objectWriteTraceId"] = trace
        results.append(told)
    return batch(hubspot.clock, results, errors, status=status)


def _whole(bad: _BadRow) -> RefusedError:
    status = {"OBJECT_NOT_FOUND": 404, "CONFLICT": 409}.get(bad.category, 400)
    return refused(status, str(bad), bad.category, errors=[{"message": str(bad), **bad.details}])


def _check(hubspot: HubSpot, kind: str, row: Row, write: _Write) -> _BadRow | None:
    """Why this row would not be written."""
    try:
        _values(hubspot, kind, row)
        if write is _update_one:
            _target(hubspot, kind, row)
        else:
            _unclaimed(hubspot, kind, row)
    except _BadRow as bad:
        return bad
    return None


def _create_one(hubspot: HubSpot, kind: str, row: Row) -> tuple[CrmObject, bool | None]:
    _unclaimed(hubspot, kind, row)
    world = hubspot.world
    new_id = world.add(kind, _values(hubspot, kind, row))
    for each in row.get("associations", []):
        to_id = str(each["to"]["id"])
        for spec in each["types"]:
            to_kind = _kind_of_type(hubspot, kind, spec["associationTypeId"], to_id)
            world.associate(kind, new_id, to_kind, to_id, type_id=spec["associationTypeId"])
    return world.objects[kind][int(new_id)], None


def _update_one(hubspot: HubSpot, kind: str, row: Row) -> tuple[CrmObject, bool | None]:
    found = _target(hubspot, kind, row)
    hubspot.world.update(kind, found.id, _values(hubspot, kind, row))
    return found, None


def _upsert_one(hubspot: HubSpot, kind: str, row: Row) -> tuple[CrmObject, bool | None]:
    world, name = hubspot.world, str(row["idProperty"])
    found = world.find(kind, str(row["id"]), name)
    values = {name: str(row["id"])} | _values(hubspot, kind, row)
    if found is not None and found.archived_at is None:
        world.update(kind, found.id, values)
        return found, False
    new_id = world.add(kind, values)
    return world.objects[kind][int(new_id)], True


def _target(hubspot: HubSpot, kind: str, row: Row) -> CrmObject:
    found = hubspot.world.find(kind, str(row.get("id")), row.get("idProperty"))
    if found is None or found.archived_at is not None:
        raise _BadRow(
            "OBJECT_NOT_FOUND", f"{singular(kind).upper()} {row.get('id')} does not exist"
        )
    return found


def _unclaimed(hubspot: HubSpot, kind: str, row: Row) -> None:
    """Raise if a unique value belongs to another object, or if the e-mail was erased."""
    world = hubspot.world
    own = str(row["id"]) if row.get("idProperty") else None
    values = dict(row.get("properties") or {})
    if own is not None:
        values[str(row["idProperty"])] = own
    for name, value in values.items():
        if not value or not _is_unique(hubspot, kind, name):
            continue
        if name == "email" and value in world.blocked:
            raise _BadRow("VALIDATION_ERROR", "The contact was deleted for privacy reasons")
        other = world.find(kind, str(value), name)
        here = world.find(kind, own, str(row["idProperty"])) if own is not None else None
        claimed = other is not None and other is not here
        if kind == "contacts" and name == "email":
            owner = world.other_emails.get(str(value))
            claimed |= owner is not None and (here is None or here.id != owner)
        if claimed:
            raise _BadRow("CONFLICT", f"{singular(kind).capitalize()} already exists: {name}")


def _known(hubspot: HubSpot, kind: str, rows: Iterable[Row]) -> None:
    """Raise the 400 for properties that do not exist: the whole request is refused."""
    known = hubspot.world.definitions[kind]
    unknown = sorted({name for row in rows for name in row.get("properties") or {}} - known.keys())
    if unknown:
        problems = [
            {
                "message": f'Property "{name}" does not exist',
                "code": "PROPERTY_DOESNT_EXIST",
                "context": {"propertyName": [name]},
            }
            for name in unknown
        ]
        message = f"Property values were not valid: {[each['message'] for each in problems]}"
        raise refused(400, message, errors=problems)


def _values(hubspot: HubSpot, kind: str, row: Row) -> dict[str, str | None]:
    """The row's values as texts; raises for one that its type does not take."""
    values = {}
    for name, given in (row.get("properties") or {}).items():
        value = text(given)
        values[name] = value
        definition = hubspot.world.definitions[kind][name]
        if definition["modificationMetadata"]["readOnlyValue"]:
            raise _BadRow("VALIDATION_ERROR", f"{name} is a read only property", name=name)
        if value and (problem := _wrong(definition, value)):
            words = f"Property values were not valid: {name} ({problem})"
            raise _BadRow("VALIDATION_ERROR", words, name=name, code=problem)
    return values


def _wrong(definition: Row, value: str) -> str | None:
    """Why a value is not of the property's type."""
    try:
        match definition["type"]:
            case "number":
                float(value)
            case "date" | "datetime" if not value.lstrip("-").isdigit():
                moment(value)
            case "bool" if value not in {"true", "false"}:
                return "INVALID_BOOLEAN"
            case "enumeration":
                allowed = {option["value"] for option in definition["options"]}
                if not set(value.strip(";").split(";")) <= allowed:
                    return "INVALID_OPTION"
    except ValueError:
        return "INVALID_DATE" if "date" in definition["type"] else "INVALID_NUMBER"
    if definition["name"] == "email" and "@" not in value:
        return "INVALID_EMAIL"
    return None


def _is_unique(hubspot: HubSpot, kind: str, name: str) -> bool:
    definition = hubspot.world.definitions[kind].get(name)
    return bool(definition and definition["hasUniqueValue"])


# -- associations --------------------------------------------------------------------------------


def _kind_of_type(hubspot: HubSpot, kind: str, type_id: int, to_id: str) -> str:
    """Where an association type leads; one that is not known leads to whom has the id."""
    world = hubspot.world
    for (source, target), labels in world.labels.items():
        if source == kind and type_id in labels.values():
            return target
    for target in world.objects:
        if world.default_type(kind, target) == type_id:
            return target
    for target in world.objects:
        if world.find(target, to_id):
            return target
    raise refused(400, f"Association type {type_id} does not exist")


@routes("POST", "/crm/v4/associations/{kind}/{to_kind}/batch/create")
def _associate(hubspot: HubSpot, request: Request, kind: str, to_kind: str) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    results, errors = [], []
    for row in inputs(request):
        from_id, to_id = pair(row)
        if not (world.find(kind, from_id) and world.find(to_kind, to_id)):
            errors.append(_no_such_pair(from_id, to_id))
            continue
        numbers = [each["associationTypeId"] for each in row["types"]]
        for each in numbers:
            world.associate(kind, from_id, to_kind, to_id, type_id=each)
        specs = world.type_specs(kind, to_kind, numbers)
        results.append(
            {
                "fromObjectTypeId": TYPE_IDS.get(kind, kind),
                "fromObjectId": from_id,
                "toObjectTypeId": TYPE_IDS.get(to_kind, to_kind),
                "toObjectId": to_id,
                "labels": [spec["label"] for spec in specs if spec["label"]],
            }
        )
    return batch(hubspot.clock, results, errors, status=201)


@routes("POST", "/crm/v4/associations/{kind}/{to_kind}/batch/associate/default")
def _associate_default(hubspot: HubSpot, request: Request, kind: str, to_kind: str) -> Answer:
    pairs = [pair(row) for row in inputs(request)]
    return _defaults(hubspot, kind, to_kind, pairs)


@routes("PUT", "/crm/v4/objects/{kind}/{from_id}/associations/default/{to_kind}/{to_id}")
def _associate_pair(
    hubspot: HubSpot, request: Request, kind: str, from_id: str, to_kind: str, to_id: str
) -> Answer:
    if not (
        hubspot.world.find(kind_of(hubspot.world, kind), from_id)
        and hubspot.world.find(kind_of(hubspot.world, to_kind), to_id)
    ):
        raise not_found()
    return _defaults(hubspot, kind, to_kind, [(from_id, to_id)])


def _defaults(
    hubspot: HubSpot, kind: str, to_kind: str, pairs: Iterable[tuple[str, str]]
) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    results, errors = [], []
    for from_id, to_id in pairs:
        if not (world.find(kind, from_id) and world.find(to_kind, to_id)):
            errors.append(_no_such_pair(from_id, to_id))
            continue
        world.associate(kind, from_id, to_kind, to_id)
        for here, there, one, other in (
            (kind, to_kind, from_id, to_id),
            (to_kind, kind, to_id, from_id),
        ):
            spec = {"associationCategory": "HUBSPOT_DEFINED"}
            results.append(
                {
                    "from": {"id": one},
                    "to": {"id": other},
                    "associationSpec": spec
                    | {"associationTypeId": world.default_type(here, there)},
                }
            )
    return batch(hubspot.clock, results, errors)


@routes("POST", "/crm/v4/associations/{kind}/{to_kind}/batch/archive")
def _dissociate(hubspot: HubSpot, request: Request, kind: str, to_kind: str) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    for row in inputs(request):
        for each in row.get("to", []):
            world.dissociate(kind, row["from"]["id"], to_kind, each["id"])
    return Answer(204)


@routes("POST", "/crm/v4/associations/{kind}/{to_kind}/labels")
def _new_label(hubspot: HubSpot, request: Request, kind: str, to_kind: str) -> Answer:
    world = hubspot.world
    kind, to_kind = kind_of(world, kind), kind_of(world, to_kind)
    label = str(body(request).get("label"))
    numbers = [world.label(kind, to_kind, label), world.label(to_kind, kind, label)]
    return Answer(
        200,
        {
            "results": [
                *world.type_specs(kind, to_kind, numbers[:1]),
                *world.type_specs(to_kind, kind, numbers[1:]),
            ]
        },
    )


def _no_such_pair(from_id: str, to_id: str) -> Row:
    context = {"fromObjectId": [from_id], "toObjectId": [to_id]}
    return row_error("One of the objects does not exist", "OBJECT_NOT_FOUND", context)


# -- definitions ---------------------------------------------------------------------------------


@routes("POST", "/crm/v3/properties/{kind}")
def _define(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    return Answer(201, _defined(hubspot, kind_of(hubspot.world, kind), body(request)))


@routes("POST", "/crm/v3/properties/{kind}/batch/create")
def _define_many(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    kind = kind_of(hubspot.world, kind)
    results, errors = [], []
    for row in inputs(request):
        try:
            results.append(_defined(hubspot, kind, row))
        except RefusedError as problem:
            told = problem.answer.body
            context = {"name": [str(row.get("name"))]}
            errors.append(row_error(told["message"], told["category"], context))
    return batch(hubspot.clock, results, errors, status=201)


@routes("POST", "/crm/v3/properties/{kind}/groups")
def _new_group(hubspot: HubSpot, request: Request, kind: str) -> Answer:
    groups = hubspot.world.groups[kind_of(hubspot.world, kind)]
    row: Row = {"archived": False, "displayOrder": -1} | body(request)
    if row.get("name") in groups:
        raise refused(409, f"Property group {row['name']} already exists", "OBJECT_ALREADY_EXISTS")
    groups[str(row["name"])] = row
    return Answer(201, row)


@routes("DELETE", "/crm/v3/properties/{kind}/{name}")
def _undefine(hubspot: HubSpot, request: Request, kind: str, name: str) -> Answer:
    found = hubspot.world.definitions[kind_of(hubspot.world, kind)].get(name)
    if found:
        found["archived"] = True
    return Answer(204)


def _defined(hubspot: HubSpot, kind: str, row: Row) -> Row:
    needed = ("name", "label", "type", "fieldType", "groupName")
    if missing := [name for name in needed if not row.get(name)]:
        raise refused(400, f"Required fields are missing: {missing}")
    name = str(row["name"])
    if not name.replace("_", "").isalnum() or name != name.lower() or not name[0].isalpha():
        raise refused(400, "name must be lower case letters, digits and _, a letter first")
    if name in hubspot.world.definitions[kind]:
        raise refused(409, f"Property named '{name}' already exists.", "OBJECT_ALREADY_EXISTS")
    if row["groupName"] not in hubspot.world.groups[kind]:
        raise refused(400, f"Property group {row['groupName']} does not exist")
    if row["type"] not in {"string", "number", "bool", "date", "datetime", "enumeration"}:
        raise refused(400, f"Unknown type {row['type']}")
    if row["type"] == "enumeration" and not row.get("options"):
        raise refused(400, "An enumeration needs options")
    unique = sum(each["hasUniqueValue"] for each in hubspot.world.definitions[kind].values())
    if row.get("hasUniqueValue") and unique >= 10:
        raise refused(400, "At most 10 unique properties are allowed")
    known = {"name", "type", "fieldType", "hasUniqueValue"}
    more = {key: value for key, value in row.items() if key not in known}
    return hubspot.world.define(
        kind, name, row["type"], row["fieldType"], unique=bool(row.get("hasUniqueValue")), **more
    )


@routes("POST", "/crm/v3/schemas")
@routes("POST", "/crm-object-schemas/v3/schemas")
def _define_type(hubspot: HubSpot, request: Request) -> Answer:
    row = body(request)
    if missing := [name for name in ("name", "labels", "properties") if not row.get(name)]:
        raise refused(400, f"Required fields are missing: {missing}")
    if any(each["name"] == row["name"] for each in hubspot.world.schemas.values()):
        raise refused(409, f"Schema {row['name']} already exists", "OBJECT_ALREADY_EXISTS")
    return Answer(201, hubspot.world.define_type(row))
