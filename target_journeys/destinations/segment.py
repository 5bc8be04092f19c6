"""Segment, RudderStack and Customer.io Pipelines: one HTTP API in three dialects.

Oddities: almost everything is answered with 200, so what would be dropped in silence is refused
here; a trait is replaced as a whole, so all journeys of a customer go out together; RudderStack
wants the traits of `identify` in `context.traits`, and does not drop repeats by itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator
from requests import Request, Response

from target_journeys.destinations.base import (
    Delivery,
    Destination,
    Rate,
    Verdict,
    checked_url,
    id_in,
)

HOSTS = {
    ("segment", "us"): "https://api.segment.io",
    ("segment", "eu"): "https://events.eu1.segmentapis.com",
    ("customerio_pipelines", "us"): "https://cdp.customer.io",
    ("customerio_pipelines", "eu"): "https://cdp-eu.customer.io",
}
LONGEST_MESSAGE = 32_000  # bytes; the documented 32 KB with room for what is added on the way
LONGEST_BODY = 475_000  # bytes; the official client's own limit below the documented 500 KB
FIELDS = (
    "product",
    "category",
    "episode",
    "stage",
    "stage_entered_at",
    "previous_stage",
    "headline",
    "condition",
    "condition_since",
    "outcome",
    "reason",
    "ended_at",
    "cycle",
    "account",
    "roadblocks",
    "goal",
    "value",
)
_encode = msgspec.json.Encoder().encode


class Segment(Destination):
    """Segment, RudderStack or Customer.io Pipelines."""

    rates = (Rate(1000, 1.0),)
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
    base_url: str | None = Field(
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

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return None if url is None else checked_url(url)

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

    def sees(self) -> Sequence[str]:
        return tuple(self.fields) or FIELDS

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
                "properties": self._properties(each),
            }
        room = LONGEST_MESSAGE - 2_000
        traits = {self.trait: None} if each.op == "delete" else self._traits(each, room)
        if each.who == "accounts":
            return message | {"type": "group", "traits": traits}
        traits |= {"email": email} if (email := id_in(each.ids, "email")) else {}
        if self.dialect == "rudderstack":
            message["context"] |= {"traits": traits}
            return message | {"type": "identify"}
        return message | {"type": "identify", "traits": traits}

    def _who(self, each: Delivery) -> dict[str, str]:
        subject = str(each.data["subject"])
        own = id_in(each.ids, self.user_id) if self.user_id else subject
        if each.who == "accounts" and each.kind == "record":
            return {"groupId": own or subject, "anonymousId": subject}
        return {"userId": own} if own else {"anonymousId": subject}

    def _properties(self, each: Delivery) -> dict[str, Any]:
        data = each.data
        names = ("category", "episode", "stage", "previous_stage", "entered_at", "cycle", "account")
        return {
            "product_id": data.get("product") or data["scope_id"],
            **{name: data.get(name) for name in names},
            "event_id": data["event_id"],
            "is_correction": each.correction,
        }

    def _traits(self, each: Delivery, room: int) -> dict[str, Any]:
        """All journeys by product, each in its last episode; when there is no room, the open and
        the latest ones."""
        latest: dict[str, Mapping[str, Any]] = {}
        for record in sorted(each.data["journeys"], key=lambda record: record["episode"]):
            latest[scope_key(record)] = record
        rank = sorted(
            latest, key=lambda name: (latest[name].get("outcome") is None, moment_of(latest[name]))
        )
        told: dict[str, Any] = {}
        for name in reversed(rank):
            told[name] = self.named(latest[name])
            room -= len(_encode({name: told[name]}))
            if room < 0:
                del told[name]
                break
        traits: dict[str, Any] = {
            self.trait: dict(sorted(told.items())),
            f"{self.trait}_corrected": each.correction,
        }
        if left_out := len(latest) - len(told):
            traits[f"{self.trait}_left_out"] = left_out
        return traits


def scope_key(record: Mapping[str, Any]) -> str:
    """What a journey is about, as the name of its entry."""
    grain, scope = record["scope_grain"], record["scope_id"]
    return str(scope) if grain == "product" else f"{grain}:{scope}"


def moment_of(record: Mapping[str, Any]) -> str:
    """When something last happened to it."""
    return str(record.get("stage_entered_at") or "")
