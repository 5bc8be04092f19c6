"""What every vendor of the sandbox shares: request, answer, clock, log, and the order of things."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, wraps
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from tests.sandbox.faults import Fault, Faults
from tests.sandbox.limits import Bucket, Limits


class Clock:
    """What time it is in a vendor's world: the real time until a test sets another."""

    def __init__(self) -> None:
        self._held: datetime | None = None

    def now(self) -> datetime:
        return self._held or datetime.now(UTC)

    def set(self, moment: datetime | str) -> None:
        """Hold the clock at an aware moment."""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        assert at.tzinfo is not None, "a moment without a time zone"
        self._held = at.astimezone(UTC)

    def advance(self, seconds: float) -> None:
        """Move a held clock; one that runs is held first."""
        self._held = self.now() + timedelta(seconds=seconds)

    def run(self) -> None:
        """Back to the real time."""
        self._held = None


@dataclass
class Request:
    """One HTTP request, read."""

    method: str
    target: str  # path and query as they were sent
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    path: str = field(init=False)  # still quoted: a vendor unquotes the parts it takes
    query: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        split = urlsplit(self.target)
        self.path = split.path
        self.query = {}
        for key, value in parse_qsl(split.query, keep_blank_values=True):
            self.query.setdefault(key, []).append(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query parameter."""
        return self.query[name][-1] if name in self.query else default

    def flag(self, name: str) -> bool:
        """A switch of the query; Python's clients write True."""
        return (self.get(name) or "").lower() == "true"

    @property
    def base_url(self) -> str:
        """The address that the client used, for absolute links."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"

    @cached_property
    def json(self) -> Any:
        """The body as JSON; an empty body is an empty object. Raises ValueError."""
        return json.loads(self.body) if self.body else {}

    @cached_property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def basic(self) -> tuple[str, str] | None:
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return None
        return user, password


@dataclass
class Answer:
    """One HTTP answer; a body that is not bytes or text is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


class RefusedError(Exception):
    """Ends a request with this answer, from wherever it is raised."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.answer = Answer(status, body, headers or {})


@dataclass(frozen=True)
class Delivery:
    """An answer and what happens to it on its way."""

    answer: Answer
    fault: Fault


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the request log; status 0: the connection was reset before an answer."""

    number: int
    at: float  # monotonic seconds
    method: str
    target: str
    status: int
    body: bytes | None = None  # of the request; kept only if the vendor's `keep_bodies` is set

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


Route = Callable[..., Answer]
RLock = AbstractContextManager[Any]


class Routes:
    """Which function answers which method and path: `/tickets/{id}` gives it an argument `id`."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []

    def __call__(self, method: str, path: str) -> Callable[[Route], Route]:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

        def register(function: Route) -> Route:
            self._routes.append((method, pattern, function))
            return function

        return register

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | list[str]:
        """The function and its arguments, or the methods that this path knows instead."""
        others = []
        for allowed, pattern, function in self._routes:
            if found := pattern.fullmatch(path):
                if allowed == method:
                    return function, found.groupdict()
                others.append(allowed)
        return others


class Vendor:
    """One vendor: answers requests out of its world.

    A vendor says how it answers (`answer`), which buckets a request takes from (`buckets`), and
    in which words it refuses (`too_many`, `failed`, `expired`, `daily_limit`).
    """

    name: str

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.limits = Limits(self.documented_limits())
        self.faults = Faults()
        self.log: list[Logged] = []
        self.keep_bodies = False
        self.url = ""  # set when the server listens
        self.lock = threading.RLock()  # over the world and the log
        self._numbers = 0

    # -- what a vendor says ----------------------------------------------------------------------

    def documented_limits(self) -> list[Bucket]:
        return []

    def buckets(self, request: Request) -> Sequence[str]:
        """The names of the buckets that this request takes from."""
        return ()

    def is_login(self, request: Request) -> bool:
        """Is it a request for a token? It is answered although the daily limit is reached."""
        return False

    def can_expire(self, request: Request) -> bool:
        """Does it carry a token that a client can get anew when it is refused as expired?"""
        return not self.is_login(request)

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def too_many(self, request: Request, bucket: Bucket, wait_s: float) -> Answer:
        raise NotImplementedError

    def failed(self, request: Request, status: int) -> Answer:
        """A 5xx in the words of the vendor's edge."""
        page = f"<html><head><title>{status}</title></head><body>{status}</body></html>"
        return Answer(status, page, {"Content-Type": "text/html"})

    def expired(self, request: Request) -> Answer:
        """The token of this request is expired from now on: the 401."""
        raise NotImplementedError

    def daily_limit(self, request: Request) -> Answer:
        raise NotImplementedError

    def decorate(self, request: Request, answer: Answer) -> None:
        """Add the headers that every answer of this vendor carries."""

    def tap_settings(self) -> dict[str, Any]:
        """What a tap is told, to read from here; nothing if it is no source."""
        return {"base_url": self.url}

    def target_settings(self) -> dict[str, Any]:
        """What a target is told, to write here; nothing if it is no destination."""
        return {}

    # -- the order of things ---------------------------------------------------------------------

    def respond(self, request: Request) -> Delivery:
        """Answer a request: callbacks, latency, limits, faults, and then the vendor itself."""
        with self.lock:
            self._numbers += 1
            number = self._numbers
        for callback in list(self.faults.on_request):
            callback(number, request)
        fault = self.faults.decide(request, with_token=self.can_expire(request))
        if fault.latency_s:
            time.sleep(fault.latency_s)
        answer = Answer(0) if fault.reset else self._answer(request, fault)
        with self.lock:
            body = request.body if self.keep_bodies else None
            self.log.append(
                Logged(
                    number, time.monotonic(), request.method, request.target, answer.status, body
                )
            )
        return Delivery(answer, fault)

    def _answer(self, request: Request, fault: Fault) -> Answer:
        if full := self.limits.take(self.buckets(request)):
            answer = self.too_many(request, *full)
        elif fault.status is not None:
            answer = self.failed(request, fault.status)
            if fault.retry_after_s is not None:
                answer.headers["Retry-After"] = str(fault.retry_after_s)
        elif self.faults.daily_limit_reached and not self.is_login(request):
            answer = self.daily_limit(request)
        else:
            with self.lock:
                answer = self.expired(request) if fault.unauthorized else self.answer(request)
        self.decorate(request, answer)
        return answer

    # -- what a test asks ------------------------------------------------------------------------

    def requests(self, part: str = "") -> Iterator[Logged]:
        """The requests so far whose target contains this text."""
        with self.lock:
            found = [line for line in self.log if part in line.target]
        return iter(found)

    def count(self, status: int) -> int:
        """How many requests were answered with this status."""
        return sum(line.status == status for line in self.requests())

    def forget_requests(self) -> None:
        """Begin log, counts and numbers anew, as before the first request."""
        with self.lock:
            self.log.clear()
            self._numbers = 0
        self.limits.reset()


Method = TypeVar("Method", bound=Callable[..., Any])


def locked(method: Method) -> Method:
    """Holds the object's `lock` during a method: a world changes while threads read it."""

    @wraps(method)
    def within(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return method(self, *args, **kwargs)

    return cast(Method, within)


def new_id() -> str:
    """A correlation id, as answers carry one."""
    return str(uuid.uuid4())


def iso(moment: datetime, *, millis: bool = False) -> str:
    """An aware moment as vendors write it: `2026-01-05T09:00:00Z`, or with `.000Z`."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if millis else "seconds")
    return text.replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """An ISO 8601 text as an aware moment; one without a zone is UTC."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
