"""What a destination is: settings, and the description of a request. It sends nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from requests import Request, Response

from target_journeys.stores.sqlite_schema import STAGE_COLUMNS

ENGINE_ONLY = frozenset({"next_check_at", "model_hash"})  # a change of these tells nobody anything


class Delivery(NamedTuple):
    """One row of the outbox, ready to be described as a request."""

    delivery_id: str  # the same for the same version of the same row, in every attempt
    kind: str  # "record" or "transition"
    op: str  # "upsert", "delete" or "append"
    key: str
    version: int
    at: str  # UTC moment of the attempt, ISO 8601
    data: Mapping[str, Any]


class Verdict(NamedTuple):
    """What the destination said of one row."""

    status: Literal["sent", "waiting", "refused"]
    answer: str | None = None  # the start of what it answered, kept in the store only


class Destination(BaseModel):
    """Settings that every destination shares; members add theirs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: list[Literal["record", "transition"]] = Field(
        default=["record"],
        description="`record`: the latest state of each journey; `transition`: each stage entered.",
    )
    purpose: str | None = Field(
        default=None,
        description="What a person must have consented to; of others it is told nothing.",
    )
    dry_run: bool = Field(
        default=False,
        description="Write the requests to NAME.dry-run.jsonl instead of sending them.",
    )

    def sees(self) -> Sequence[str]:
        """The fields of a stage record that it is told; a change of them is sent, no other is."""
        return tuple(name for name in STAGE_COLUMNS if name not in ENGINE_ONLY)

    @property
    @abstractmethod
    def batch(self) -> int:
        """How many rows one request may carry."""

    @abstractmethod
    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The request that tells the destination these rows; sent twice, it is harmless."""

    def verdicts(self, response: Response, deliveries: Sequence[Delivery]) -> list[Verdict]:
        """One verdict per row of an answer that is neither a 4xx nor a 5xx."""
        return [Verdict("sent") for _ in deliveries]
