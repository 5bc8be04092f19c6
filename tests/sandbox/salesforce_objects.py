"""What a small Salesforce organisation has: objects, their fields, and how describe tells of them.

The table here is our own and small; where the vendor's field list lies beside the project, its
objects and fields are there too. Custom objects and fields are added per test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.pipes import SHARED

LISTED = SHARED / "specs/salesforce/standard-objects.fields.json"

# Name, then `:type` (string when not said) or `>Object` for a reference, `^Object` for one that
# takes its row along when it is deleted; `!` for required.
SYSTEM = "Id:id IsDeleted:boolean CreatedDate:datetime CreatedById>User"
STAMPED = "LastModifiedDate:datetime LastModifiedById>User SystemModstamp:datetime"
HISTORY = "Field:picklist OldValue:anyType NewValue:anyType"
OBJECTS = {
    "Account": "001 Name! Type:picklist ParentId>Account Industry:picklist Website:url Phone:phone"
    " AnnualRevenue:currency NumberOfEmployees:int AccountNumber OwnerId>User BillingCity"
    " BillingCountry BillingAddress:address Description:textarea MasterRecordId>Account",
    "Contact": "003 AccountId>Account LastName! FirstName Name Email:email Title Department"
    " Phone:phone LeadSource:picklist MailingAddress:address OwnerId>User MasterRecordId>Contact",
    "Lead": "00Q LastName! FirstName Name Company! Email:email Title Phone:phone Status:picklist"
    " LeadSource:picklist Address:address IsConverted:boolean ConvertedDate:date OwnerId>User"
    " ConvertedContactId>Contact ConvertedAccountId>Account MasterRecordId>Lead"
    " ConvertedOpportunityId>Opportunity",
    "Opportunity": "006 AccountId>Account Name! StageName:picklist! CloseDate:date! Amount:currency"
    " Probability:percent ExpectedRevenue:currency Type:picklist LeadSource:picklist"
    " IsClosed:boolean IsWon:boolean ForecastCategory:picklist CampaignId>Campaign OwnerId>User"
    " HasOpportunityLineItem:boolean",
    "OpportunityLineItem": "00k OpportunityId^Opportunity! Product2Id>Product2 ProductCode Name"
    " PricebookEntryId>PricebookEntry Quantity:double! UnitPrice:currency TotalPrice:currency"
    " ServiceDate:date",
    "Product2": "01t Name! ProductCode Family:picklist StockKeepingUnit IsActive:boolean"
    " Description:textarea",
    "PricebookEntry": "01u Product2Id>Product2! Pricebook2Id UnitPrice:currency! IsActive:boolean",
    "OpportunityContactRole": "00K OpportunityId^Opportunity! ContactId>Contact! Role:picklist"
    " IsPrimary:boolean",
    "AccountContactRole": "02Z AccountId^Account! ContactId>Contact! Role:picklist"
    " IsPrimary:boolean",
    "OpportunityStage": "01J MasterLabel! ApiName IsActive:boolean IsClosed:boolean IsWon:boolean"
    " DefaultProbability:percent SortOrder:int",
    "Campaign": "701 Name! Type:picklist Status:picklist StartDate:date EndDate:date"
    " ParentId>Campaign IsActive:boolean",
    "CampaignMember": "00v CampaignId^Campaign! LeadId>Lead ContactId>Contact Status:picklist"
    " HasResponded:boolean FirstRespondedDate:date Type:picklist",
    "Task": "00T WhoId>Contact,Lead WhatId>Account,Opportunity,Case AccountId>Account Subject"
    " Status:picklist Priority:picklist TaskSubtype:picklist CallType:picklist"
    " CallDurationInSeconds:int ActivityDate:date IsClosed:boolean OwnerId>User"
    " Description:textarea",
    "Event": "00U WhoId>Contact,Lead WhatId>Account,Opportunity,Case AccountId>Account Subject"
    " StartDateTime:datetime EndDateTime:datetime ActivityDate:date DurationInMinutes:int"
    " OwnerId>User",
    "Case": "500 CaseNumber AccountId>Account ContactId>Contact ProductId>Product2 AssetId>Asset"
    " Status:picklist Reason:picklist Type:picklist Origin:picklist Priority:picklist Subject"
    " IsClosed:boolean ClosedDate:datetime SuppliedEmail:email ContactEmail:email OwnerId>User"
    " ParentId>Case",
    "Order": "801 AccountId>Account Status:picklist! EffectiveDate:date! ActivatedDate:datetime"
    " IsReductionOrder:boolean OriginalOrderId>Order OrderNumber TotalAmount:currency",
    "OrderItem": "802 OrderId^Order! Product2Id>Product2 Quantity:double! UnitPrice:currency"
    " TotalPrice:currency OriginalOrderItemId>OrderItem",
    "Asset": "02i Name! AccountId>Account ContactId>Contact Product2Id>Product2 ProductCode"
    " StockKeepingUnit Status:picklist InstallDate:date PurchaseDate:date UsageEndDate:date",
    "Contract": "800 AccountId>Account! Status:picklist StartDate:date EndDate:date"
    " ActivatedDate:datetime ContractTerm:int",
    "User": "005 Username! LastName! Name Email:email IsActive:boolean",
    "Attachment": "00P ParentId>Account,Case! Name! Body:base64 ContentType",
    "CaseStatus": "01P MasterLabel! ApiName IsClosed:boolean SortOrder:int",
}
WITHOUT_STAMPS = {  # CreatedDate is all that history has
    "OpportunityFieldHistory": f"017 OpportunityId^Opportunity! {HISTORY}",
    "CaseHistory": f"02X CaseId^Case! {HISTORY}",
}
APPENDED = {  # written once, by the organisation itself
    "OpportunityHistory": "008 OpportunityId^Opportunity! StageName:picklist Amount:currency"
    " ExpectedRevenue:currency CloseDate:date Probability:percent ForecastCategory:picklist"
    " SystemModstamp:datetime",
}
NOT_IN_BULK = {"CaseStatus", "OpportunityStage", "OpenActivity", "ActivityHistory", "TaskStatus"}
COMPOUND = {"address", "location"}
DATETIMES = {  # of the listed dates, those that have a time; the rest are days
    *("CreatedDate", "LastModifiedDate", "SystemModstamp", "LastViewedDate", "LastReferencedDate"),
    *("ClosedDate", "ActivatedDate", "LastLoginDate", "LastPasswordChangeDate", "SlaStartDate"),
    *("SlaExitDate", "StopStartDate", "MessageDate", "EmailBouncedDate", "LastApprovedDate"),
}
SOAP = {"id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int"}
SOAP |= dict.fromkeys(("currency", "double", "percent"), "xsd:double")
SOAP |= {"date": "xsd:date", "datetime": "xsd:dateTime", "address": "urn:address"}
SOAP |= {"location": "urn:location", "anyType": "xsd:anyType", "base64": "xsd:base64Binary"}
SET_BY_ORG = {"Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate"}
SET_BY_ORG |= {"LastModifiedById", "SystemModstamp", "IsClosed", "IsWon", "CaseNumber"}


@dataclass(slots=True)
class Field:
    """One field of an object."""

    name: str
    type: str = "string"
    required: bool = False
    refers_to: tuple[str, ...] = ()
    cascades: bool = False  # its row goes when the row it refers to goes
    external_id: bool = False
    length: int = 255

    @property
    def relation(self) -> str | None:
        """The name under which a query reaches the other row: AccountId → Account."""
        if not self.refers_to:
            return None
        return self.name[:-1] + "r" if self.name.endswith("__c") else self.name.removesuffix("Id")

    def describe(self) -> dict[str, Any]:
        """The field as describe tells of it, with the keys of a recorded answer."""
        writable = self.name not in SET_BY_ORG and self.type not in COMPOUND
        simple = self.type not in {*COMPOUND, "textarea", "base64"}
        length = {"id": 18, "reference": 18}.get(self.type, self.length)
        text = SOAP.get(self.type, "xsd:string") in {"xsd:string", "tns:ID"}
        return {
            **dict.fromkeys(FALSE_KEYS, False),
            **dict.fromkeys(NULL_KEYS),
            "aggregatable": simple,
            "byteLength": length * 3 if text else 0,
            "cascadeDelete": self.cascades,
            "createable": writable,
            "custom": self.name.endswith("__c"),
            "digits": 8 if self.type == "int" else 0,
            "externalId": self.external_id,
            "filterable": self.type not in {"textarea", "base64"},
            "groupable": simple and SOAP.get(self.type) != "xsd:double",
            "idLookup": self.type == "id" or self.external_id,
            "label": self.name,
            "length": length if text else 0,
            "name": self.name,
            "nameField": self.name == "Name",
            "nillable": not self.required and self.type not in {"id", "boolean"},
            "picklistValues": [],
            "precision": 18 if SOAP.get(self.type) == "xsd:double" else 0,
            "referenceTo": list(self.refers_to),
            "relationshipName": self.relation,
            "scale": 2 if self.type == "currency" else 0,
            "soapType": SOAP.get(self.type, "xsd:string"),
            "sortable": simple,
            "type": self.type,
            "unique": self.external_id,
            "updateable": writable,
        }


FALSE_KEYS = (
    *("autoNumber", "calculated", "caseSensitive", "defaultedOnCreate", "dependentPicklist"),
    *("deprecatedAndHidden", "displayLocationInDecimal", "encrypted", "highScaleNumber"),
    *("htmlFormatted", "namePointing", "permissionable", "polymorphicForeignKey"),
    *("queryByDistance", "restrictedDelete", "restrictedPicklist", "searchPrefilterable"),
    "writeRequiresMasterRead",
)
NULL_KEYS = (
    *("calculatedFormula", "compoundFieldName", "controllerName", "defaultValue"),
    *("defaultValueFormula", "extraTypeInfo", "filteredLookupInfo", "inlineHelpText", "mask"),
    *("maskType", "referenceTargetField", "relationshipOrder"),
)


@dataclass(slots=True)
class SObject:
    """One object and its fields by name."""

    name: str
    prefix: str  # the first three characters of its ids
    fields: dict[str, Field] = field(default_factory=dict)

    def named(self, name: str) -> Field | None:
        """The field of that name; SOQL does not look at case."""
        exact = self.fields.get(name)
        folded = name.casefold()
        return exact or next((f for f in self.fields.values() if f.name.casefold() == folded), None)

    def summary(self, root: str) -> dict[str, Any]:
        """The object as the list of all objects tells of it."""
        deletes = "IsDeleted" in self.fields
        no = ("activateable", "customSetting", "deprecatedAndHidden", "feedEnabled", "hasSubtypes")
        yes = ("createable", "layoutable", "queryable", "retrieveable", "searchable", "updateable")
        return {
            **dict.fromkeys((*no, "isSubtype"), False),
            **dict.fromkeys(yes, True),
            "custom": self.name.endswith("__c"),
            "deletable": deletes,
            "keyPrefix": self.prefix,
            "label": self.name,
            "labelPlural": self.name + "s",
            "mergeable": "MasterRecordId" in self.fields,
            "name": self.name,
            "replicateable": "SystemModstamp" in self.fields,
            "triggerable": True,
            "undeletable": deletes,
            "urls": {
                "describe": f"{root}/sobjects/{self.name}/describe",
                "rowTemplate": f"{root}/sobjects/{self.name}/{{ID}}",
                "sobject": f"{root}/sobjects/{self.name}",
            },
        }


def field_of(text: str) -> Field:
    """The field that a word of the table stands for."""
    required, text = text.endswith("!"), text.removesuffix("!")
    name, sign, target = text.partition("^" if "^" in text else ">")
    if sign:
        return Field(name, "reference", required, tuple(target.split(",")), cascades=sign == "^")
    name, _, kind = text.partition(":")
    length = 32_000 if kind == "textarea" else 255
    return Field(name, kind or "string", required, length=length)


def standard_objects() -> dict[str, SObject]:
    """A fresh copy of the objects that every organisation has."""
    objects = {}
    for table, more in ((OBJECTS, f" {STAMPED}"), (WITHOUT_STAMPS, ""), (APPENDED, "")):
        for name, text in table.items():
            prefix, _, words = text.partition(" ")
            fields = map(field_of, f"{SYSTEM} {words}{more}".split())
            objects[name] = SObject(name, prefix, {one.name: one for one in fields})
    for name, kinds in _listed().items():
        made = objects.setdefault(name, SObject(name, f"0{len(objects):02d}"))
        for key, kind in kinds.items():
            made.fields.setdefault(key, _listed_field(key, kind))
    return objects


@cache
def _listed() -> dict[str, dict[str, str]]:
    """The types of the vendor's fields, where the list is there."""
    if not LISTED.is_file():
        return {}
    objects = json.loads(LISTED.read_text(encoding="utf-8"))
    return {
        name: {field: listed["type"] for field, listed in fields.items()}
        for name, fields in objects.items()
    }


def _listed_field(name: str, kind: str) -> Field:
    if kind == "DateString":
        timed = name in DATETIMES or name.endswith(("DateTime", "Datetime"))
        return Field(name, "datetime" if timed else "date")
    known = {"number": "double", "boolean": "boolean", "Address": "address", "BlobString": "base64"}
    if kind in known:
        return Field(name, known[kind])
    if name == "Id":
        return Field(name, "id")
    return Field(name, "reference" if name.endswith("Id") else "string")
