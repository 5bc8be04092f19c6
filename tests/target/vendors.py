"""Every destination with a receiver that speaks its vendor's answers, and what that was told.

A destination that is new gets a line in ``KITS``: how its receiver is made, and how one reads there
in which stage a journey is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from target_journeys.destinations import DESTINATIONS
from target_journeys.destinations.base import Destination
from target_journeys.sending import Sender
from tests.sandbox.base import Answer, Clock, Request, Vendor, iso
from tests.sandbox.customerio import CustomerIO
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.limits import Bucket
from tests.sandbox.posthog import PostHog
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.server import serving
from tests.sandbox.webhook import Webhook
from tests.target import salesforce_metadata


class Seen(NamedTuple):
    """What a receiver knows of one journey."""

    stage: str
    entered_at: str
    corrected: bool


Journeys = Mapping[tuple[str, str], Seen]  # (subject, product) → what is known


class Segment(Vendor):
    """Segment as far as the traits of a customer go: each is replaced as a whole."""

    name = "segment"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.users: dict[str, dict[str, Any]] = {}
        self._seen: set[str] = set()

    def documented_limits(self) -> list[Bucket]:
        return [Bucket("workspace", 1000, 1.0)]

    def buckets(self, request: Request) -> tuple[str, ...]:
        return ("workspace",)

    def can_expire(self, request: Request) -> bool:
        return False

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        return Answer(429, {"success": False}, {"Retry-After": "1"})

    def answer(self, request: Request) -> Answer:
        if request.path != "/v1/batch":
            return Answer(404, "")
        for message in request.json["batch"]:
            if message["messageId"] not in self._seen:
                self._seen.add(message["messageId"])
                traits = message.get("traits") or message["context"]["traits"]
                self.users.setdefault(message["userId"], {}).update(traits)
        return Answer(200, {"success": True})

    def target_settings(self) -> dict[str, Any]:
        return {"write_key": "wk-1", "region": "us", "base_url": self.url}


class Kit(NamedTuple):
    """A receiver, what a destination must be set to, and what was told."""

    vendor: Vendor
    settings: Callable[[], dict[str, Any]]
    journeys: Callable[[], Journeys]


def webhook() -> Kit:
    vendor = Webhook()
    return Kit(
        vendor,
        vendor.target_settings,
        lambda: {
            (data["subject"], data["scope_id"]): Seen(
                data["stage"], data["stage_entered_at"], data["is_correction"]
            )
            for data in vendor.records.values()
        },
    )


def segment() -> Kit:
    vendor = Segment()
    return Kit(
        vendor,
        vendor.target_settings,
        lambda: {
            (user, product): Seen(
                data["stage"], data["stage_entered_at"], traits["journeys_corrected"]
            )
            for user, traits in vendor.users.items()
            for product, data in (traits["journeys"] or {}).items()
        },
    )


def hubspot() -> Kit:
    vendor = HubSpot()

    def journeys() -> Journeys:
        found = {}
        for row in vendor.world.listed(next(iter(vendor.world.schemas))):
            told = row.properties
            subject, _, product, _ = str(told["journey_key"]).split("|")
            found[subject, product] = Seen(
                str(told["stage"]), str(told["stage_entered_at"]), told["is_correction"] == "true"
            )
        return found

    return Kit(
        vendor,
        lambda: {"access_token": vendor.token, "base_url": vendor.url},
        journeys,
    )


def salesforce() -> Kit:
    vendor = Salesforce()
    salesforce_metadata.deploy(vendor.world)

    def journeys() -> Journeys:
        return {
            (row["Subject__c"], row["Scope_Id__c"]): Seen(
                row["Stage__c"], iso(row["Stage_Entered_At__c"]), row["Is_Correction__c"]
            )
            for row in vendor.world.visible(salesforce_metadata.OBJECT)
        }

    (session,) = vendor.sessions
    return Kit(vendor, lambda: {"access_token": session, "base_url": vendor.url}, journeys)


def customerio() -> Kit:
    vendor = CustomerIO()

    def journeys() -> Journeys:
        return {
            (data["subject"], data["scope_id"]): Seen(
                data["stage"],
                iso(datetime.fromtimestamp(data["stage_entered_at"], UTC)),
                data["is_correction"],
            )
            for data in vendor.objects.values()
        }

    return Kit(vendor, vendor.target_settings, journeys)


def posthog() -> Kit:
    vendor = PostHog()

    def journeys() -> Journeys:
        return {
            (person, product): Seen(
                data["stage"], data["stage_entered_at"], told["journeys_corrected"]
            )
            for person, told in vendor.persons.items()
            for product, data in (told["journeys"] or {}).items()
        }

    return Kit(vendor, vendor.target_settings, journeys)


KITS: dict[str, Callable[[], Kit]] = {
    "customerio": customerio,
    "hubspot": hubspot,
    "posthog": posthog,
    "salesforce": salesforce,
    "segment": segment,
    "webhook": webhook,
}


@contextmanager
def receiving(name: str) -> Iterator[Kit]:
    """The receiver of a destination, listening, with all that must be there first."""
    kit = KITS[name]()
    with serving(kit.vendor):
        set_up(DESTINATIONS[name].model_validate(kit.settings()))
        kit.vendor.forget_requests()
        yield kit


def set_up(destination: Destination) -> None:
    """Create what the destination lacks, as `journeys check --create` does."""
    sender = Sender(destination, lambda: datetime.now(UTC))
    try:
        sender.follow(lambda each: each.create())
    finally:
        sender.close()


def storm(vendor: Vendor, *, seed: int, slow_ms: float) -> None:
    """Three requests of ten go wrong from now on, in every way that there is."""
    faults = vendor.faults
    faults.seed = seed
    faults.error_share, faults.error_statuses = 0.12, (408, 429, 500, 502, 503, 504)
    faults.reset_share = faults.cut_share = 0.06
    faults.truncated_share = faults.slow_share = 0.03
    faults.slow_ms = slow_ms
    if isinstance(vendor, Webhook):
        vendor.retry_share = 0.3


def posted(vendor: Vendor) -> list[Any]:
    """The bodies that were sent, in order; needs ``keep_bodies``."""
    return [
        [json.loads(line) for line in each.body.splitlines()]
        for each in vendor.requests()
        if each.body
    ]
