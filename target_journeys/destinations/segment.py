"""Segment, RudderStack and Customer.io Pipelines: one HTTP API in three dialects.

Oddities: almost everything is answered with 200, so what would be dropped in silence is refused
here; a trait is replaced as a whole, so all journeys of a customer go out together; RudderStack
wants the traits of `identify` in `context.traits`, and does not drop repeats by itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from pydantic import Field, SecretStr, model_validator
from requests import Request, Response

from target_journeys.destinations.base import (
    Delivery,
    Destination,
    Rate,
    Steps,
    Url,
    Verdict,
    id_in,
)
from target_journeys.destinations.nested import FIELDS, entered, traits

HOSTS = {
    ("segment", "us"): "https://api.segment.io",
    ("segment", "eu"): "https://events.eu1.segmentapis.com",
    ("customerio_pipelines", "us"): "https://cdp.customer.io",
    ("customerio_pipelines", "eu"): "https://cdp-eu.customer.io",
}
LONGEST_MESSAGE = 32_000  # bytes; the documented 32 KB with room for what is added on the way
LONGEST_BODY = 475_000  # bytes; the official client's own limit below the documented 500 KB
PUBLIC_API = {  # of erasure; another one than that which takes messages
    "us": "https://api.segmentapis.com",
    "eu": "https://eu1.api.segmentapis.com",
}
RATE = Rate(1000, 1.0)  # recommended for a workspace
_encode = msgspec.json.Encoder().encode


class Segment(Destination):
    """Segment, RudderStack or Customer.io Pipelines."""

    rates = (RATE,)
    grain = "customer"

    dialect: Literal["segment", "rudderstack", "customerio_pipelines"] = Field(
        "segment", description="Whose API it is."
    )
    write_key: SecretStr = Field(description="The source's write key.")
    region: Literal["us", "eu"] | None = Field(
        None,
        description="Where the workspace is hosted; events sent to the wrong region are lost "
        "without an error. Needed unless there is a `base_url`.",
    )
    base_url: Url | None = Field(
        None, description="RudderStack's data plane, or a proxy; in place of `region`."
    )
    user_id: str | None = Field(
        None,
        description="Namespace whose id is the `userId`, and of accounts the `groupId`; who has "
        "none stays anonymous. Left out: our own id, `namespace:id`.",
    )
    trait: str = Field("journeys", description="Trait that holds all journeys of a customer.")
    event: str = Field("Product Stage Changed", description="Event of a stage that was entered.")
    idempotent: bool = Field(
        False, description="RudderStack: whether your server drops a `messageId` that it has seen."
    )

    public_api_token: SecretStr | None = Field(
        None,
        description="Segment: token of the Public API. With it `journeys forget` also asks Segment "
        "to delete and suppress the person; without it only the journeys are taken back.",
    )
    public_api_url: Url | None = Field(
        None, description="Another address of the Public API; needed beside `base_url`."
    )

    @model_validator(mode="after")
    def _can_erase(self) -> Segment:
        if self.public_api_token is None:
            return self
        if self.dialect != "segment":
            raise ValueError(f"the dialect {self.dialect} has no public_api_token")
        if self.public_api_url is None and self.region is None:
            raise ValueError("public_api_token needs region (us or eu) or public_api_url")
        return self

    @model_validator(mode="after")
    def _has_a_host(self) -> Segment:
        if self.base_url is None and (self.dialect, self.region) not in HOSTS:
            needed = "base_url" if self.dialect == "rudderstack" else "region (us or eu)"
            raise ValueError(f"the dialect {self.dialect} needs {needed}")
        return self

    @property
    def batch(self) -> int:
        return 100

    @property
    def max_bytes(self) -> int:
        return LONGEST_BODY

    @classmethod
    def default_fields(cls) -> Sequence[str]:
        return FIELDS

    def shape(self) -> list[object]:
        return [*super().shape(), self.dialect, self.user_id, self.trait]

    def repeatable(self, kind: str) -> bool:
        return kind == "record" or self.dialect != "rudderstack" or self.idempotent

    def problem(self, delivery: Delivery) -> str | None:
        if len(_encode(self._message(delivery))) > LONGEST_MESSAGE:
            return f"the message is longer than {LONGEST_MESSAGE:,} bytes"
        return None

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        key = self.write_key.get_secret_value()
        body: dict[str, Any] = {
            "batch": [self._message(each) for each in deliveries],
            "sentAt": deliveries[0].at,
        }
        if self.dialect == "segment":
            body["writeKey"] = key
        host = self.base_url or HOSTS[self.dialect, str(self.region)]
        return Request(
            "POST",
            f"{host.rstrip('/')}/v1/batch",
            data=_encode(body),
            headers={"Content-Type": "application/json", "User-Agent": "target-journeys"},
            auth=(key, ""),
        )

    def steps(self, deliveries: Sequence[Delivery]) -> Steps:
        verdicts = self.verdicts((yield self.request(deliveries)), deliveries)
        users = [self._who(each).get("userId") for each in deliveries if each.erased]
        if self.public_api_token is not None and (known := sorted(filter(None, users))):
            yield self._regulation(self.public_api_token, known)
        return verdicts

    def _regulation(self, token: SecretStr, users: Sequence[str]) -> Request:
        """Ask for people to be deleted, and kept out from then on."""
        host = self.public_api_url or PUBLIC_API[str(self.region)]
        return Request(
            "POST",
            f"{host.rstrip('/')}/regulations",
            json={
                "regulationType": "SUPPRESS_WITH_DELETE",
                "subjectType": "USER_ID",
                "subjectIds": list(users),
            },
            headers={
                "Authorization": f"Bearer {token.get_secret_value()}",
                "User-Agent": "target-journeys",
            },
        )

    def verdicts(self, response: Response, deliveries: Sequence[Delivery]) -> list[Verdict]:
        try:
            refused = msgspec.json.decode(response.content).get("success") is False
        except (msgspec.DecodeError, AttributeError):  # RudderStack says OK
            refused = False
        verdict = Verdict("unknown", "success: false") if refused else Verdict("sent")
        return [verdict] * len(deliveries)

    # -- messages --------------------------------------------------------------------------

    def _message(self, each: Delivery) -> dict[str, Any]:
        key = self.write_key.get_secret_value().encode()
        message: dict[str, Any] = {
            # Segment drops repeats across workspaces, so the id is one of this source only.
            "messageId": hmac.digest(key, each.delivery_id.encode(), "sha256").hex(),
            "timestamp": each.at,
            "context": {"library": {"name": "target-journeys"}},
        } | self._who(each)
        if self.dialect == "rudderstack":
            message |= {"channel": "server", "integrations": {"All": True}}
        if each.kind == "transition":
            return message | {
                "type": "track",
                "event": self.event,
                "timestamp": each.data["entered_at"],
                "properties": entered(each.data, correction=each.correction),
            }
        room = LONGEST_MESSAGE - 2_000
        if each.op == "delete":
            own: dict[str, Any] = {self.trait: None}
        else:
            journeys, late = each.data["journeys"], each.correction
            own = traits(self.trait, journeys, self.named, room=room, correction=late)
        if each.who == "accounts":
            return message | {"type": "group", "traits": own}
        if each.op != "delete" and (email := id_in(each.ids, "email")):
            own |= {"email": email}
        if self.dialect == "rudderstack":
            message["context"] |= {"traits": own}
            return message | {"type": "identify"}
        return message | {"type": "identify", "traits": own}

    def _who(self, each: Delivery) -> dict[str, str]:
        subject = str(each.data["subject"])
        own = id_in(each.ids, self.user_id) if self.user_id else subject
        if each.who == "accounts" and each.kind == "record":
            return {"groupId": own or subject, "anonymousId": subject}
        return {"userId": own} if own else {"anonymousId": subject}
