"""HubSpot: a custom object per journey, associated to its contact and its company.

Oddities: an answer of 207 tells rows by their `objectWriteTraceId`; one conflict refuses a whole
batch with 409; a 2xx may say nothing of a row; an upsert cannot associate, so that is a request of
its own; an empty text clears a property; the daily limit shows in the body of a 429 only.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pydantic import Field, SecretStr, field_validator
from requests import Request, Response

from target_journeys.destinations.answers import PauseError
from target_journeys.destinations.base import (
    SEEN,
    Delivery,
    Destination,
    Questions,
    Rate,
    Steps,
    Verdict,
    checked_url,
    id_in,
)

KEY = "journey_key"
OWN = {KEY: "string", "record_version": "number", "is_correction": "bool"}  # beside the fields
NUMBERS = frozenset({"episode", "cycle", "event_count"})
UNTOLD = frozenset({"path", "regions", "stages_skipped"})  # lists within lists
FIELDS = tuple(name for name in SEEN if name not in UNTOLD)
INPUT = {"string": "text", "number": "number", "datetime": "date", "bool": "booleancheckbox"}
YES_NO = [{"label": word, "value": value} for word, value in (("Yes", "true"), ("No", "false"))]
Asked = Generator[Request, Response, dict[str, str]]


class HubSpot(Destination):
    """HubSpot: a custom object per journey."""

    rates = (Rate(190, 10.0),)
    width = 20  # an answer may take a second, and the rate is still used whole

    access_token: SecretStr = Field(description="Token of a private app.")
    object_name: str = Field("journey_stage", description="Name of the custom object.")
    base_url: str = Field("https://api.hubapi.com", description="Another address, for tests.")

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("rows")
    @classmethod
    def _are_records(cls, rows: list[str]) -> list[str]:
        if rows != ["record"]:
            raise ValueError("hubspot keeps the latest state only: `record`")
        return rows

    @classmethod
    def known_fields(cls) -> Sequence[str]:
        return FIELDS

    def sees(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*self._shown(), "account")))  # the company comes from it

    def _shown(self) -> Sequence[str]:
        return tuple(self.fields) or FIELDS

    def shape(self) -> list[object]:
        return [*super().shape(), self.object_name]

    @property
    def batch(self) -> int:
        return 100

    # -- requests --------------------------------------------------------------------------

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        inputs = [
            {
                "id": journey_key(each.data),
                "idProperty": KEY,
                "objectWriteTraceId": each.delivery_id,
                "properties": self._properties(each),
            }
            for each in deliveries
            if each.op == "upsert"
        ]
        if not inputs:
            return self._read_keys(deliveries)
        return self._post(f"/crm/v3/objects/p_{self.object_name}/batch/upsert", inputs)

    def steps(self, deliveries: Sequence[Delivery]) -> Steps:
        told = [each for each in deliveries if each.op == "upsert"]
        gone = [each for each in deliveries if each.op == "delete"]
        found: dict[str, Verdict] = {}
        if told:
            written: dict[str, str] = {}
            contacts = yield from self._contacts(told)
            answer = decoded((yield self.request(told)))
            for each, row in zip(told, by_row(answer, told), strict=True):
                found[each.delivery_id] = row[0]
                if row[1]:
                    written[each.delivery_id] = row[1]
            for kind, ids in (("contacts", contacts), ("companies", companies_of(told))):
                yield from self._associate(kind, written, ids)
        if gone:
            yield from self._archive(gone)
            found |= {each.delivery_id: Verdict("sent") for each in gone}
        return [found[each.delivery_id] for each in deliveries]

    def _contacts(self, deliveries: Sequence[Delivery]) -> Asked:
        """Delivery id → the contact's id, where there is one."""
        found: dict[str, str] = {}
        mails: dict[str, list[str]] = {}
        for each in deliveries:
            if contact := id_in(each.ids, "hubspot_contact"):
                found[each.delivery_id] = contact
            elif mail := id_in(each.ids, "email"):
                mails.setdefault(mail.lower(), []).append(each.delivery_id)
        if mails:
            path = "/crm/v3/objects/contacts/batch/read"
            inputs = [{"id": mail} for mail in mails]
            more = {"idProperty": "email", "properties": ["email"], "propertiesWithHistory": []}
            answer = decoded((yield self._post(path, inputs, **more)))
            for row in answer.get("results", []):
                mail = str(row["properties"].get("email")).lower()
                found |= dict.fromkeys(mails.get(mail, []), str(row["id"]))
        return found

    def _associate(
        self, kind: str, written: Mapping[str, str], ids: Mapping[str, str]
    ) -> Generator[Request, Response, None]:
        pairs = [
            {"from": {"id": written[name]}, "to": {"id": other}}
            for name, other in ids.items()
            if name in written
        ]
        if pairs:
            path = f"/crm/v4/associations/p_{self.object_name}/{kind}/batch/associate/default"
            yield self._post(path, pairs)

    def _read_keys(self, deliveries: Sequence[Delivery]) -> Request:
        path = f"/crm/v3/objects/p_{self.object_name}/batch/read"
        inputs = [{"id": journey_key(each.data)} for each in deliveries]
        return self._post(path, inputs, idProperty=KEY, properties=[KEY], propertiesWithHistory=[])

    def _archive(self, gone: Sequence[Delivery]) -> Generator[Request, Response, None]:
        """Archive what is still there; what is not was archived before."""
        answer = decoded((yield self._read_keys(gone)))
        inputs = [{"id": str(row["id"])} for row in answer.get("results", [])]
        if inputs:
            yield self._post(f"/crm/v3/objects/p_{self.object_name}/batch/archive", inputs)

    def _post(self, path: str, inputs: Sequence[Mapping[str, Any]], **more: Any) -> Request:
        return self._ask("POST", path, {**more, "inputs": inputs})

    def _ask(self, method: str, path: str, body: Any = None) -> Request:
        token = self.access_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "target-journeys"}
        return Request(method, f"{self.base_url.rstrip('/')}{path}", json=body, headers=headers)

    def _properties(self, each: Delivery) -> dict[str, str]:
        values = {self.name_of(name): text(each.data[name]) for name in self._shown()}
        own = {KEY: journey_key(each.data), "record_version": text(each.version)}
        return values | own | {"is_correction": text(each.correction)}

    def check(self, response: Response, now: datetime) -> None:
        if response.status_code == 429 and "DAILY" in str(decoded(response).get("policyName")):
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            raise PauseError("the daily limit is reached", midnight - now)
        super().check(response, now)

    # -- what must be there first ------------------------------------------------------------

    def missing(self) -> Questions:
        found = yield from self._lacking()
        if found is None:
            return [
                f"custom object '{self.object_name}' with {len(self._definitions())} properties"
            ]
        return [f"property '{each['name']}' of '{self.object_name}'" for each in found]

    def create(self) -> Questions:
        found = yield from self._lacking()
        if found is None:
            name = self.object_name.replace("_", " ").capitalize()
            yield self._ask(
                "POST",
                "/crm-object-schemas/v3/schemas",
                {
                    "name": self.object_name,
                    "labels": {"singular": name, "plural": f"{name}s"},
                    "primaryDisplayProperty": KEY,
                    "requiredProperties": [KEY],
                    "searchableProperties": [KEY],
                    "associatedObjects": ["CONTACT", "COMPANY"],
                    "properties": self._definitions(),
                },
            )
            return [f"custom object '{self.object_name}'"]
        for each in found:
            group = {"groupName": f"{self.object_name}_information"}
            yield self._ask("POST", f"/crm/v3/properties/p_{self.object_name}", each | group)
        return [f"property '{each['name']}'" for each in found]

    def _lacking(self) -> Generator[Request, Response, list[dict[str, Any]] | None]:
        """The definitions that are not there; none if not even the object is."""
        schemas = decoded((yield self._ask("GET", "/crm-object-schemas/v3/schemas")))["results"]
        if not any(each["name"] == self.object_name for each in schemas):
            return None
        path = f"/crm/v3/properties/p_{self.object_name}"
        known = {each["name"] for each in decoded((yield self._ask("GET", path)))["results"]}
        return [each for each in self._definitions() if each["name"] not in known]

    def _definitions(self) -> list[dict[str, Any]]:
        types = {self.name_of(name): kind_of(name) for name in self._shown()} | OWN
        return [
            {
                "name": name,
                "label": name.replace("_", " ").capitalize(),
                "type": kind,
                "fieldType": INPUT[kind],
                "hasUniqueValue": name == KEY,
            }
            | ({"options": YES_NO} if kind == "bool" else {})
            for name, kind in types.items()
        ]


