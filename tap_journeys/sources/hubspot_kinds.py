"""The types of CRM objects that are read, and their properties: all text there, typed here.

HubSpot tells the type of each property, own ones included, in its definitions. An account whose
definitions cannot be read gets the properties that are named here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from tap_journeys.sources.hubspot_client import Row
from tap_journeys.sources.windows import moment, written

CONTACT = "associations.contacts.toObjectId"
LINES = ("line_items.hs_sku", "line_items.hs_product_id")
WHOM = (CONTACT, "company_id")
TEXT = {"type": ["string", "null"]}
MOMENT = {"type": ["string", "null"], "format": "date-time"}
SCHEMAS: Mapping[str, Row] = {
    "number": {"type": ["number", "null"]},
    "bool": {"type": ["boolean", "null"]},
    "datetime": MOMENT,
    "date": {"type": ["string", "null"], "format": "date"},
}
LONGEST_INTEGER = 18  # digits that fit into 64 bits


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of objects."""

    name: str  # in addresses
    known: str  # properties where no definitions can be read: `name` or `name:type`
    beside: tuple[str, ...] = ()  # types of the objects whose associations are read
    history: tuple[str, ...] = ()  # properties with their past; the first is the stage
    closed: str | None = None  # false while associations may still change
    modified: str = "hs_lastmodifieddate"
    customer_paths: tuple[str, ...] = ()
    product_paths: tuple[str, ...] = ()
    on_request: bool = False  # read where the catalog selects it only


_DATES = "hs_createdate:datetime hs_lastmodifieddate:datetime hs_timestamp:datetime"


def _engagement(name: str, known: str, *, on_request: bool = False) -> Kind:
    """What happened with somebody, perhaps about a deal."""
    return Kind(
        name,
        f"{known} {_DATES}",
        beside=("contacts", "companies", "deals"),
        customer_paths=WHOM,
        product_paths=("associations.deals.toObjectId",),
        on_request=on_request,
    )


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "contacts",
            "email firstname lastname jobtitle lifecyclestage hs_lead_status hs_buying_role "
            "associatedcompanyid:number hs_additional_emails hs_merged_object_ids "
            "hs_analytics_source hs_analytics_first_url hs_analytics_first_timestamp:datetime "
            "createdate:datetime lastmodifieddate:datetime",
            beside=("companies",),
            modified="lastmodifieddate",
            customer_paths=("properties.email", "company_id"),
        ),
        Kind(
            "companies",
            "name domain hs_additional_domains hs_merged_object_ids industry "
            "createdate:datetime hs_lastmodifieddate:datetime",
            customer_paths=("id", "properties.domain"),
        ),
        Kind(
            "deals",
            "dealname amount:number deal_currency_code pipeline dealstage dealtype "
            "closedate:datetime closed_lost_reason closed_won_reason hs_is_closed:bool "
            "hs_is_closed_won:bool createdate:datetime hs_lastmodifieddate:datetime",
            beside=("contacts", "companies", "line_items"),
            history=("dealstage", "closedate"),
            closed="hs_is_closed",
            customer_paths=WHOM,
            product_paths=LINES,
        ),
        Kind(
            "line_items",
            "name hs_sku hs_product_id quantity:number price:number amount:number "
            "createdate:datetime hs_lastmodifieddate:datetime",
            product_paths=("properties.hs_sku", "properties.hs_product_id"),
        ),
        Kind(
            "products",
            "name hs_sku description price:number createdate:datetime hs_lastmodifieddate:datetime",
            product_paths=("properties.hs_sku",),
        ),
        Kind(
            "tickets",
            "subject content hs_pipeline hs_pipeline_stage hs_ticket_priority hs_ticket_category "
            "source_type hs_resolution createdate:datetime hs_lastmodifieddate:datetime",
            beside=("contacts", "companies", "deals"),
            history=("hs_pipeline_stage",),
            customer_paths=WHOM,
            product_paths=("associations.deals.toObjectId",),
        ),
        _engagement(
            "calls",
            "hs_call_title hs_call_direction hs_call_disposition hs_call_duration:number "
            "hs_call_status hs_activity_type hs_product_name",
        ),
        _engagement(
            "meetings",
            "hs_meeting_title hs_meeting_outcome hs_meeting_start_time:datetime "
            "hs_meeting_end_time:datetime hs_activity_type",
        ),
        _engagement(
            "emails",
            "hs_email_direction hs_email_status hs_email_subject hs_email_from_email "
            "hs_email_to_email hs_email_thread_id",
        ),
        # the seller's own: no event of a customer, and texts that nobody wants by accident
        _engagement("notes", "hs_note_body", on_request=True),
        _engagement(
            "tasks",
            "hs_task_subject hs_task_status hs_task_priority hs_task_type "
            "hs_task_completion_date:datetime",
            on_request=True,
        ),
        Kind(
            "feedback_submissions",
            "hs_survey_type hs_survey_id hs_survey_name hs_survey_channel hs_value:number "
            "hs_response_group hs_content hs_contact_id hs_contact_email_rollup hs_ticket_id "
            "hs_submission_timestamp:datetime hs_createdate:datetime hs_lastmodifieddate:datetime",
            customer_paths=("properties.hs_contact_id", "properties.hs_contact_email_rollup"),
        ),
    )
}


