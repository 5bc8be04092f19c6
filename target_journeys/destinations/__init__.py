"""The destinations, by settings key."""

from __future__ import annotations

from target_journeys.destinations.base import Destination
from target_journeys.destinations.customerio import CustomerIO
from target_journeys.destinations.hubspot import HubSpot
from target_journeys.destinations.posthog import PostHog
from target_journeys.destinations.salesforce import Salesforce
from target_journeys.destinations.segment import Segment
from target_journeys.destinations.webhook import Webhook

DESTINATIONS: dict[str, type[Destination]] = {
    "customerio": CustomerIO,
    "hubspot": HubSpot,
    "posthog": PostHog,
    "salesforce": Salesforce,
    "segment": Segment,
    "webhook": Webhook,
}
