"""What identity and buying teams cost: their share of a run, and one new link.

Events of people with three ids each go straight into the ledger, in time order, in batches as the
target makes them. One clock runs around what is done for identity alone: taking links in, joining
and parting, and looking ids up before each fold. With ``--members`` so many people make an
account, and another clock runs around what is done for its team alone: looking up what is known of
its people, finding the members and their stages, writing the team. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import wraps
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from journeys.event import event_id
from journeys.team import Teams
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.stage_model import load
from target_journeys.stores.sqlite import SQLiteStore

START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
PERIOD_S = 2 * 365 * 86_400
BATCH = 200_000  # events; the target's own limit
# What one person does, in order: event type, the id that the source knows, the ids that it links.
# The login is seen again and again, as a web shop does it.
STEPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("product_viewed", "ga4_client", ()),
    ("product_viewed", "ga4_client", ()),
    ("cart_added", "email", ("ga4_client",)),
    ("order_placed", "email", ("ga4_client", "crm_contact")),
    ("order_delivered", "email", ()),
    ("feature_used", "email", ("ga4_client",)),
    ("ticket_opened", "crm_contact", ()),
)
ROLES = ("champion", "economic_buyer", "user", "security")
OPEN_AT_ONCE = 50  # one in so many people is between first and last event


class Clock:
    """Seconds spent in some functions; one inside another counts once."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._inside = False

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside, begin = True, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent_s += time.perf_counter() - begin
                self._inside = False

        return timed


def name(namespace: str, person: int) -> str:
    return f"{namespace}:{person}@mail.test" if namespace == "email" else f"{namespace}:{person}"


def events(people: int, members: int) -> Iterator[bytes]:
    """All events, oldest first; people arrive evenly, those of an account one after the other."""
    gap = max(people // OPEN_AT_ONCE // len(STEPS), 1)
    moments = people + gap * len(STEPS)
    for moment in range(moments):
        at = datetime.fromtimestamp(START + moment * PERIOD_S // moments, UTC)
        for number, (kind, namespace, linked) in enumerate(STEPS):
            person = moment - number * gap
            if 0 <= person < people:
                key = f"{person}-{number}"
                buyer = person // members if members else person
                more: dict[str, Any] = {"scopes": [{"grain": "product", "id": f"P{buyer % 200}"}]}
                if members:
                    more["account"] = f"crm_company:{buyer}"
                    if number == 2:
                        role = ROLES[person % members % len(ROLES)]
                        given = more | {"properties": {"role": role, "opportunity": str(buyer)}}
                        email = name(namespace, person)
                        yield one("contact_role_added", at, f"{key}-role", email, **given)
                yield one(kind, at, key, name(namespace, person), **more)
                for other in linked:
                    link = {"linked": name(other, person)}
                    subject = name(namespace, person)
                    yield one("identity_linked", at, f"{key}-{other}", subject, properties=link)


def one(kind: str, at: datetime, key: str, subject: str, **more: Any) -> bytes:
    event = {
        "event_id": event_id("bench", kind, key, at),
        "event_type": kind,
        "occurred_at": at.isoformat().replace("+00:00", "Z"),
        "source": "bench",
        "source_key": key,
        "subject": subject,
    }
    return json.dumps(event | more).encode()


class Clocks:
    """What a ledger does for identity, and what it does for teams."""

    def __init__(self, ledger: Ledger) -> None:
        self.identity, self.teams = Clock(), Clock()
        identity, teams = self.identity.around, self.teams.around
        histories, folding = ledger.histories, ledger.folding
        histories.identities.learn = identity(histories.identities.learn)  # type: ignore[method-assign]  # timed
        histories.identities.ids_of = identity(histories.identities.ids_of)  # type: ignore[method-assign]  # timed
        folding._regroup = identity(folding._regroup)  # type: ignore[method-assign]  # timed
        histories.people.known = teams(histories.people.known)  # type: ignore[method-assign]  # timed
        folding._keep_teams = teams(folding._keep_teams)  # type: ignore[method-assign]  # timed
        self._methods = {method: getattr(Teams, method) for method in ("team", "every")}
        for method, function in self._methods.items():
            setattr(Teams, method, teams(function))

    def read(self) -> dict[str, float]:
        """The seconds of both since they were read last."""
        found = {"identity_s": self.identity.spent_s, "teams_s": self.teams.spent_s}
        self.identity.spent_s = self.teams.spent_s = 0.0
        return found

    def stop(self) -> None:
        """Leave no clock in what all ledgers share."""
        for method, function in self._methods.items():
            setattr(Teams, method, function)


def opened(path: Path) -> tuple[SQLiteStore, Ledger]:
    store = SQLiteStore(str(path))
    return store, Ledger(store, load("standard"), Outbox({}), datetime(2026, 1, 1, tzinfo=UTC))


def fill(path: Path, people: int, members: int) -> dict[str, float]:
    """A run that folds all of them, and what of it is identity and teams."""
    store, ledger = opened(path)
    clocks = Clocks(ledger)
    made_s, begin = 0.0, time.perf_counter()
    source, count = events(people, members), 0
    while True:
        at = time.perf_counter()
        batch = list(islice(source, BATCH))
        made_s += time.perf_counter() - at
        if not batch:
            break
        for event in batch:
            ledger.add_event(event)
        ledger.commit()
        count += len(batch)
    ledger.close_run()
    run_s = time.perf_counter() - begin - made_s
    (teams,) = store.connection.execute("select count(*) from buying_teams").fetchone()
    store.close()
    clocks.stop()
    return {"events": count, "people": people, "teams": teams, "run_s": run_s} | clocks.read()


def link(path: Path, people: int, rounds: int) -> dict[str, float]:
    """One new link between two people, again and again, each in a batch of its own."""
    store, ledger = opened(path)
    clocks = Clocks(ledger)
    dice = random.Random(7)
    spent: dict[str, list[float]] = {"whole_s": [], "identity_s": [], "teams_s": []}
    at = datetime.fromtimestamp(START + PERIOD_S + 86_400, UTC)
    for number in range(rounds):
        first, second = dice.sample(range(people), 2)
        properties = {"linked": name("crm_contact", second)}
        event = one("identity_linked", at, f"{number}", name("email", first), properties=properties)
        begin = time.perf_counter()
        ledger.add_event(event)
        ledger.commit()
        spent["whole_s"].append(time.perf_counter() - begin)
        for what, seconds in clocks.read().items():
            spent[what].append(seconds)
    store.close()
    clocks.stop()
    return {"people": people} | {what: median(each) for what, each in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs=2, required=True, metavar=("SMALL", "LARGE"))
    parser.add_argument("--links", type=int, default=50, help="new links, one batch each")
    parser.add_argument("--members", type=int, default=0, help="people of one account; 0: none")
    parser.add_argument("--folder", type=Path, required=True, help="where the stores are made")
    options = parser.parse_args()
    runs, links = [], []
    for people in options.people:
        path = options.folder / f"people-{people}-{options.members}.db"
        runs.append(fill(path, people, options.members))
        links.append(link(path, people, options.links))
    sys.stderr.write(json.dumps({"runs": runs, "links": links}) + "\n")


if __name__ == "__main__":
    main()