def known_types(kind: Kind) -> dict[str, str]:
    """The properties that every account has, and their types."""
    pairs = (each.partition(":") for each in kind.known.split())
    return {name: type_name or "string" for name, _, type_name in pairs}


def defined_types(definitions: Iterable[Row]) -> dict[str, str]:
    """The properties of an account, own ones included, and their types."""
    return {str(each["name"]): str(each.get("type") or "string") for each in definitions}


def schema_of(kind: Kind, types: Mapping[str, str]) -> Row:
    """The schema of a stream's records."""
    rows = {"type": ["array", "null"], "items": {"type": "object"}}
    fields: Row = {
        "id": {"type": "string"},
        "properties": {
            "type": ["object", "null"],
            "properties": {name: SCHEMAS.get(types[name], TEXT) for name in sorted(types)},
        },
        "createdAt": MOMENT,
        "updatedAt": MOMENT,
        "archived": {"type": ["boolean", "null"]},
        "archivedAt": MOMENT,
    }
    if kind.beside:
        fields["associations"] = {
            "type": ["object", "null"],
            "properties": dict.fromkeys(kind.beside, rows),
        }
    if kind.closed is not None:
        fields["associations_read_at"] = MOMENT
    if "companies" in kind.beside:
        fields["company_id"] = TEXT
    if kind.history:
        fields["propertiesWithHistory"] = {
            "type": ["object", "null"],
            "properties": dict.fromkeys(kind.history, rows),
        }
        fields["stages"] = rows
    if "line_items" in kind.beside:
        fields["line_items"] = fields["contact_roles"] = rows
    return {"type": "object", "properties": fields}


def caster(types: Mapping[str, str]) -> Callable[[Mapping[str, Any]], Row]:
    """What gives the values of an object their types."""
    casts = {name: CASTS[each] for name, each in types.items() if each in CASTS}

    def cast(values: Mapping[str, Any]) -> Row:
        return {
            name: each(value) if isinstance(value, str) and (each := casts.get(name)) else value
            for name, value in values.items()
        }

    return cast


def _number(value: str) -> int | Decimal | str | None:
    if not value.strip():
        return None
    try:
        if len(value) <= LONGEST_INTEGER and value.lstrip("-").isdecimal():
            return int(value)
        number = Decimal(value)
    except (ValueError, InvalidOperation):
        return value
    return number if number.is_finite() else value


def _bool(value: str) -> bool | str | None:
    return {"true": True, "false": False, "": None}.get(value.strip().lower(), value)


def _moment(value: str) -> str | None:
    """ISO 8601 as it is; the milliseconds of older properties become it."""
    if value.lstrip("-").isdecimal():
        at = moment(value)
        return None if at is None else written(at)
    return value or None


def _date(value: str) -> str | None:
    found = _moment(value)
    return None if found is None else found[:10]


CASTS: Mapping[str, Callable[[str], Any]] = {
    "number": _number,
    "bool": _bool,
    "datetime": _moment,
    "date": _date,
}
