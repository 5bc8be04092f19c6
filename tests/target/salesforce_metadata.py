"""The Salesforce metadata that ships with the package: written from the code, and read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from target_journeys.destinations.salesforce import (
    CORRECTION,
    KEY,
    METADATA,
    VERSION,
    Salesforce,
)
from target_journeys.destinations.salesforce_links import LOOKUPS
from target_journeys.seen import kind_of

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
OBJECT = "Journey_Stage__c"
TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "Text", "length": 255},
    "list": {"type": "LongTextArea", "length": 32768, "visibleLines": 3},
    "datetime": {"type": "DateTime"},
    "number": {"type": "Number", "precision": 18, "scale": 4},
    "bool": {"type": "Checkbox", "defaultValue": "false"},
}
IN_SANDBOX = {"Text": "string", "LongTextArea": "textarea", "DateTime": "datetime"}
IN_SANDBOX |= {"Number": "double", "Checkbox": "boolean"}
FILES = ("package.xml", f"objects/{OBJECT}.object", "permissionsets/Journey_Stages.permissionset")
RIGHTS = ("allowCreate", "allowDelete", "allowEdit", "allowRead", "modifyAllRecords")


def fields() -> Iterator[dict[str, Any]]:
    """The fields that the destination writes by default."""
    settings = Salesforce.model_validate({"access_token": "t", "instance_url": "https://x.test"})
    key = TYPES["string"] | {"caseSensitive": "true", "externalId": "true", "unique": "true"}
    yield field(KEY, key | {"required": "true"})
    for name in Salesforce.default_fields():
        yield field(settings.name_of(name), TYPES[kind_of(name)])
    yield field(VERSION, TYPES["number"])
    yield field(CORRECTION, TYPES["bool"])
    for kind, (_, name) in LOOKUPS.items():
        lookup = {"type": "Lookup", "referenceTo": kind, "deleteConstraint": "SetNull"}
        yield field(name, lookup | {"relationshipName": "Journey_Stages"})


def field(name: str, said: dict[str, Any]) -> dict[str, Any]:
    label = name.removesuffix("__c").replace("_", " ")
    return {"fullName": name, "label": label, **said}


def written() -> dict[str, str]:
    """File → what it has to say."""
    named = {"type": "AutoNumber", "displayFormat": "JS-{00000000}", "label": "Journey Stage Name"}
    made = {
        "deploymentStatus": "Deployed",
        "fields": list(fields()),
        "label": "Journey Stage",
        "nameField": named,
        "pluralLabel": "Journey Stages",
        "sharingModel": "ReadWrite",
    }
    rights = dict.fromkeys((*RIGHTS, "viewAllRecords"), "true") | {"object": OBJECT}
    permissions = {
        "fieldPermissions": [
            {"editable": "true", "field": f"{OBJECT}.{each['fullName']}", "readable": "true"}
            for each in fields()
            if "required" not in each
        ],
        "label": "Journey Stages",
        "objectPermissions": rights,
    }
    package = {
        "types": [
            {"members": OBJECT, "name": "CustomObject"},
            {"members": "Journey_Stages", "name": "PermissionSet"},
        ],
        "version": "61.0",
    }
    roots = ("Package", "CustomObject", "PermissionSet")
    bodies = (package, made, permissions)
    return {name: text(*each) for name, *each in zip(FILES, roots, bodies, strict=True)}


def text(root: str, body: dict[str, Any]) -> str:
    top = ElementTree.Element(root, xmlns=NAMESPACE)
    fill(top, body)
    ElementTree.indent(top, "    ")
    lines = ElementTree.tostring(top, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{lines}\n'


def fill(parent: ElementTree.Element, body: dict[str, Any]) -> None:
    for name, value in body.items():
        for each in value if isinstance(value, list) else [value]:
            child = ElementTree.SubElement(parent, name)
            if isinstance(each, dict):
                fill(child, each)
            else:
                child.text = str(each)


def deploy(world: Any) -> None:
    """Make the object in a sandbox, from the file that ships."""
    tree = ElementTree.parse(METADATA / FILES[1]).getroot()
    world.add_object(OBJECT)
    for each in tree.findall(f"{{{NAMESPACE}}}fields"):
        said = {child.tag.partition("}")[2]: child.text for child in each}
        name, kind = said["fullName"], str(said["type"])
        words = (
            f"{name}>{said['referenceTo']}" if kind == "Lookup" else f"{name}:{IN_SANDBOX[kind]}"
        )
        made = world.add_field(OBJECT, words, external_id=said.get("externalId") == "true")
        made.length = int(said.get("length") or made.length)
