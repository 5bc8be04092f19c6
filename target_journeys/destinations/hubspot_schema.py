"""HubSpot's custom object for journeys: what it must have, what it lacks, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from requests import Request, Response

from target_journeys.destinations.base import Questions, decoded

KEY = "journey_key"
OWN = {KEY: "string", "record_version": "number", "is_correction": "bool"}  # beside the fields
INPUT = {"string": "text", "number": "number", "datetime": "date", "bool": "booleancheckbox"}
YES_NO = [{"label": word, "value": value} for word, value in (("Yes", "true"), ("No", "false"))]


@dataclass(frozen=True, slots=True)
class Schema:
    """One custom object and its properties."""

    name: str
    kinds: Mapping[str, str]  # property → its type
    ask: Callable[..., Request]  # method, path, body

    def missing(self) -> Questions:
        """What is not there."""
        found = yield from self._lacking()
        if found is None:
            return [f"custom object '{self.name}' with {len(self._definitions())} properties"]
        return [f"property '{each['name']}' of '{self.name}'" for each in found]

    def create(self) -> Questions:
        """Create the object, or what it lacks."""
        found = yield from self._lacking()
        if found is None:
            label = self.name.replace("_", " ").capitalize()
            definition = {
                "name": self.name,
                "labels": {"singular": label, "plural": f"{label}s"},
                "primaryDisplayProperty": KEY,
                "requiredProperties": [KEY],
                "searchableProperties": [KEY],
                "associatedObjects": ["CONTACT", "COMPANY"],
                "properties": self._definitions(),
            }
            yield self.ask("POST", "/crm-object-schemas/v3/schemas", definition)
            return [f"custom object '{self.name}'"]
        for each in found:
            group = {"groupName": f"{self.name}_information"}
            yield self.ask("POST", f"/crm/v3/properties/p_{self.name}", each | group)
        return [f"property '{each['name']}'" for each in found]

    def _lacking(self) -> Generator[Request, Response, list[dict[str, Any]] | None]:
        """The definitions that are not there; none if not even the object is."""
        schemas = decoded((yield self.ask("GET", "/crm-object-schemas/v3/schemas")))["results"]
        if not any(each["name"] == self.name for each in schemas):
            return None
        path = f"/crm/v3/properties/p_{self.name}"
        known = {each["name"] for each in decoded((yield self.ask("GET", path)))["results"]}
        return [each for each in self._definitions() if each["name"] not in known]

    def _definitions(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "label": name.replace("_", " ").capitalize(),
                "type": kind,
                "fieldType": INPUT[kind],
                "hasUniqueValue": name == KEY,
            }
            | ({"options": YES_NO} if kind == "bool" else {})
            for name, kind in (dict(self.kinds) | OWN).items()
        ]