def by_row(answer: Mapping[str, Any], told: Sequence[Delivery]) -> list[tuple[Verdict, str | None]]:
    """One verdict per row, with the id of the object that was written."""
    written, refused = {}, {}
    for row in answer.get("results", []):
        name = row.get("objectWriteTraceId") or row.get("properties", {}).get(KEY)
        written[name] = str(row["id"])
    for error in answer.get("errors", []):
        for name in error.get("context", {}).get("objectWriteTraceId", []):
            refused[name] = f"{error.get('category')}: {error.get('message')}"[:200]
    found: list[tuple[Verdict, str | None]] = []
    for each in told:
        object_id = written.get(each.delivery_id) or written.get(journey_key(each.data))
        if object_id is not None:
            found.append((Verdict("sent"), object_id))
        elif each.delivery_id in refused:
            found.append((Verdict("refused", refused[each.delivery_id]), None))
        else:
            found.append((Verdict("unknown", "the answer does not mention this row"), None))
    return found


def companies_of(deliveries: Sequence[Delivery]) -> dict[str, str]:
    """Delivery id → the company's id, where the account is known by it."""
    found = {}
    for each in deliveries:
        ids = each.ids if each.who == "accounts" else [str(each.data.get("account"))]
        if company := id_in(ids, "hubspot_company"):
            found[each.delivery_id] = company
    return found


def journey_key(data: Mapping[str, Any]) -> str:
    """What tells one journey from all others, readably."""
    return "|".join(str(data[name]) for name in ("subject", "scope_grain", "scope_id", "episode"))


def kind_of(field: str) -> str:
    """The type of the property that holds a field."""
    if field.endswith(("_at", "_since")) or field == "valid_as_of":
        return "datetime"
    if field in NUMBERS:
        return "number"
    return "bool" if field == "disagreement" else "string"


def text(value: Any) -> str:
    """A value as HubSpot's properties take it; empty clears."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)


def decoded(response: Response) -> Any:
    """The body of an answer; nothing if it has none."""
    return msgspec.json.decode(response.content) if response.content else {}
