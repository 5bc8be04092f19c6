"""The event types that rules may emit, by family, and the words that an event's fields may hold."""

from __future__ import annotations

from typing import Literal, get_args

FAMILIES: dict[str, tuple[str, ...]] = {
    "discovery": (
        "ad_seen",
        "ad_clicked",
        "campaign_responded",
        "content_viewed",
        "product_searched",
        "category_viewed",
        "list_filtered",
        "promotion_viewed",
        "promotion_clicked",
        "intent_signalled",
        "review_read",
        "referral_received",
        "event_attended",
        "location_visited",
    ),
    "consideration": (
        "product_clicked",
        "product_viewed",
        "product_compared",
        "product_shared",
        "wishlist_added",
        "wishlist_removed",
        "spec_downloaded",
        "availability_checked",
        "form_submitted",
        "lead_created",
        "lead_qualified",
        "lead_disqualified",
    ),
    "evaluation": (
        "demo_requested",
        "demo_held",
        "meeting_held",
        "trial_started",
        "trial_ended",
        "pql_reached",
        "quote_requested",
        "quote_sent",
        "rfi_received",
        "rfp_received",
        "opportunity_opened",
        "opportunity_stage_changed",
        "opportunity_observed",
        "contact_role_added",
        "contact_role_removed",
    ),
    "purchase": (
        "cart_added",
        "cart_removed",
        "cart_viewed",
        "checkout_started",
        "checkout_step_completed",
        "payment_entered",
        "payment_failed",
        "coupon_denied",
        "proposal_sent",
        "contract_sent",
        "contract_signed",
        "order_placed",
        "order_updated",
        "order_cancelled",
        "opportunity_won",
        "opportunity_lost",
        "opportunity_reopened",
    ),
    "buyer-internal": (
        "problem_identified",
        "requirements_set",
        "consensus_reached",
        "budget_approved",
        "budget_frozen",
        "priority_changed",
        "security_review_started",
        "security_review_passed",
        "legal_review_started",
        "legal_review_passed",
        "purchase_order_issued",
    ),
    "fulfilment": (
        "order_shipped",
        "delivery_delayed",
        "order_delivered",
        "pickup_ready",
        "pickup_waited",
        "picked_up",
        "provisioned",
        "installed",
    ),
    "use": (
        "activated",
        "feature_used",
        "usage_reported",
        "training_attended",
        "invoice_paid",
        "invoice_overdue",
        "product_retired",
    ),
    "support": (
        "ticket_opened",
        "ticket_updated",
        "ticket_observed",
        "ticket_escalated",
        "ticket_resolved",
        "ticket_reopened",
        "ticket_closed",
        "call_received",
        "call_abandoned",
        "chat_started",
        "chat_ended",
        "self_service_viewed",
        "information_repeated",
    ),
    "return": (
        "return_requested",
        "return_received",
        "order_refunded",
        "exchange_sent",
        "return_rejected",
    ),
    "renewal": (
        "renewal_quoted",
        "renewed",
        "upgraded",
        "downgraded",
        "repurchased",
        "cancel_requested",
        "subscription_cancelled",
        "subscription_expired",
    ),
    "feedback": (
        "nps_answered",
        "csat_answered",
        "ces_answered",
        "product_reviewed",
        "complaint_made",
        "referral_made",
        "goal_stated",
        "goal_met",
    ),
    "message": (
        "email_delivered",
        "email_opened",
        "email_clicked",
        "email_bounced",
        "email_unsubscribed",
        "message_sent",
    ),
    "admin": (
        "identity_linked",
        "identity_unlinked",
        "account_joined",
        "account_left",
        "scope_linked",
        "profile_observed",
        "consent_given",
        "consent_withdrawn",
        "erasure_requested",
        "record_corrected",
    ),
}

# What the engine itself concludes; no rule may emit these.
DERIVED: tuple[str, ...] = ("cart_abandoned", "renewal_window_opened")

EVENT_TYPES: frozenset[str] = frozenset(name for family in FAMILIES.values() for name in family)

Grain = Literal["category", "product", "item"]
Role = Literal["primary", "candidate", "mentioned"]  # the stronger first
Visibility = Literal["owned", "partner", "earned", "third_party", "buyer_internal"]
Observability = Literal["observed", "reported", "inferred"]

GRAINS: tuple[str, ...] = get_args(Grain)
ROLES: tuple[str, ...] = get_args(Role)
VISIBILITIES: tuple[str, ...] = get_args(Visibility)
OBSERVABILITIES: tuple[str, ...] = get_args(Observability)
