"""Settings about people: whom links may join."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from journeys.identity import Rules
from journeys.shared_ids import SharedIds

WholeId = Annotated[str, StringConstraints(pattern=r"^[^\s:]+:.+$")]
Namespace = Annotated[str, StringConstraints(pattern=r"^[^\s:]+$")]
Count = Annotated[int, Field(ge=0)]


class IdentitySettings(BaseModel):
    """Who may be joined with whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_ids: int = Field(
        default=100,
        ge=2,
        description="Ids of one person or account; a link beyond that is refused.",
    )
    max_ids_of_namespace: int = Field(
        default=50, ge=1, description="Of these, ids of one namespace (`email`, `ga4_client` …)."
    )
    namespaces: dict[Namespace, Count] = Field(
        default_factory=dict,
        description="Namespace → its own limit, in place of `max_ids_of_namespace`; "
        "0: ids of it never join anybody.",
    )
    blocked: list[WholeId] = Field(
        default_factory=list,
        description="Ids that join nobody, `namespace:value`; `*` stands for any characters.",
    )
    block_defaults: bool = Field(
        default=True,
        description="Whether place-holders, role mailboxes and test addresses join nobody, too.",
    )

    def rules(self) -> Rules:
        """As the domain needs them."""
        return Rules(
            ids=self.max_ids,
            of_one_kind=self.max_ids_of_namespace,
            of_kind=self.namespaces,
            shared=SharedIds(self.blocked, defaults=self.block_defaults),
        )
