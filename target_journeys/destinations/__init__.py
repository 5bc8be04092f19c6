"""The destinations, by settings key."""

from __future__ import annotations

from target_journeys.destinations.base import Destination
from target_journeys.destinations.webhook import Webhook

DESTINATIONS: dict[str, type[Destination]] = {
    "webhook": Webhook,
}
