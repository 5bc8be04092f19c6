"""What a destination is: settings, and the description of requests. It sends nothing.

A member says which rows it takes (``grain``, ``sees``), what a request looks like (``request``, or
``steps`` where one request is not enough), and what an answer means for each row (``verdicts``).
The outbox does the rest: order, pace, repeats, leases, bisection.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from requests import Request, Response

from target_journeys.destinations import answers
from target_journeys.seen import KEY_COLUMNS, SEEN, TEAM_FIELDS


class Rate(NamedTuple):
    """A documented limit: so many requests in so many seconds."""

    requests: int
    per_s: float


class Member(NamedTuple):
    """One person of an account's buying team."""

    ids: tuple[str, ...]  # every known id
    roles: tuple[str, ...] = ()


class Delivery(NamedTuple):
    """One row of the outbox, ready to be described as a request."""

    delivery_id: str  # the same for the same version of the same row, in every attempt
    kind: str  # "record" or "transition"
    op: str  # "upsert", "delete" or "append"
    key: str  # of the row, JSON
    version: int
    at: str  # UTC moment of the attempt, ISO 8601
    data: Mapping[str, Any]  # under our own names; `journeys` if the grain is "customer"
    correction: bool = False  # a stage begins earlier than this destination was told before
    who: str = "people"  # or "accounts"
    ids: tuple[str, ...] = ()  # every known id of the subject
    erased: bool = False  # it is deleted because the person is to be forgotten
    members: tuple[Member, ...] = ()  # of an account's team, for destinations `with_members`


class Verdict(NamedTuple):
    """What the destination said of one row."""

    status: Literal["sent", "accepted", "waiting", "refused", "suppressed", "unknown"]
    answer: str | None = None  # the start of what it answered, kept in the store only
    job: str | None = None  # of "accepted": what to ask later


Steps = Generator[Request, Response, list[Verdict]]  # yields requests, is sent their answers
Questions = Generator[Request, Response, list[str]]  # the same, ends with lines for people


