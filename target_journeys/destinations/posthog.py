"""PostHog: journeys as a property of the person or group, each stage entered as an event.

Oddities: `$set` takes effect in the order of arrival, whatever the timestamps say; the older
endpoint answers 200 to anything, so what it would drop in silence is refused here; the newer one
says what became of each event; a group is told through an event that must name somebody.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import urlencode

import msgspec
from pydantic import Field, SecretStr, model_validator
from requests import Request, Response

from target_journeys.destinations.answers import UnavailableError
from target_journeys.destinations.base import (
    Delivery,
    Destination,
    Steps,
    Url,
    Verdict,
    decoded,
    id_in,
)
from target_journeys.destinations.nested import FIELDS, entered, traits

INGESTION = {"us": "https://us.i.posthog.com", "eu": "https://eu.i.posthog.com"}
APP = {"us": "https://us.posthog.com", "eu": "https://eu.posthog.com"}  # of erasure
EVENTS = 100  # of one request; the official client's number, as there is no documented one
LONGEST_BODY = 5 * 1024 * 1024  # bytes; the official client's limit below the documented 20 MB
LONGEST_EVENT = 900 * 1024  # bytes; the official client's limit
LONGEST_ID = 200  # characters of a distinct id; a longer one is not kept whole
OURS = uuid.UUID("6b6f7c1e-7f0b-5c57-9d0f-2b8f3f6f5a11")  # where our ids of events are unique
PATHS = {"v0": "/batch/", "v1": "/i/v1/analytics/events"}
WORDS = 200  # characters of a reason that are kept
_encode = msgspec.json.Encoder().encode


class PostHog(Destination):
    """PostHog."""

    grain = "customer"

    api_key: SecretStr = Field(description="The project's key, `phc_…`.")
    region: Literal["us", "eu"] | None = Field(
        None, description="Where the project is hosted. Needed unless there is a `base_url`."
    )
    base_url: Url | None = Field(None, description="Your own server, in place of `region`.")
    endpoint: Literal["v0", "v1"] = Field(
        "v0",
        description="`v1` says what became of each event; not every server has it.",
    )
    user_id: str | None = Field(
        None,
        description="Namespace whose id is the `distinct_id`, and of accounts the group's key. "
        "Left out, or of somebody who has none: our own id, `namespace:id`.",
    )
    group_type: str = Field("company", description="The type of the groups that accounts are.")
    trait: str = Field("journeys", description="Property that holds all journeys of a customer.")
    event: str = Field(
        "journey stage changed", min_length=1, description="Event of a stage that was entered."
    )
    personal_api_key: SecretStr | None = Field(
        None,
        description="Key of a user who may delete persons. With it and `project_id` `journeys "
        "forget` also deletes the person and the events; without it only the journeys are taken "
        "back.",
    )
    project_id: int | None = Field(None, description="The project's number, for the deletion.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.base_url is None and self.region is None:
            raise ValueError("needs region (us or eu) or base_url")
        if (self.personal_api_key is None) != (self.project_id is None):
            raise ValueError("personal_api_key and project_id belong together")
        return self

    @classmethod
    def default_fields(cls) -> Sequence[str]:
        return FIELDS

    def shape(self) -> list[object]:
        return [*super().shape(), self.user_id, self.group_type, self.trait]

    @property
    def batch(self) -> int:
        return EVENTS

    @property
    def max_bytes(self) -> int:
        return LONGEST_BODY

    def problem(self, delivery: Delivery) -> str | None:
        if len(self._id(delivery)) > LONGEST_ID:
            return f"the distinct id is longer than {LONGEST_ID} characters"
        if len(_encode(self._event(delivery))) > LONGEST_EVENT:
            return f"the event is longer than {LONGEST_EVENT:,} bytes"
        return None

    # -- requests --------------------------------------------------------------------------

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        key, at = self.api_key.get_secret_value(), deliveries[0].at
        body: dict[str, Any] = {"batch": [self._event(each) for each in deliveries]}
        headers = {"Content-Type": "application/json", "User-Agent": "target-journeys"}
        if self.endpoint == "v0":
            body |= {"api_key": key, "historical_migration": False, "sent_at": at}
        else:
            body |= {"created_at": at}
            names = "|".join(each.delivery_id for each in deliveries)
            headers |= {
                "Authorization": f"Bearer {key}",
                "PostHog-Sdk-Info": "target-journeys/1",
                "PostHog-Attempt": "1",
                "PostHog-Request-Id": str(uuid.uuid5(OURS, f"{at}|{names}")),
                "PostHog-Request-Timestamp": at,
            }
        host = self.base_url or INGESTION[str(self.region)]
        url = f"{host.rstrip('/')}{PATHS[self.endpoint]}"
        return Request("POST", url, data=_encode(body), headers=headers)

    def steps(self, deliveries: Sequence[Delivery]) -> Steps:
        # An event of somebody who is deleted may be taken in later, and bring the person back.
        gone = [each for each in deliveries if self._erases(each)]
        told = [each for each in deliveries if not self._erases(each)]
        found = {each.delivery_id: Verdict("sent") for each in gone}
        if told:
            verdicts = self.verdicts((yield self.request(told)), told)
            found |= zip((each.delivery_id for each in told), verdicts, strict=True)
        for each in gone:
            yield from self._erase(self._id(each))
        return [found[each.delivery_id] for each in deliveries]

    def _erases(self, each: Delivery) -> bool:
        return each.erased and each.who == "people" and self.personal_api_key is not None

    def check(self, response: Response, now: datetime) -> None:
        if response.status_code == 404 and self.endpoint == "v1":
            # The official client tries again: a proxy may be the one that knows no such path.
            raise UnavailableError("HTTP 404", in_doubt=False)
        super().check(response, now)

    def verdicts(self, response: Response, deliveries: Sequence[Delivery]) -> list[Verdict]:
        answer = decoded(response)
        if self.endpoint == "v0":
            if answer.get("status") in (1, "Ok") and not answer.get("quota_limited"):
                return [Verdict("sent")] * len(deliveries)
            return [Verdict("unknown", "the answer does not say that they were taken")] * len(
                deliveries
            )
        results = answer["results"]
        return [outcome(results.get(event_id(each), {"result": "ok"})) for each in deliveries]

    def _erase(self, distinct_id: str) -> Generator[Request, Response, None]:
        """Delete a person with all events, where there still is one."""
        assert self.personal_api_key is not None
        host = self.base_url or APP[str(self.region)]
        path = f"{host.rstrip('/')}/api/projects/{self.project_id}/persons/"
        login = {"Authorization": f"Bearer {self.personal_api_key.get_secret_value()}"}
        asked = f"{path}?{urlencode({'distinct_id': distinct_id})}"
        for person in decoded((yield Request("GET", asked, headers=login))).get("results", []):
            name = person.get("uuid") or person["id"]
            yield Request("DELETE", f"{path}{name}/?delete_events=true", headers=login)

    # -- events ----------------------------------------------------------------------------

    def _event(self, each: Delivery) -> dict[str, Any]:
        who = self._id(each)
        event: dict[str, Any] = {"uuid": event_id(each), "distinct_id": who, "timestamp": each.at}
        event |= {"options": {}} if self.endpoint == "v1" else {}
        common: dict[str, Any] = {
            "$lib": "target-journeys",
            "$geoip_disable": True,  # else the person is where this program runs
            "record_version": each.version,
        }
        if each.kind == "transition":
            said = common | entered(each.data, correction=each.correction)
            if account := self._group_of(each):
                said["$groups"] = {self.group_type: account}
            if each.who == "accounts":
                event["distinct_id"] = f"{self.group_type}_{who}"
            at = each.data["entered_at"]
            return event | {"event": self.event, "timestamp": at, "properties": said}
        if each.op == "delete":
            told: dict[str, Any] = {self.trait: None}
        else:
            journeys, late = each.data["journeys"], each.correction
            told = traits(
                self.trait, journeys, self.named, room=LONGEST_EVENT // 2, correction=late
            )
        if each.who == "accounts":
            group = {"$group_type": self.group_type, "$group_key": who, "$group_set": told}
            event["distinct_id"] = f"{self.group_type}_{who}"
            return event | {"event": "$groupidentify", "properties": common | group}
        if each.op != "delete" and (email := id_in(each.ids, "email")):
            told |= {"email": email}
        return event | {"event": "$set", "properties": common | {"$set": told}}

    def _id(self, each: Delivery) -> str:
        own = id_in(each.ids, self.user_id) if self.user_id else None
        return own or str(each.data["subject"])

    def _group_of(self, each: Delivery) -> str | None:
        """The group that a transition happened in, by the key that it is identified by."""
        if each.who == "accounts":
            return self._id(each)
        account = each.data.get("account")
        own = id_in([str(account)], self.user_id) if self.user_id else None
        return own or (str(account) if account else None)


def event_id(delivery: Delivery) -> str:
    """The same for the same version of the same row, in every attempt."""
    return str(uuid.uuid5(OURS, delivery.delivery_id))


def outcome(said: Mapping[str, Any]) -> Verdict:
    """What became of one event; what an answer does not mention was taken."""
    details = str(said.get("details") or "")[:WORDS] or None
    match said.get("result"):
        case "ok" | "warning":
            return Verdict("sent", details)
        case "retry":
            return Verdict("waiting", details)
        case "drop":
            return Verdict("refused", details or "dropped")
    return Verdict("unknown", "the answer has no word for this event")
