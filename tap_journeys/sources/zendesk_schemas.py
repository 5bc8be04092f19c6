"""What Zendesk's rows hold, and the custom fields of people and organizations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import requests
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError

from tap_journeys import side_by_side
from tap_journeys.sources.client import Client
from tap_journeys.sources.zendesk_answers import LIST_SIZE, list_pages, rows_of

logger = logging.getLogger("tap-journeys.zendesk")

Schema = dict[str, Any]
WHOLE: Schema = {"type": ["integer", "null"]}
NUMBER: Schema = {"type": ["number", "null"]}
TEXT: Schema = {"type": ["string", "null"]}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
FLAG: Schema = {"type": ["boolean", "null"]}
LIST: Schema = {"type": ["array", "null"]}
OBJECT: Schema = {"type": ["object", "null"]}
ANY: Schema = {"type": ["string", "number", "boolean", "array", "object", "null"]}
TEXTS: Schema = LIST | {"items": TEXT}
IDS: Schema = LIST | {"items": WHOLE}
VALUES: Schema = LIST | {"items": {"type": "object", "properties": {"id": WHOLE, "value": ANY}}}
MINUTES: Schema = OBJECT | {"properties": {"calendar": NUMBER, "business": NUMBER}}

STAMPS = {"created_at": TIME, "updated_at": TIME}
ROW = {"id": {"type": "integer"}, "url": TEXT, **STAMPS}
RATING = OBJECT | {"properties": {"id": WHOLE, "score": TEXT, "comment": TEXT, "reason": TEXT}}
COLUMNS: Mapping[str, Mapping[str, Schema]] = {
    "tickets": {
        **ROW,
        **dict.fromkeys(("external_id", "type", "subject", "raw_subject", "description"), TEXT),
        **dict.fromkeys(("priority", "status", "recipient"), TEXT),
        **dict.fromkeys(("requester_id", "submitter_id", "assignee_id", "organization_id"), WHOLE),
        **dict.fromkeys(("group_id", "brand_id", "ticket_form_id", "custom_status_id"), WHOLE),
        **dict.fromkeys(("problem_id", "forum_topic_id", "generated_timestamp"), WHOLE),
        **dict.fromkeys(("collaborator_ids", "follower_ids", "email_cc_ids"), IDS),
        **dict.fromkeys(("followup_ids", "sharing_agreement_ids"), IDS),
        **dict.fromkeys(("has_incidents", "is_public", "from_messaging_channel"), FLAG),
        **dict.fromkeys(("allow_channelback", "allow_attachments"), FLAG),
        **dict.fromkeys(("custom_fields", "fields"), VALUES),
        "due_at": TIME,
        "tags": TEXTS,
        "via": OBJECT | {"properties": {"channel": TEXT, "source": OBJECT}},
        "satisfaction_rating": RATING,
    },
    "ticket_events": {
        "id": {"type": "integer"},
        **dict.fromkeys(("ticket_id", "timestamp", "updater_id"), WHOLE),
        **dict.fromkeys(("via", "event_type"), TEXT),
        "created_at": TIME,
        "system": OBJECT,
        "child_events": LIST | {"items": OBJECT},
    },
    "ticket_metric_events": {
        "id": {"type": "integer"},
        **dict.fromkeys(("ticket_id", "instance_id"), WHOLE),
        **dict.fromkeys(("metric", "type"), TEXT),
        **dict.fromkeys(("sla", "group_sla", "status"), OBJECT),
        "time": TIME,
        "deleted": FLAG,
    },
    "ticket_metrics": {
        **ROW,
        **dict.fromkeys(("ticket_id", "reopens", "replies"), WHOLE),
        **dict.fromkeys(("assignee_stations", "group_stations"), WHOLE),
        **dict.fromkeys(("solved_at", "assigned_at", "initially_assigned_at"), TIME),
        **dict.fromkeys(("status_updated_at", "assignee_updated_at"), TIME),
        **dict.fromkeys(("requester_updated_at", "custom_status_updated_at"), TIME),
        "latest_comment_added_at": TIME,
        **dict.fromkeys(("reply_time_in_minutes", "first_resolution_time_in_minutes"), MINUTES),
        **dict.fromkeys(("full_resolution_time_in_minutes", "agent_wait_time_in_minutes"), MINUTES),
        **dict.fromkeys(("requester_wait_time_in_minutes", "on_hold_time_in_minutes"), MINUTES),
        "reply_time_in_seconds": OBJECT,
    },
    "users": {
        **ROW,
        **dict.fromkeys(("name", "email", "phone", "external_id", "role", "alias"), TEXT),
        **dict.fromkeys(("locale", "time_zone", "iana_time_zone", "details", "notes"), TEXT),
        **dict.fromkeys(("signature", "ticket_restriction"), TEXT),
        **dict.fromkeys(("organization_id", "default_group_id", "custom_role_id"), WHOLE),
        **dict.fromkeys(("locale_id", "role_type"), WHOLE),
        **dict.fromkeys(("active", "verified", "suspended", "shared", "shared_agent"), FLAG),
        **dict.fromkeys(("permanently_deleted", "moderator"), FLAG),
        **dict.fromkeys(("only_private_comments", "restricted_agent"), FLAG),
        **dict.fromkeys(("report_csv", "shared_phone_number", "two_factor_auth_enabled"), FLAG),
        **dict.fromkeys(("photo", "user_fields"), OBJECT),
        "last_login_at": TIME,
        "tags": TEXTS,
    },
    "organizations": {
        **ROW,
        **dict.fromkeys(("name", "external_id", "details", "notes"), TEXT),
        **dict.fromkeys(("shared_tickets", "shared_comments"), FLAG),
        **dict.fromkeys(("domain_names", "tags"), TEXTS),
        "group_id": WHOLE,
        "deleted_at": TIME,
        "organization_fields": OBJECT,
    },
    "satisfaction_ratings": {
        **ROW,
        **dict.fromkeys(("ticket_id", "requester_id", "assignee_id", "group_id"), WHOLE),
        **dict.fromkeys(("reason_id", "reason_code"), WHOLE),
        **dict.fromkeys(("score", "comment", "reason"), TEXT),
    },
    "survey_responses": {
        "id": {"type": "string"},
        **STAMPS,
        "responder_id": WHOLE,
        "subject_zrns": TEXTS,
        "subjects": LIST | {"items": OBJECT | {"properties": {"id": TEXT, "type": TEXT}}},
        "survey": OBJECT,
        "expires_at": TIME,
        "answers": LIST | {"items": OBJECT},
    },
    "ticket_fields": {
        **ROW,
        **dict.fromkeys(("type", "title", "raw_title", "title_in_portal"), TEXT),
        **dict.fromkeys(("description", "raw_description", "agent_description", "tag"), TEXT),
        **dict.fromkeys(("regexp_for_validation", "raw_title_in_portal", "creator_app_name"), TEXT),
        **dict.fromkeys(("active", "required", "removable", "required_in_portal"), FLAG),
        **dict.fromkeys(("visible_in_portal", "editable_in_portal", "agent_can_edit"), FLAG),
        "collapsed_for_agents": FLAG,
        **dict.fromkeys(("custom_field_options", "system_field_options"), LIST),
        "custom_statuses": LIST,
        **dict.fromkeys(("position", "sub_type_id", "creator_user_id"), WHOLE),
        "relationship_target_type": TEXT,
        "relationship_filter": OBJECT,
    },
    "ticket_forms": {
        **ROW,
        **dict.fromkeys(("name", "raw_name", "display_name", "raw_display_name"), TEXT),
        **dict.fromkeys(("active", "default", "end_user_visible", "in_all_brands"), FLAG),
        **dict.fromkeys(("ticket_field_ids", "restricted_brand_ids"), IDS),
        **dict.fromkeys(("agent_conditions", "end_user_conditions"), LIST),
        "deleted_at": TIME,
        "position": WHOLE,
    },
    "brands": {
        **ROW,
        **dict.fromkeys(("name", "subdomain", "brand_url", "host_mapping"), TEXT),
        **dict.fromkeys(("help_center_state", "signature_template"), TEXT),
        "logo": OBJECT,
        **dict.fromkeys(("active", "default", "is_deleted", "has_help_center"), FLAG),
        "ticket_form_ids": IDS,
    },
}
# Custom fields by their kind; what is not named here is text (dropdowns hold the option's tag).
KINDS = {"checkbox": FLAG, "integer": WHOLE, "decimal": NUMBER, "date": TIME, "multiselect": TEXTS}
CUSTOM = ("user_fields", "organization_fields")


def schema_of(kind: str, more: Mapping[str, Schema]) -> Schema:
    """The schema of a kind of rows; ``more`` is added, or takes the place of what is there."""
    return {"type": "object", "properties": {**COLUMNS[kind], **more}}


def custom_fields(client: Client) -> dict[str, Schema]:
    """The columns of custom fields as the account describes them; what it does not, stays open."""
    found = {}
    for name, result in side_by_side.together(partial(_described, client), CUSTOM):
        match result:
            case FatalAPIError() | RetriableAPIError():
                logger.warning("%s; %s have no types in the catalog", result, name)
            case requests.RequestException():
                kind = type(result).__name__
                logger.warning("%s; %s have no types in the catalog", kind, name)
            case Exception():
                raise result
            case _:
                found[name] = result
    return found


def _described(client: Client, name: str) -> Schema:
    pages = list_pages(client, f"/api/v2/{name}.json", {"page[size]": LIST_SIZE})
    rows = (row for answer in pages for row in rows_of(answer, name))
    columns = {row["key"]: KINDS.get(row.get("type", ""), TEXT) for row in rows if row.get("key")}
    return OBJECT | {"properties": columns}
