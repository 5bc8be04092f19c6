"""HubSpot: a custom object per journey, associated to its contact and its company.

Oddities: an answer of 207 tells rows by their `objectWriteTraceId`; one conflict refuses a whole
batch with 409; a 2xx may say nothing of a row; an upsert cannot associate, so that is a request of
its own, which fails for single rows too; an empty text clears a property; the daily limit shows in
the body of a 429 only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, SecretStr
from requests import Request, Response

from target_journeys.destinations.answers import PauseError
from target_journeys.destinations.base import (
    Delivery,
    Destination,
    Questions,
    Rate,
    Steps,
    Url,
    Verdict,
    account_in,
    decoded,
    id_in,
    journey_key,
)
from target_journeys.destinations.hubspot_schema import KEY, Schema
from target_journeys.seen import FLAT, flat, kind_of

RATE = Rate(190, 10.0)  # of Professional and Enterprise, which custom objects need
WORDS = 200  # characters of an error that are kept
ERASE = "/crm/v3/objects/contacts/gdpr-delete"
ERASED_BY: Mapping[str, Mapping[str, str]] = {
    "email": {"idProperty": "email"},
    "hubspot_contact": {},
}
Asked = Generator[Request, Response, dict[str, str]]
Found = Generator[Request, Response, dict[str, Verdict]]


class HubSpot(Destination):
    """HubSpot: a custom object per journey."""

    rates = (RATE,)
    width = 20  # an answer may take a second, and the rate is still used whole
    takes = ("record",)

    access_token: SecretStr = Field(description="Token of a private app.")
    object_name: str = Field("journey_stage", description="Name of the custom object.")
    erase_contacts: bool = Field(
        False,
        description="Whether `journeys forget` also deletes the contact for good (GDPR delete), "
        "which keeps the e-mail out of the portal. If not, the journeys are archived.",
    )
    base_url: Url = Field("https://api.hubapi.com", description="Another address, for tests.")

    @classmethod
    def known_fields(cls) -> Sequence[str]:
        return FLAT

    @classmethod
    def default_fields(cls) -> Sequence[str]:
        return FLAT

    def sees(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*super().sees(), "account")))  # the company comes from it

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
            companies = {
                each.delivery_id: company
                for each in told
                if (company := account_in(each, "hubspot_company"))
            }
            for kind, ids in (("contacts", contacts), ("companies", companies)):
                found |= yield from self._associate(kind, written, ids)
        if gone:
            yield from self._archive(gone)
            yield from self._erase([each for each in gone if each.erased])
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

    def _associate(self, kind: str, written: Mapping[str, str], ids: Mapping[str, str]) -> Found:
        """Associate what was written; ends with a verdict for each row that could not be."""
        rows = {written[name]: name for name in ids if name in written}
        if not rows:
            return {}
        pairs = [{"from": {"id": ours}, "to": {"id": ids[name]}} for ours, name in rows.items()]
        path = f"/crm/v4/associations/p_{self.object_name}/{kind}/batch/associate/default"
        answer = decoded((yield self._post(path, pairs)))
        return {rows[ours]: verdict for ours, verdict in unassociated(answer, rows, kind).items()}

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

    def _erase(self, gone: Sequence[Delivery]) -> Generator[Request, Response, None]:
        """Delete the contacts of people who are to be forgotten, where that is wanted."""
        if not self.erase_contacts:
            return
        for name in dict.fromkeys(name for each in gone for name in each.ids):
            namespace, _, value = name.partition(":")
            if (by := ERASED_BY.get(namespace)) is not None:
                yield self._ask("POST", ERASE, {"objectId": value, **by})

    def _post(self, path: str, inputs: Sequence[Mapping[str, Any]], **more: Any) -> Request:
        return self._ask("POST", path, {**more, "inputs": inputs})

    def _ask(self, method: str, path: str, body: Any = None) -> Request:
        token = self.access_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "target-journeys"}
        return Request(method, f"{self.base_url.rstrip('/')}{path}", json=body, headers=headers)

    def _properties(self, each: Delivery) -> dict[str, str]:
        values = {name: text(value) for name, value in self._named(each).items()}
        own = {KEY: journey_key(each.data), "record_version": text(each.version)}
        return values | own | {"is_correction": text(each.correction)}

    def _named(self, each: Delivery) -> dict[str, Any]:
        shown = super().sees()
        return {self.name_of(name): each.data[name] for name in shown if name in each.data}

    def check(self, response: Response, now: datetime) -> None:
        if response.status_code == 429 and "DAILY" in str(decoded(response).get("policyName")):
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            raise PauseError("the daily limit is reached", midnight - now)
        erased_before = response.status_code == 404 and str(response.url).endswith(ERASE)
        if not erased_before:
            super().check(response, now)

    # -- what must be there first ------------------------------------------------------------

    def missing(self) -> Questions:
        return self._schema().missing()

    def create(self) -> Questions:
        return self._schema().create()

    def _schema(self) -> Schema:
        kinds = {self.name_of(name): kind_of(name) for name in super().sees()}
        shown = {name: "string" if kind == "list" else kind for name, kind in kinds.items()}
        return Schema(self.object_name, shown, self._ask)


def by_row(answer: Mapping[str, Any], told: Sequence[Delivery]) -> list[tuple[Verdict, str | None]]:
    """One verdict per row, with the id of the object that was written."""
    written, refused = {}, {}
    for row in answer.get("results", []):
        name = row.get("objectWriteTraceId") or row.get("properties", {}).get(KEY)
        written[name] = str(row["id"])
    for error in answer.get("errors", []):
        for name in error.get("context", {}).get("objectWriteTraceId", []):
            refused[name] = words_of(error)
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


def unassociated(answer: Mapping[str, Any], ours: Iterable[str], kind: str) -> dict[str, Verdict]:
    """A verdict for each of our objects that was not associated."""
    errors = answer.get("errors", [])
    if not errors and not answer.get("numErrors"):
        return {}
    named = {
        str(value): words_of(error)
        for error in errors
        for values in error.get("context", {}).values()
        for value in values
    }
    done = {str(row.get("from", {}).get("id")) for row in answer.get("results", [])}
    found = {}
    for name in ours:
        if name in named:
            found[name] = Verdict("refused", f"not associated to {kind}: {named[name]}")
        elif name not in done:
            found[name] = Verdict("unknown", f"whether it is associated to {kind} is not said")
    return found


def words_of(error: Mapping[str, Any]) -> str:
    """What the vendor says of one row."""
    return f"{error.get('category')}: {error.get('message')}"[:WORDS]


def text(value: Any) -> str:
    """A value as HubSpot's properties take it; empty clears."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(flat(value))
