"""Customer.io (Track API v2): an object per journey, related to the people whose journey it is.

Oddities: 207 means that all operations but those it names were taken, which the official client
reads as plain success; an attribute may hold 1,000 bytes; an event's id must be a ULID; a workspace
in the US does not answer at the EU's host; no answer says how long to wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

import msgspec
from pydantic import Field, SecretStr, model_validator
from requests import Request, Response

from target_journeys.destinations.base import (
    Delivery,
    Destination,
    Member,
    Questions,
    Rate,
    Steps,
    Url,
    Verdict,
    decoded,
    id_in,
    journey_key,
)
from target_journeys.destinations.nested import entered
from target_journeys.seen import FLAT, kind_of

HOSTS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
RATE = Rate(100, 1.0)  # the lower of two documented numbers; the other is 3,000 in three seconds
ROWS = 100  # of one request
LONGEST_BODY = 500_000  # bytes; the documented limit of a batch
LONGEST_OPERATION = 32_000  # bytes; the documented 32 KB
LONGEST_VALUE = 1_000  # bytes of an attribute
LONGEST_ID = 150  # bytes of an id
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of a ULID: 48 bits of time, 80 of anything
WORDS = 200  # characters of a reason that are kept
NOBODY = "customer.io knows people by an id or an e-mail, and neither is known"
_encode = msgspec.json.Encoder().encode


class CustomerIO(Destination):
    """Customer.io: an object per journey."""

    rates = (RATE,)
    with_members = True
    mend = "correct `region`"

    site_id: str = Field(description="Site ID of the Track API.")
    api_key: SecretStr = Field(description="Key of the Track API.")
    region: Literal["us", "eu"] | None = Field(
        None, description="Where the workspace is hosted. Needed unless there is a `base_url`."
    )
    base_url: Url | None = Field(None, description="Another address, for tests; not `region`.")
    object_type_id: str = Field(
        pattern=r"^\d+$",
        description="Number of the object type for journeys, which you create in the workspace.",
    )
    user_id: str | None = Field(
        None,
        description="Namespace whose id is a person's `id`. Left out, or of a person who has none: "
        "the e-mail.",
    )
    event: str = Field(
        "product_stage_changed",
        min_length=1,
        max_length=100,
        description="Event of a stage that was entered.",
    )
    erase_person: bool = Field(
        True,
        description="Whether `journeys forget` also deletes the person and keeps the person out "
        "(suppress). If not, the journeys are deleted.",
    )

    @model_validator(mode="after")
    def _has_a_host(self) -> Self:
        if self.base_url is None and self.region is None:
            raise ValueError("needs region (us or eu) or base_url")
        return self

    @classmethod
    def known_fields(cls) -> Sequence[str]:
        return FLAT

    @classmethod
    def default_fields(cls) -> Sequence[str]:
        return FLAT

    def shape(self) -> list[object]:
        return [*super().shape(), self.object_type_id, self.user_id, self.purpose]

    @property
    def batch(self) -> int:
        return ROWS

    @property
    def max_bytes(self) -> int:
        return LONGEST_BODY

    def problem(self, delivery: Delivery) -> str | None:
        if len(journey_key(delivery.data).encode()) > LONGEST_ID:
            return f"the object's id is longer than {LONGEST_ID} bytes"
        for each in self._operations(delivery):
            if len(_encode(each)) > LONGEST_OPERATION:
                return f"the operation is longer than {LONGEST_OPERATION:,} bytes"
            for name, value in each.get("attributes", {}).items():
                if len(_encode(value)) > LONGEST_VALUE:
                    return f"the attribute '{name}' is longer than {LONGEST_VALUE:,} bytes"
        return None

    # -- requests --------------------------------------------------------------------------

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        host = self.base_url or HOSTS[str(self.region)]
        operations = [each for one in deliveries for each in self._operations(one)]
        return Request(
            "POST",
            f"{host.rstrip('/')}/api/v2/batch",
            data=_encode({"batch": operations}),
            headers={"Content-Type": "application/json", "User-Agent": "target-journeys"},
            auth=(self.site_id, self.api_key.get_secret_value()),
        )

    def steps(self, deliveries: Sequence[Delivery]) -> Steps:
        owners = [each for each in deliveries for _ in self._operations(each)]
        found = {each.delivery_id: Verdict("suppressed", NOBODY) for each in deliveries}
        if owners:
            errors = refused((yield self.request(deliveries)))
            for place, each in enumerate(owners):
                verdict = errors.get(place, Verdict("sent"))
                if found[each.delivery_id].status != "refused":  # by an operation before
                    found[each.delivery_id] = verdict
        return [found[each.delivery_id] for each in deliveries]

    def missing(self) -> Questions:
        """Ask where the workspace is; with wrong keys it does not answer."""
        login = (self.site_id, self.api_key.get_secret_value())
        host = self.base_url or HOSTS[str(self.region)]
        path = "/api/v1/accounts/region"
        said = decoded((yield Request("GET", f"{host.rstrip('/')}{path}", auth=login)))
        found = said.get("data_center") or said.get("region")
        if self.region in (None, found) or found is None:
            return []
        return [f"a workspace in the region '{self.region}': it is in '{found}'"]

    # -- operations ------------------------------------------------------------------------

    def _operations(self, each: Delivery) -> Iterator[dict[str, Any]]:
        """What one row comes to; nothing where there is nobody to tell it of."""
        if each.kind == "transition":
            person = self._person(each.ids) if each.who == "people" else None
            if person is not None:
                yield self._event(each, person)
            return
        ids = {"object_type_id": self.object_type_id, "object_id": journey_key(each.data)}
        about = {"type": "object", "identifiers": ids}
        if each.op == "upsert":
            related = {"cio_relationships": people} if (people := self._people(each)) else {}
            yield about | {"action": "identify", "attributes": self._attributes(each)} | related
            return
        yield about | {"action": "delete"}
        person = self._person(each.ids)
        if each.erased and each.who == "people" and self.erase_person and person is not None:
            yield {"type": "person", "action": "suppress", "identifiers": person}

    def _event(self, each: Delivery, person: Mapping[str, str]) -> dict[str, Any]:
        at = int(datetime.fromisoformat(each.data["entered_at"]).timestamp())
        return {
            "type": "person",
            "action": "event",
            "identifiers": person,
            "name": self.event,
            "id": ulid(at * 1000, each.delivery_id),
            "timestamp": at,
            "attributes": {
                name: value_of(name, value)
                for name, value in entered(each.data, correction=each.correction).items()
            },
        }

    def _attributes(self, each: Delivery) -> dict[str, Any]:
        own = {"name": headline(each.data), "record_version": each.version}
        told = self.named({name: value_of(name, value) for name, value in each.data.items()})
        return own | told | {"is_correction": each.correction}

    def _people(self, each: Delivery) -> list[dict[str, Any]]:
        """Whose journey it is: the person, or the members of the buying team with their roles."""
        members = each.members if each.who == "accounts" else (Member(each.ids),)
        found = []
        for member in members:
            if (person := self._person(member.ids)) is not None:
                role = {"role": ";".join(member.roles)} if member.roles else {}
                more = {"relationship_attributes": role} if role else {}
                found.append({"identifiers": person} | more)
        return found

    def _person(self, ids: Sequence[str]) -> dict[str, str] | None:
        if self.user_id is not None and (own := id_in(ids, self.user_id)):
            return {"id": own}
        return {"email": mail} if (mail := id_in(ids, "email")) else None


def refused(response: Response) -> dict[int, Verdict]:
    """Place of an operation → what is wrong with it. Raises ``ValueError`` for a 207 without."""
    errors = decoded(response).get("errors", [])
    if response.status_code == 207 and not errors:
        raise ValueError("207 without errors")
    return {
        int(each["batch_index"]): Verdict(
            "refused", f"{each.get('field')}: {each.get('reason')}: {each.get('message')}"[:WORDS]
        )
        for each in errors
    }


def headline(data: Mapping[str, Any]) -> str:
    """What people call the object."""
    return f"{data.get('product') or data['scope_id']}: {data.get('headline') or data['subject']}"


def value_of(name: str, value: Any) -> Any:
    """A value as the vendor's segments compare it: moments are Unix seconds."""
    is_moment = kind_of(name) == "datetime" and isinstance(value, str)
    return int(datetime.fromisoformat(value).timestamp()) if is_moment else value


def ulid(at_ms: int, name: str) -> str:
    """A ULID that is the same for the same moment and name."""
    noise = int.from_bytes(hashlib.sha256(name.encode()).digest()[:10])
    number = (at_ms & (2**48 - 1)) << 80 | noise
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
