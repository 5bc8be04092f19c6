"""What every HubSpot account has from the start: types, properties, stages, association types.

Numbers of types and associations that the contract does not name are from general knowledge.
"""

from __future__ import annotations

TYPE_IDS = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "tickets": "0-5",
    "products": "0-7",
    "line_items": "0-8",
    "quotes": "0-14",
    "feedback_submissions": "0-19",
    "tasks": "0-27",
    "notes": "0-46",
    "meetings": "0-47",
    "calls": "0-48",
    "emails": "0-49",
    "orders": "0-123",
}
CREATED = dict.fromkeys(
    ("contacts", "companies", "deals", "tickets", "products", "line_items"), "createdate"
)  # others: hs_createdate
MODIFIED = {"contacts": "lastmodifieddate"}  # others: hs_lastmodifieddate

# What an answer holds when no property is asked for, beside id and the two dates.
SHOWN = {
    "contacts": ("email", "firstname", "lastname"),
    "companies": ("domain", "name"),
    "deals": ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    "tickets": (
        "content",
        "hs_pipeline",
        "hs_pipeline_stage",
        "hs_ticket_category",
        "hs_ticket_priority",
        "subject",
    ),
}

_TEXT = "string"
PROPERTIES: dict[str, dict[str, str]] = {
    "contacts": dict.fromkeys(
        (
            "email",
            "firstname",
            "lastname",
            "jobtitle",
            "phone",
            "lifecyclestage",
            "hs_buying_role",
            "associatedcompanyid",
            "hs_analytics_source",
            "hs_analytics_first_url",
            "hs_additional_emails",
            "hs_calculated_merged_vids",
        ),
        _TEXT,
    ),
    "companies": {"name": _TEXT, "domain": _TEXT, "website": _TEXT, "numberofemployees": "number"},
    "deals": {
        "dealname": _TEXT,
        "amount": "number",
        "deal_currency_code": _TEXT,
        "pipeline": _TEXT,
        "dealstage": _TEXT,
        "closedate": "datetime",
        "closed_lost_reason": _TEXT,
        "hs_is_closed": "bool",
        "hs_is_closed_won": "bool",
        "hubspot_owner_id": _TEXT,
    },
    "tickets": dict.fromkeys(
        (
            "subject",
            "content",
            "hs_pipeline",
            "hs_pipeline_stage",
            "hs_ticket_priority",
            "hs_ticket_category",
        ),
        _TEXT,
    ),
    "products": {"name": _TEXT, "hs_sku": _TEXT, "price": "number", "description": _TEXT},
    "line_items": {
        "hs_product_id": _TEXT,
        "hs_sku": _TEXT,
        "name": _TEXT,
        "quantity": "number",
        "price": "number",
        "amount": "number",
    },
    "feedback_submissions": {
        **dict.fromkeys(
            (
                "hs_survey_type",
                "hs_survey_id",
                "hs_survey_name",
                "hs_survey_channel",
                "hs_response_group",
                "hs_content",
                "hs_contact_id",
                "hs_contact_email_rollup",
                "hs_ticket_id",
            ),
            _TEXT,
        ),
        "hs_value": "number",
        "hs_submission_timestamp": "datetime",
    },
    "calls": {
        "hs_timestamp": "datetime",
        "hs_call_title": _TEXT,
        "hs_call_disposition": _TEXT,
        "hs_call_duration": "number",
        "hs_call_status": _TEXT,
        "hs_product_name": _TEXT,
    },
    "meetings": {
        "hs_timestamp": "datetime",
        "hs_meeting_title": _TEXT,
        "hs_meeting_outcome": _TEXT,
        "hs_meeting_start_time": "datetime",
        "hs_meeting_end_time": "datetime",
    },
    "emails": {
        "hs_timestamp": "datetime",
        "hs_email_direction": _TEXT,
        "hs_email_subject": _TEXT,
        "hs_email_from_email": _TEXT,
        "hs_email_to_email": _TEXT,
        "hs_email_thread_id": _TEXT,
    },
    "notes": {"hs_timestamp": "datetime", "hs_note_body": _TEXT},
    "tasks": {"hs_timestamp": "datetime", "hs_task_subject": _TEXT, "hs_task_status": _TEXT},
    "orders": {"hs_order_name": _TEXT, "hs_total_price": "number"},
}

DEAL_STAGES = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
    ("contractsent", "Contract Sent", "0.9"),
    ("closedwon", "Closed Won", "1.0"),
    ("closedlost", "Closed Lost", "0.0"),
)
TICKET_STAGES = (
    ("1", "New", "OPEN"),
    ("2", "Waiting on contact", "OPEN"),
    ("3", "Waiting on us", "OPEN"),
    ("4", "Closed", "CLOSED"),
)

ASSOCIATION_TYPES = {
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("deals", "contacts"): 3,
    ("contacts", "deals"): 4,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
    ("contacts", "tickets"): 15,
    ("tickets", "contacts"): 16,
    ("deals", "line_items"): 19,
    ("line_items", "deals"): 20,
    ("deals", "tickets"): 27,
    ("tickets", "deals"): 28,
    ("tickets", "companies"): 339,
    ("companies", "tickets"): 340,
}
SCOPES = {  # what a call needs; others: crm.objects.<type>.read
    "tickets": "tickets",
    "products": "e-commerce",
    "calls": "crm.objects.contacts.read",
    "meetings": "crm.objects.contacts.read",
    "notes": "crm.objects.contacts.read",
    "tasks": "crm.objects.contacts.read",
    "emails": "sales-email-read",
    "forms": "forms",
}
