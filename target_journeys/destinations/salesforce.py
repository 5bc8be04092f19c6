"""Salesforce: a custom object per journey, upserted by its key, related to contact and account.

Oddities: a request that is well-formed is answered 200 even if every row failed, each row by its
place; rows of one account lock each other; many rows go as a Bulk job, which is asked for its
outcome later; a row is deleted by its id, which is to be asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from requests import Request, Response

from target_journeys.destinations import salesforce_bulk
from target_journeys.destinations.base import (
    Delivery,
    Questions,
    Steps,
    Verdict,
    decoded,
    journey_key,
)
from target_journeys.destinations.salesforce_api import (
    WORDS,
    Error,
    Organisation,
    errors_in,
    queries,
    quoted,
    verdict_of,
)
from target_journeys.destinations.salesforce_links import (
    GONE,
    LOOKUPS,
    candidates,
    dead_ends,
    leads_nowhere,
    links,
)
from target_journeys.seen import FLAT, flat

ROWS = 200  # of one collections request; the API's maximum
BULK_ROWS = 10_000  # of one job; what Salesforce processes together
KEY_LENGTH = 255  # of an external id
AT_ONCE = 4  # requests; more of them only wait for each other's locks
KEY, VERSION, CORRECTION = "Journey_Key__c", "Record_Version__c", "Is_Correction__c"
METADATA = Path(__file__).with_name("salesforce_metadata")
ExternalId = Annotated[str, StringConstraints(pattern=r"^(Contact|Lead|Account)\.\w+$")]
NONE: Mapping[str, Collection[str]] = {}
Found = Generator[Request, Response, dict[str, Verdict]]


class Salesforce(Organisation):
    """Salesforce: a custom object per journey."""

    width = AT_ONCE
    takes = ("record",)
    mend = (
        "deploy the metadata that comes with this package: `sf project deploy start "
        f"--metadata-dir {METADATA}`, and give the user the permission set Journey_Stages"
    )

    object_name: str = Field(
        "Journey_Stage__c", pattern=r"^\w+__c$", description="API name of the custom object."
    )
    external_ids: dict[str, ExternalId] = Field(
        {},
        description="Namespace → the external id field that holds its ids, such as "
        "`Contact.Customer_Key__c`; for people and accounts whose Salesforce id is not known.",
    )
    bulk: Literal["auto", "never", "always"] = Field(
        "auto", description="Whether to write by Bulk jobs; `auto`: from `bulk_from` rows."
    )
    bulk_from: int = Field(
        2_000, ge=1, description="Rows that wait from which a Bulk job is worth its overhead."
    )

    # -- what it is told -------------------------------------------------------------------

    @classmethod
    def known_fields(cls) -> Sequence[str]:
        return FLAT

    @classmethod
    def default_fields(cls) -> Sequence[str]:
        return FLAT

    def name_of(self, field: str) -> str:
        return self.fields.get(field) or f"{self.prefix}{field.title()}__c"

    def sees(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*super().sees(), "account")))  # the lookup comes from it

    def shape(self) -> list[object]:
        return [*super().shape(), self.object_name, self.external_ids]

    @property
    def batch(self) -> int:
        return ROWS

    @property
    def most(self) -> int:
        return ROWS if self.bulk == "never" else BULK_ROWS

    def taken(self, due: int) -> int:
        return due if self._is_load(due) else ROWS

    def _is_load(self, rows: int) -> bool:
        """Whether so many rows go as a job."""
        least = {"auto": self.bulk_from, "always": 1}.get(self.bulk, rows + 1)
        return rows >= least

    def problem(self, delivery: Delivery) -> str | None:
        if len(journey_key(delivery.data)) > KEY_LENGTH:
            return f"the key is longer than the {KEY_LENGTH} characters of an external id"
        return None

    # -- requests --------------------------------------------------------------------------

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        told = [each for each in deliveries if each.op == "upsert"]
        return self._upsert(told) if told else self._find(map(key_of, deliveries))

    def steps(self, deliveries: Sequence[Delivery]) -> Steps:
        # Rows of one account stand together: in different requests they would lock each other.
        upserts = (each for each in deliveries if each.op == "upsert")
        told = sorted(upserts, key=lambda each: str(each.data.get("account")))
        gone = [each for each in deliveries if each.op == "delete"]
        found: dict[str, Verdict] = {}
        if told and self._is_load(len(told)):
            found |= yield from self._load(told)
        else:
            found |= yield from self._write(told)
        for rows in pieces(gone):
            found |= yield from self._delete(rows)
        return [found[each.delivery_id] for each in deliveries]

    def _write(self, told: Sequence[Delivery]) -> Found:
        """Upsert rows. One whose contact or account is not there is related by another id, or not
        at all, and then refused for that although it is written."""
        found: dict[str, Verdict] = {}
        dead: dict[str, set[str]] = {}  # delivery id → ids of ours that lead nowhere
        alone: dict[str, Verdict] = {}  # … and what was said of the last of them
        while told:
            again: list[Delivery] = []
            for rows in pieces(told):
                answer = decoded((yield self._upsert(rows, dead)))
                for each, error in zip(rows, errors_in(answer, len(rows)), strict=True):
                    name = each.delivery_id
                    used = links(each, self.external_ids, dead.get(name, ()))
                    if used and leads_nowhere(error.code, error.words):
                        dead.setdefault(name, set()).update(dead_ends(error.fields, used))
                        said = f"written, but not related: {error.code}: {error.words}"
                        alone[name] = Verdict("refused", said[:WORDS])
                        again.append(each)
                        continue
                    found[name] = verdict_of(error)
                    related = links(each, self.external_ids, dead.get(name, ()))
                    if found[name].status == "sent" and len(related) < self._relations(each):
                        found[name] = alone[name]
            told = again
        return found

    def _relations(self, each: Delivery) -> int:
        """How many lookups of a row should be set."""
        return len(list(candidates(each, self.external_ids)))

    def _upsert(
        self, told: Sequence[Delivery], dead: Mapping[str, Collection[str]] = NONE
    ) -> Request:
        kind = {"attributes": {"type": self.object_name}}
        records = [kind | self._row(each, dead.get(each.delivery_id, ())) for each in told]
        path = f"composite/sobjects/{self.object_name}/{KEY}"
        return self._ask("PATCH", path, json={"allOrNone": False, "records": records})

    def _row(self, each: Delivery, dead: Collection[str] = ()) -> dict[str, Any]:
        """One row of the object."""
        row: dict[str, Any] = {KEY: key_of(each)}
        for name in super().sees():
            if name in each.data:
                row[self.name_of(name)] = flat(each.data[name])
        row |= {VERSION: each.version, CORRECTION: each.correction}
        return row | {link.name: link.value for link in links(each, self.external_ids, dead)}

    def _load(self, told: Sequence[Delivery]) -> Found:
        """Upload many rows as a job, which begins when the outbox knows of it."""
        asked = salesforce_bulk.ingest(self.object_name, KEY)
        job = str(decoded((yield self._ask("POST", "jobs/ingest", json=asked)))["id"])
        text = salesforce_bulk.csv_of([self._row(each) for each in told])
        kind = {"Content-Type": "text/csv; charset=UTF-8"}
        yield self._ask("PUT", f"jobs/ingest/{job}/batches", data=text, headers=kind)
        return {each.delivery_id: Verdict("accepted", None, job) for each in told}

    def poll(self, job: str, deliveries: Sequence[Delivery]) -> Steps:
        said = decoded((yield self._ask("GET", f"jobs/ingest/{job}")))
        if said["state"] == "Open":
            yield self._ask("PATCH", f"jobs/ingest/{job}", json={"state": "UploadComplete"})
        if said["state"] in salesforce_bulk.WORKING:
            return [Verdict("accepted", None, job)] * len(deliveries)
        answers = []
        for results in ("successfulResults", "failedResults"):
            kind = {"Accept": "text/csv"}
            answers.append((yield self._ask("GET", f"jobs/ingest/{job}/{results}/", headers=kind)))
        outcomes = salesforce_bulk.outcomes(*(each.content for each in answers), key=KEY)
        left = salesforce_bulk.left_over(said)
        found, again = {}, []
        for each in deliveries:
            outcome = outcomes.get(key_of(each))
            found[each.delivery_id] = left if outcome is None else verdict_of(Error(*outcome))
            if outcome is not None and each.op == "upsert" and leads_nowhere(*outcome):
                again.append(each)
        found |= yield from self._write(again)
        return [found[each.delivery_id] for each in deliveries]

    def _delete(self, gone: Sequence[Delivery]) -> Found:
        """Delete what is still there; what is not was deleted before."""
        rows = {key_of(each): each.delivery_id for each in gone}
        found = dict.fromkeys(rows.values(), Verdict("sent"))
        ids: dict[str, str] = {}  # Salesforce's id → delivery id
        for keys in queries(rows):
            answer = decoded((yield self._find(keys)))
            ids |= {str(row["Id"]): rows[row[KEY]] for row in answer["records"]}
        if ids:
            params = {"ids": ",".join(ids), "allOrNone": "false"}
            answer = decoded((yield self._ask("DELETE", "composite/sobjects", params=params)))
            for name, error in zip(ids.values(), errors_in(answer, len(ids)), strict=True):
                found[name] = Verdict("sent") if error.code in GONE else verdict_of(error)
        return found

    def _find(self, keys: Iterable[str]) -> Request:
        listed = ",".join(map(quoted, keys))
        soql = f"SELECT Id, {KEY} FROM {self.object_name} WHERE {KEY} IN ({listed})"
        return self._ask("GET", "query", params={"q": soql})

    # -- what must be there first ------------------------------------------------------------

    def missing(self) -> Questions:
        needed = {KEY, VERSION, CORRECTION, *(field for _, field in LOOKUPS.values())}
        needed |= {self.name_of(name) for name in super().sees()}
        objects = decoded((yield self._ask("GET", "sobjects")))["sobjects"]
        if not any(each["name"] == self.object_name for each in objects):
            return [f"object '{self.object_name}' with {len(needed)} fields"]
        path = f"sobjects/{self.object_name}/describe"
        fields = {each["name"]: each for each in decoded((yield self._ask("GET", path)))["fields"]}
        lines = [f"field '{each}' of '{self.object_name}'" for each in sorted(needed - set(fields))]
        if KEY in fields and not fields[KEY]["externalId"]:
            lines.append(f"the mark 'External ID' on '{KEY}' of '{self.object_name}'")
        return lines


def key_of(delivery: Delivery) -> str:
    """The external id of a journey."""
    return journey_key(delivery.data)


def pieces(rows: Sequence[Delivery]) -> Iterable[Sequence[Delivery]]:
    """As many rows as one request may have."""
    return (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))
