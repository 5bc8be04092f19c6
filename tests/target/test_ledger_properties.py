"""However events are split into runs and ordered, the store comes to hold the same."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeys.accounts import AccountRules
from journeys.identity import Rules
from target_journeys.ledger import Ledger
from target_journeys.outbox import Outbox
from target_journeys.policy import Policy
from target_journeys.stage_model import load
from target_journeys.stores.sqlite import SQLiteStore

MODEL = load(
    {
        "defaults": {"required_roles": ["champion", "legal"]},
        "personas": {
            "boss": {"when": {"title": "CEO"}},
            "fan": {"counts": {"product_viewed": {"gte": 2}}},
        },
    }
)
AS_OF = datetime(2027, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ["email:ana", "email:bo", "ga4_client:1", "email:cy@acme.test", "email:di@acme.test"]
ACCOUNTS = ["crm:acme", "crm:zeta", "erp:9", "email:bo"]  # the last is a person's id, too
KINDS = [
    "product_viewed",
    "cart_added",
    "order_placed",
    "order_delivered",
    "order_refunded",
    "feature_used",
    "ticket_opened",
    "ticket_closed",
    "opportunity_opened",
    "opportunity_lost",
    "opportunity_observed",
    "ticket_observed",
    "email_opened",
    "record_corrected",
    "identity_linked",
    "identity_unlinked",
    "account_joined",
    "account_left",
    "profile_observed",
    "consent_given",
    "consent_withdrawn",
    "scope_linked",
    "contact_role_added",
    "contact_role_removed",
]
TABLES = ("journey_stages", "buying_teams", "customers", "identities", "links", "unresolved")
POLICIES = [
    Policy(),
    Policy(identity=Rules(ids=2)),
    Policy(identity=Rules(of_one_kind=1)),
    Policy(accounts=AccountRules(fields={"company": "crm"}, email_domain=True, most_of_domain=2)),
    Policy(purpose="service"),
]


@st.composite
def event(draw, ids: list[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(KINDS))
    found: dict[str, Any] = {
        "event_id": draw(st.sampled_from(ids)),
        "event_type": kind,
        "occurred_at": (START + timedelta(hours=draw(st.integers(0, 4000)))).isoformat(),
        "source": "tests",
        "source_key": draw(st.sampled_from("abc")),
        "subject": draw(st.sampled_from([*PEOPLE, None])),
        "account": draw(st.sampled_from([*ACCOUNTS, None, None])),
        "recorded_at": draw(st.sampled_from([None, "2026-02-01T00:00:00Z"])),
        "supersedes": draw(st.sampled_from([None, None, None, *ids])),
        "scopes": [
            {"grain": grain, "id": name}
            for grain, name in draw(
                st.lists(
                    st.sampled_from(
                        [
                            ("product", "P"),
                            ("product", "Alias"),
                            ("product", "Q"),
                            ("item", "deal:1"),
                        ]
                    ),
                    max_size=2,
                )
            )
        ],
    }
    if kind.startswith("identity"):
        ids_of_kind = PEOPLE if found["subject"] else ACCOUNTS
        found["properties"] = {"linked": draw(st.sampled_from(ids_of_kind))}
    elif kind.startswith("contact_role"):
        role = st.sampled_from(["CHAMPION", "Economic Buyer", "BLOCKER;END_USER", None])
        found["properties"] = {"role": draw(role), "opportunity": draw(st.sampled_from("12"))}
    elif kind in ("opportunity_observed", "ticket_observed"):
        found["properties"] = {"stage": draw(st.sampled_from(["qualifiedtobuy", "contractsent"]))}
        found["properties"] |= {"status": draw(st.sampled_from(["open", "solved"]))}
    elif kind == "profile_observed":
        found["properties"] = draw(
            st.sampled_from(
                [
                    {"company": "acme"},
                    {"company": None},
                    {"domain": "acme.test"},
                    {"title": "CEO", "role": None},
                    {"title": "Counsel"},
                    {"role": "BUDGET_HOLDER"},
                ]
            )
        )
    return found


@st.composite
def histories(draw) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 14))
    ids = [f"{number:032x}" for number in range(count)]
    events = [draw(event(ids)) for _ in range(count)]
    product = {"product_id": "P", "category": "c", "aliases": ["Alias"]}
    return [*events, *draw(st.sampled_from([[], [product]]))]


def come_to(runs: list[list[dict[str, Any]]], policy: Policy) -> dict[str, list[tuple[Any, ...]]]:
    """What the store holds after these runs, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(str(Path(folder) / "journeys.db"))
        for messages in runs:
            ledger = Ledger(store, MODEL, Outbox({}), AS_OF, policy)
            for message in messages:
                body = json.dumps(message).encode()
                if "product_id" in message:
                    ledger.add_product(body)
                else:
                    ledger.add_event(body)
            ledger.close_run()
        found = {
            table: sorted(map(repr, store.connection.execute(f"select * from {table}")))
            for table in TABLES
        }
        store.close()
    return found


@given(histories(), st.sampled_from(POLICIES), st.randoms(), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_repetition_and_split_into_runs_comes_to_the_same(events, policy, random, data):
    whole = come_to([events], policy)
    shuffled = [*events, *random.choices(events, k=2)]
    random.shuffle(shuffled)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    runs = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    assert come_to(runs, policy) == whole


@given(histories(), st.sampled_from(POLICIES), st.integers(0, 4000), st.randoms())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_linked_and_unlinked_again_is_never_linked(events, policy, hours, random):
    """Two ids that no other event ties: people, teams and records are as without the two events."""
    pair = {PEOPLE[0], PEOPLE[1]}
    events = [
        each for each in events if {each.get("subject"), *linked(each)} != pair
    ]  # of a pair the latest word counts, so an unlink would undo these, too
    both = [
        {
            "event_id": f"{number:032x}",
            "event_type": kind,
            "occurred_at": (START + timedelta(hours=hours + number - 900)).isoformat(),
            "source": "tests",
            "subject": PEOPLE[0],
            "properties": {"linked": PEOPLE[1]},
        }
        for number, kind in ((900, "identity_linked"), (901, "identity_unlinked"))
    ]
    mixed = [*events, *both]
    random.shuffle(mixed)
    with_both, without = come_to([mixed], policy), come_to([events], policy)
    for table in ("journey_stages", "buying_teams", "identities"):
        assert with_both[table] == without[table]


def linked(event: dict[str, Any]) -> list[str]:
    return [event["properties"]["linked"]] if "linked" in event.get("properties", {}) else []
