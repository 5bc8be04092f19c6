"""What is written to a Salesforce organisation, row by row, and why a row is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.sandbox.salesforce_objects import COMPOUND, SET_BY_ORG, SObject
from tests.sandbox.salesforce_world import Row, full_id, typed

if TYPE_CHECKING:
    from tests.sandbox.salesforce import Salesforce

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class RowError(Exception):
    """Why one row was not written."""

    def __init__(self, code: str, message: str, fields: Iterable[str] = ()) -> None:
        super().__init__(code)
        self.code, self.message, self.fields = code, message, list(fields)

    def outcome(self) -> Row:
        error = {"statusCode": self.code, "message": self.message, "fields": self.fields}
        return {"success": False, "errors": [error]}


def upsert(vendor: Salesforce, name: str, field: str, values: Row) -> Row:
    """Write one row by its external id: the outcome. Raises RowError."""
    world, made = vendor.world, vendor.world.objects[name]
    key = made.named(field)
    if key is None or not (key.external_id or key.type == "id"):
        words = f"Provided external ID field does not exist or is not accessible: {field}"
        raise RowError("INVALID_FIELD", words, [field])
    values = dict(values)
    wanted = values.pop(key.name, None)
    if wanted in (None, ""):
        raise RowError("MISSING_ARGUMENT", f"{key.name} not specified", [key.name])
    if key.type == "id":
        return update(vendor, name, str(wanted), values) | {"created": False}
    _locked(vendor, str(wanted))
    rows = world.by(name, key.name, wanted)
    if len(rows) > 1:
        ids = [row["Id"] for row in rows]
        words = f"{key.name}: more than one record found for external id field: {ids}"
        raise RowError("DUPLICATE_EXTERNAL_ID", words, [key.name])
    if rows:
        return update(vendor, name, rows[0]["Id"], values) | {"created": False}
    return create(vendor, name, {key.name: wanted} | values) | {"created": True}


def create(vendor: Salesforce, name: str, values: Row) -> Row:
    """Write a new row: the outcome. Raises RowError."""
    made = vendor.world.objects[name]
    checked = _checked(vendor, made, None, values)
    needed = [field.name for field in made.fields.values() if field.required]
    if missing := [field for field in needed if checked.get(field) is None]:
        words = f"Required fields are missing: [{', '.join(missing)}]"
        raise RowError("REQUIRED_FIELD_MISSING", words, missing)
    return {"id": vendor.world.add(name, **checked), "success": True, "errors": []}


def update(vendor: Salesforce, name: str, key: str, values: Row) -> Row:
    """Change a row by its id: the outcome. Raises RowError."""
    row = _there(vendor, name, key)
    vendor.world.change(
        name, row["Id"], **_checked(vendor, vendor.world.objects[name], row, values)
    )
    return {"id": row["Id"], "success": True, "errors": []}


def delete(vendor: Salesforce, name: str, key: str) -> Row:
    """Put a row into the recycle bin: the outcome. Raises RowError."""
    row = _there(vendor, name, key)
    vendor.world.delete(name, row["Id"])
    return {"id": row["Id"], "success": True, "errors": []}


def upsert_all(vendor: Salesforce, name: str, field: str, rows: list[Row]) -> list[Row]:
    """The outcomes of many upserts, in order; a key that comes twice is refused each time."""
    times = Counter(str(row.get(field)).casefold() for row in rows)
    outcomes = []
    for row in rows:
        try:
            if times[str(row.get(field)).casefold()] > 1:
                words = f"Duplicate external id specified: {row.get(field)}"
                raise RowError("DUPLICATE_VALUE", words, [field])
            outcomes.append(upsert(vendor, name, field, row))
        except RowError as error:
            outcomes.append(error.outcome())
    return outcomes


def _there(vendor: Salesforce, name: str, key: str) -> Row:
    _locked(vendor, key)
    row = vendor.world.rows[name].get(full_id(key))
    if row is None:
        raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if row.get("IsDeleted"):
        raise RowError("ENTITY_IS_DELETED", "entity is deleted")
    return row


def _locked(vendor: Salesforce, key: str) -> None:
    if vendor.row_locks.get(key, 0) > 0:
        vendor.row_locks[key] -= 1
        words = "unable to obtain exclusive access to this record"
        raise RowError("UNABLE_TO_LOCK_ROW", words)


def _checked(vendor: Salesforce, made: SObject, before: Row | None, values: Row) -> Row:
    """The values as the world keeps them; raises what the vendor says of a wrong one."""
    checked: Row = {}
    for name, value in values.items():
        if name == "attributes":
            continue
        relation = vendor.world.relation(made.name, name) if isinstance(value, dict) else None
        if relation is not None:
            checked[relation.name] = _referred(vendor, relation.refers_to[0], value)
            continue
        field = made.named(name)
        if field is None:
            words = f"No such column '{name}' on sobject of type {made.name}"
            raise RowError("INVALID_FIELD", words, [name])
        if field.name in SET_BY_ORG or field.type in COMPOUND:
            words = f"Unable to create/update fields: {field.name}."
            raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", words, [field.name])
        if isinstance(value, str) and len(value) > field.length:
            words = f"{field.name}: data value too large (max length={field.length})"
            raise RowError("STRING_TOO_LONG", words, [field.name])
        try:
            checked[field.name] = typed(field, value)
        except (ValueError, TypeError) as error:
            words = f"{field.name}: value not of required type"
            raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", words, [field.name]) from error
        if field.type == "email" and value and not ADDRESS.fullmatch(str(value)):
            words = f"{field.name.removesuffix('__c')}: invalid email address: {value}"
            raise RowError("INVALID_EMAIL_ADDRESS", words, [field.name])
        if field.refers_to and checked[field.name]:
            rows = vendor.world.rows
            if not any(checked[field.name] in rows.get(target, {}) for target in field.refers_to):
                words = "invalid cross reference id"
                raise RowError("INVALID_CROSS_REFERENCE_KEY", words, [field.name])
    for rule in vendor.validation_rules:
        if complaint := rule(made.name, before, checked):
            raise RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", complaint)
    return checked


def _referred(vendor: Salesforce, target: str, said: Row) -> str:
    """The id of the row that is named by an external id of its own."""
    said = {name: value for name, value in said.items() if name != "attributes"}
    (field, value), *_ = said.items() or [("", None)]
    rows = vendor.world.by(target, field, value)
    if len(rows) != 1:
        words = f"Foreign key external ID: {value} not found for field {field} in entity {target}"
        raise RowError("INVALID_FIELD", words, [field])
    return str(rows[0]["Id"])