class Destination(BaseModel):
    """Settings that every destination shares; members add theirs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rates: ClassVar[Sequence[Rate]] = ()  # all of them hold for every request
    width: ClassVar[int] = 8  # requests at a time
    grain: ClassVar[Literal["journey", "customer"]] = "journey"  # what one `record` row is
    takes: ClassVar[Sequence[str]] = ("record", "transition")  # what `rows` may say
    with_members: ClassVar[bool] = False  # whether it relates a team's members to its journey
    mend: ClassVar[str | None] = None  # what to do about what is missing, if `create` cannot
    names_row: ClassVar[bool] = False  # whether addresses hold a row's key, so 404 is about the row

    rows: list[Literal["record", "transition"]] = Field(
        default=["record"],
        description="`record`: the latest state of each journey; `transition`: each stage entered; "
        "`both` stands for the two.",
    )
    fields: dict[str, str] = Field(
        default={},
        description="Which fields it is told, and under which names: ours → theirs. Left out: all "
        "that it has use for.",
    )
    prefix: str = Field(default="", description="Put before each name that `fields` does not give.")
    categories: list[str] = Field(
        default=[],
        description="Only journeys in these categories and those below them. Left out: all.",
    )
    max_requests_per_s: float | None = Field(
        default=None, gt=0, description="Your limit, where it is not the documented one."
    )
    max_deletes: int | None = Field(
        default=None, ge=0, description="Hold deletes back when more than so many wait."
    )
    max_delete_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Hold deletes back when they are more than 20 and more than this share of what "
        "it was told.",
    )
    purpose: str | None = Field(
        default=None,
        description="What a person must have consented to; of others it is told nothing.",
    )
    dry_run: bool = Field(
        default=False,
        description="Write the requests to NAME.dry-run.jsonl instead of sending them.",
    )

    @field_validator("rows", mode="before")
    @classmethod
    def _one_word(cls, rows: object) -> object:
        words = {
            "both": ["record", "transition"],
            "record": ["record"],
            "transition": ["transition"],
        }
        return words.get(rows, rows) if isinstance(rows, str) else rows

    @field_validator("rows")
    @classmethod
    def _are_taken(cls, rows: list[str]) -> list[str]:
        if not set(rows) <= set(cls.takes):
            raise ValueError(f"it keeps the latest state only: `{', '.join(cls.takes)}`")
        return rows

    @field_validator("fields")
    @classmethod
    def _are_known(cls, fields: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(fields) - set(cls.known_fields()))
        if unknown:
            known = ", ".join(cls.known_fields())
            raise ValueError(f"there is no field '{unknown[0]}'; known: {known}")
        if len(set(fields.values())) < len(fields):
            raise ValueError("two fields have the same name")
        return fields

    # -- what it is told -------------------------------------------------------------------

    @classmethod
    def known_fields(cls) -> Sequence[str]:
        """The fields of a stage record that it has use for."""
        return (*SEEN, *TEAM_FIELDS)

    @classmethod
    def default_fields(cls) -> Sequence[str]:
        """Those of them that it is told unless `fields` says otherwise."""
        return SEEN

    def sees(self) -> Sequence[str]:
        """The fields of a stage record that it is told; a change of them is sent, no other is."""
        return tuple(self.fields) or self.default_fields()

    def shape(self) -> list[object]:
        """What else decides how a record looks there; a change of it sends every record again."""
        return [type(self).__name__, self.fields, self.prefix]

    def named(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record under the names that the destination knows."""
        return {theirs: record[ours] for ours, theirs in self.called.items() if ours in record}

    @cached_property
    def called(self) -> Mapping[str, str]:
        """What it is told, by our names, and what that is called there."""
        return {name: self.name_of(name) for name in self.sees()}

    @cached_property
    def columns(self) -> Sequence[str]:
        """The fields that a delivery holds: the key, and what it is told."""
        return tuple(dict.fromkeys((*KEY_COLUMNS, *self.sees())))

    def name_of(self, field: str) -> str:
        """What a field is called there."""
        return self.fields.get(field) or f"{self.prefix}{field}"

    def wants(self, category: object) -> bool:
        """Whether it is told of journeys in this category."""
        if not self.categories:
            return True
        return isinstance(category, str) and any(
            category == each or category.startswith(f"{each}/") for each in self.categories
        )

    def problem(self, delivery: Delivery) -> str | None:
        """Why a row would be refused, where the vendor would not say so."""
        return None

    # -- how it is told --------------------------------------------------------------------

    def login(self) -> Request | None:
        """The request that signs in; none where every request carries a key."""
        return None

    def signed_in(self, answer: Response) -> Self:
        """This destination with the session that the answer to ``login`` gave."""
        return self

    @property
    @abstractmethod
    def batch(self) -> int:
        """How many rows one request may carry."""

    @property
    def most(self) -> int:
        """How many rows may go together where many wait."""
        return self.batch

    def taken(self, due: int) -> int:
        """How many of so many rows that are due, ``most`` at most, go together."""
        return self.batch

    @property
    def max_bytes(self) -> int | None:
        """How long the body of one request may be; a longer one is halved before it is sent."""
        return None

    @abstractmethod
    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The request that tells the destination these rows; sent twice, it is harmless."""

    def steps(self, deliveries: Sequence[Delivery]) -> Steps:
        """All requests that tell these rows, one after the other."""
        return self.verdicts((yield self.request(deliveries)), deliveries)

    def verdicts(self, response: Response, deliveries: Sequence[Delivery]) -> list[Verdict]:
        """One verdict per row of an answer that ``check`` let pass."""
        return [Verdict("sent") for _ in deliveries]

    def poll(self, job: str, deliveries: Sequence[Delivery]) -> Steps:
        """Ask what became of rows that were "accepted"; that verdict again means: not yet.

        The rows have the ids that they were accepted with; their data may be newer. An answer of
        404 or any other refusal says that the job is forgotten.
        """
        raise NotImplementedError(f"{type(self).__name__} accepts nothing")

    def check(self, response: Response, now: datetime) -> None:
        """Raise what an answer means for all rows: one of the errors of ``answers``."""
        answers.check(response, now, names_row=self.names_row)

    def repeatable(self, kind: str) -> bool:
        """Whether a row of this kind may be told twice; if not, a time-out leaves it unknown."""
        return True

    # -- what must be there first ------------------------------------------------------------

    def missing(self) -> Questions:
        """Ask for what the destination lacks; ends with one line for each thing."""
        yield from ()
        return []

    def create(self) -> Questions:
        """Create what is missing, and nothing else; ends with one line for each thing."""
        yield from ()
        return []


def id_in(ids: Sequence[str], namespace: str) -> str | None:
    """The first id of a namespace, without it."""
    prefix = f"{namespace}:"
    return next((each.removeprefix(prefix) for each in ids if each.startswith(prefix)), None)


def account_in(delivery: Delivery, namespace: str) -> str | None:
    """The account's id of a namespace: of its own journey, or of the one that a person is of."""
    own = delivery.who == "accounts"
    return id_in(delivery.ids if own else [str(delivery.data.get("account"))], namespace)


def journey_key(data: Mapping[str, Any]) -> str:
    """What tells one journey from all others, readably."""
    return "|".join(str(data[name]) for name in ("subject", "scope_grain", "scope_id", "episode"))


def decoded(response: Response) -> Any:
    """The body of an answer; nothing if it has none. Raises ``msgspec.DecodeError``."""
    return msgspec.json.decode(response.content) if response.content else {}


def checked_url(url: str) -> str:
    """An URL that requests can be sent to. Raises ``ValueError``."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError("the URL must start with http:// or https:// and name a host")
    return url


Url = Annotated[str, AfterValidator(checked_url)]
