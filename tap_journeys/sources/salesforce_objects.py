"""The objects of Salesforce that are read, and what is read beside each row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_journeys.sources.salesforce_fields import Field

if TYPE_CHECKING:
    from tap_journeys.sources.salesforce_api import Organisation


@dataclass(frozen=True, slots=True)
class SObject:
    """One object: what is read of the rows it refers to, and where customer and product are."""

    name: str
    beside: tuple[str, ...] = ()  # paths such as `Opportunity.AccountId`
    customers: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    is_feature: bool = False  # left out without a word where the organisation has it not


DEAL = ("Opportunity.AccountId",)
CASE = tuple(f"Case.{name}" for name in ("AccountId", "ContactId", "ContactEmail", "SuppliedEmail"))
OBJECTS = (
    SObject("Lead", customers=("Email", "ConvertedContactId")),
    SObject("Contact", customers=("Email", "AccountId")),
    SObject("Account", customers=("Website",)),
    SObject("Opportunity", customers=("AccountId",)),
    SObject("OpportunityHistory", DEAL, customers=DEAL, products=("OpportunityId",)),
    SObject("OpportunityFieldHistory", DEAL, customers=DEAL, products=("OpportunityId",)),
    SObject("OpportunityLineItem", DEAL, customers=DEAL, products=("Product2Id",)),
    SObject("OpportunityContactRole", DEAL, customers=("ContactId",), products=("OpportunityId",)),
    SObject("OpportunityStage"),
    SObject("Product2", products=("ProductCode", "StockKeepingUnit")),
    SObject("AccountContactRelation", customers=("ContactId", "AccountId"), is_feature=True),
    SObject("Task", customers=("WhoId", "AccountId")),
    SObject("Event", customers=("WhoId", "AccountId")),
    SObject(
        "Case",
        customers=("ContactId", "ContactEmail", "SuppliedEmail", "AccountId"),
        products=("ProductId", "AssetId"),
    ),
    SObject(
        "CaseHistory",
        (*CASE, "Case.ProductId", "Case.AssetId"),
        customers=CASE,
        products=("Case.ProductId", "Case.AssetId"),
    ),
    SObject("Campaign"),
    SObject(
        "CampaignMember",
        ("Campaign.Name", "Campaign.Type"),
        customers=("ContactId", "LeadId"),
        products=("Campaign.Name",),
    ),
    SObject("Order", customers=("AccountId",)),
    SObject(
        "OrderItem", ("Order.AccountId",), customers=("Order.AccountId",), products=("Product2Id",)
    ),
    SObject("Asset", customers=("ContactId", "AccountId"), products=("Product2Id",)),
    SObject("Contract", customers=("AccountId",)),
)


def stream_name(name: str) -> str:
    """`salesforce_opportunity_line_item` of `OpportunityLineItem`."""
    return "salesforce_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def fields_of(organisation: Organisation, sobject: SObject) -> tuple[Field, ...] | None:
    """All fields that are read of an object; None if it is not there for this user."""
    own = organisation.fields(sobject.name)
    if own is None:
        return None
    beside = []
    for path in sobject.beside:
        relation, _, name = path.partition(".")
        other = next((f.object for f in own if f.relation == relation and f.object), None)
        there = organisation.fields(other) if other else None
        beside += [Field(path, field.kind) for field in there or () if field.path == name]
    return (*own, *beside)
