"""Webhook: JSON lines to an URL, one line per changed journey.

Oddities: any 2xx takes all rows, unless its body is `{"results": [{"id", "status", "error"}]}`,
which gives each row its own outcome; the signature is that of Standard Webhooks.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from pydantic import Field, SecretStr, field_validator
from requests import Request, Response

from target_journeys.destinations.base import Delivery, Destination, Url, Verdict

_encode_lines = msgspec.json.Encoder().encode_lines
TYPES = {
    ("record", "upsert"): "journey.record.upserted",
    ("record", "delete"): "journey.record.deleted",
    ("transition", "append"): "journey.stage.changed",
}


class Webhook(Destination):
    """Webhook."""

    url: Url = Field(description="Where to POST; http or https.")
    token: SecretStr | None = Field(None, description="Sent as `Authorization: Bearer …`.")
    secret: SecretStr | None = Field(
        None, description="`whsec_…`: signs each request as Standard Webhooks does."
    )
    idempotent: bool = Field(
        True,
        description="Whether the receiver drops an `id` that it has seen. If not, rows whose "
        "answer never came are not sent again by themselves.",
    )
    max_batch: int = Field(100, ge=1, le=10_000, description="Rows in one request.")

    @field_validator("secret")
    @classmethod
    def _is_base64(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            try:
                signing_key(secret)
            except ValueError:
                raise ValueError("the secret must be `whsec_` and base64") from None
        return secret

    @property
    def batch(self) -> int:
        return self.max_batch

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        body = _encode_lines(
            {
                "id": each.delivery_id,
                "type": TYPES[each.kind, each.op],
                "timestamp": each.at,
                "record_key": each.key,
                "record_version": each.version,
                "data": self._data(each),
            }
            for each in deliveries
        )
        message_id = deliveries[0].delivery_id
        headers = {
            "Content-Type": "application/x-ndjson",
            "User-Agent": "target-journeys",
            "Idempotency-Key": message_id,
            "webhook-id": message_id,
        }
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        if self.secret is not None:
            at = str(int(datetime.fromisoformat(deliveries[0].at).timestamp()))
            headers["webhook-timestamp"] = at
            headers["webhook-signature"] = self._sign(self.secret, f"{message_id}.{at}.", body)
        return Request("POST", self.url, data=body, headers=headers)

    def _data(self, delivery: Delivery) -> dict[str, Any]:
        if delivery.op == "delete":
            return dict(delivery.data)
        own = self.named(delivery.data) if delivery.kind == "record" else dict(delivery.data)
        return own | {"is_correction": delivery.correction}

    def repeatable(self, kind: str) -> bool:
        return self.idempotent

    @staticmethod
    def _sign(secret: SecretStr, prefix: str, body: bytes) -> str:
        digest = hmac.digest(signing_key(secret), prefix.encode() + body, "sha256")
        return f"v1,{base64.b64encode(digest).decode()}"

    def verdicts(self, response: Response, deliveries: Sequence[Delivery]) -> list[Verdict]:
        try:
            results = msgspec.json.decode(response.content, type=Results).results
        except msgspec.DecodeError:
            if b'"results"' in response.content:  # outcomes, but not whole
                return [Verdict("unknown", "the answer cannot be read")] * len(deliveries)
            return super().verdicts(response, deliveries)
        told = {result.id: result for result in results}
        verdicts = []
        for each in deliveries:
            result = told.get(each.delivery_id)
            if result is None:
                verdicts.append(Verdict("unknown", "the answer does not mention this row"))
            elif result.status == "ok":
                verdicts.append(Verdict("sent"))
            elif result.status == "retry":
                verdicts.append(Verdict("waiting", result.error))
            else:
                verdicts.append(Verdict("refused", result.error))
        return verdicts


def signing_key(secret: SecretStr) -> bytes:
    """The bytes of a Standard Webhooks secret, padded or not. Raises ``ValueError``."""
    text = secret.get_secret_value().removeprefix("whsec_")
    key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not key:
        raise ValueError("an empty secret signs nothing")
    return key


class Result(msgspec.Struct):
    """What a receiver says of one row."""

    id: str
    status: str
    error: str | None = None


class Results(msgspec.Struct):
    """An answer that gives each row its own outcome."""

    results: list[Result]
