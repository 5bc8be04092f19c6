"""The sample company through tap, mapper and target, as three processes; read from the store."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tap_journeys import settings as tap_settings
from target_journeys.settings import settings_schema
from tests.receiver import receiver

TOP = Path(__file__).parents[1]
SHOP = Path("examples/shop")
CONFIG = "config.sample.json"
BIN = Path(sys.executable).parent


def copied(folder: Path) -> Path:
    """The sample in a folder of its own; no run of it touches the checkout."""
    shutil.copytree(TOP / SHOP, folder / SHOP, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / CONFIG, folder)
    return folder


def run(folder: Path, *, state: Path | None = None) -> tuple[str, str]:
    """What the target says on its standard output and at its end."""
    given = ["--state", str(state)] if state else []
    commands = [
        [str(BIN / "tap-journeys"), "--config", CONFIG, *given],
        [str(BIN / "mapper-journeys"), "--config", CONFIG],
        [str(BIN / "target-journeys"), "--config", CONFIG],
    ]
    messages = b""
    for command in commands:
        done = subprocess.run(command, cwd=folder, input=messages, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        messages = done.stdout
    return messages.decode(), done.stderr.decode().splitlines()[-1]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the sample has run once."""
    folder = copied(tmp_path_factory.mktemp("sample"))
    acknowledged, summary = run(folder)
    (folder / "state.json").write_text(acknowledged.splitlines()[-1])
    assert summary.endswith("rehearsed")
    return folder


@dataclass
class Store:
    """The store of the sample, to be asked."""

    db: sqlite3.Connection

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        return self.db.execute(query, values).fetchall()

    def journeys(self, subject: str, *columns: str) -> list[tuple[object, ...]]:
        return self.rows(
            f"select {', '.join(columns)} from journey_stages where subject = ? "
            "order by scope_id, episode",
            subject,
        )


@pytest.fixture
def store(sample: Path) -> Iterator[Store]:
    with closing(sqlite3.connect(sample / "journeys.db")) as db:
        yield Store(db)


def stages(folder: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "journeys.db")) as db:
        return db.execute("select * from journey_stages order by 1, 2, 3, 4").fetchall()


def exported(name: str) -> list[dict[str, str]]:
    with (TOP / SHOP / "data" / name).open(newline="") as file:
        return list(csv.DictReader(file))


# -- again is the same as once -----------------------------------------------------------------


@pytest.mark.parametrize("has_state", [True, False], ids=["with state", "without state"])
def test_twice_is_once(sample: Path, tmp_path: Path, has_state: bool) -> None:
    folder = copied(tmp_path)
    for name in ("journeys.db", "state.json"):
        shutil.copy(sample / name, folder)
    before = stages(folder)
    _, summary = run(folder, state=folder / "state.json" if has_state else None)
    assert "(0 new), 0 stages changed" in summary
    assert not has_state or "target-journeys: 0 events" in summary
    assert stages(folder) == before


def test_the_order_of_the_files_does_not_matter(sample: Path, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    config = json.loads((folder / CONFIG).read_text())
    config["sources"]["files"]["streams"].reverse()
    (folder / CONFIG).write_text(json.dumps(config))
    run(folder)
    assert stages(folder) == stages(sample)


def test_the_exports_are_what_the_generator_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-B", str(TOP / SHOP / "generate.py"), tmp_path], check=True)
    committed = {path.name: path.read_bytes() for path in (TOP / SHOP / "data").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == committed


# -- whom the sample is about ------------------------------------------------------------------


def test_five_products_five_headlines(store: Store) -> None:
    ((headlines, ids),) = store.rows(
        "select headlines, ids from customers where subject = 'email:ana.solberg@mail.test'"
    )
    assert {each["headline"]: each["scope_id"] for each in json.loads(str(headlines))} == {
        "Considering": "LAP-STRATO-14",
        "Buying": "CARE-MINT-75",
        "Using": "INS-HOME",
        "Returning": "CARE-SONIC",
        "Seeking support": "PRN-INKWELL-200",
    }
    assert len(json.loads(str(headlines))) == 5
    namespaces = [name.partition(":")[0] for name in json.loads(str(ids))]
    assert namespaces == ["crm_contact", "email", "ga4_client", "loyalty_card"]


def test_two_tickets_for_one_product(store: Store) -> None:
    ((regions,),) = store.rows(
        "select regions from journey_stages "
        "where subject = 'email:ana.solberg@mail.test' and scope_id = 'PRN-INKWELL-200'"
    )
    assert len(json.loads(str(regions))["support"]["open"]) == 2


def test_the_team_is_stalled(store: Store) -> None:
    columns = ("scope_id", "stage", "condition", "condition_since", "outcome")
    assert store.journeys("crm_company:C2001", *columns) == [
        ("SW-LEDGER", "evaluating", "stalled", "2026-03-18T09:00:00Z", None)
    ]
    members = store.rows(
        "select count(distinct subject) from events "
        "where account = 'crm_company:C2001' and event_type = 'account_joined'"
    )
    assert members == [(5,)]


def test_no_decision_that_the_crm_says(store: Store) -> None:
    columns = ("scope_id", "outcome", "evidence", "reason", "ended_at")
    assert store.journeys("crm_company:C2002", *columns) == [
        (
            "SW-PAYDAY",
            "no_decision",
            "explicit",
            "No decision: budget frozen until next year",
            "2026-05-11T15:00:00Z",
        )
    ]


def test_no_decision_from_silence(store: Store) -> None:
    columns = ("scope_id", "stage", "outcome", "evidence", "ended_at")
    assert store.journeys("email:jonas.wik@mail.test", *columns) == [
        ("LAP-STRATO-16", "considering", "no_decision", "inferred", "2026-04-13T18:45:00Z")
    ]


def test_a_product_with_three_names_is_one(store: Store) -> None:
    products = store.rows(
        "select distinct product from journey_stages where product like '%edger%'"
    )
    assert products == [("SW-LEDGER",)]
    names = {
        scope["id"]
        for (scopes,) in store.rows("select scopes from events")
        for scope in json.loads(str(scopes))
    }
    assert {"SW-LEDGER", "LedgerFlow", "PRN-INKWELL-200", "Inkwell-200"} <= names
    assert not store.rows("select 1 from journey_stages where scope_id in ('LedgerFlow')")


def test_an_unknown_visitor_gets_a_name(store: Store) -> None:
    ivo = "email:ivo.brandt@mail.test"
    ((product, path),) = store.journeys(ivo, "scope_id", "path")
    assert product == "LAP-AIRLEAF-13"
    assert [(visit[0], visit[1][:10]) for visit in json.loads(str(path))] == [
        ("considering", "2026-05-10"),  # long before the login
        ("buying", "2026-05-14"),
        ("receiving", "2026-05-14"),
        ("using", "2026-05-18"),
    ]
    ((browser,),) = store.rows(
        "select distinct json_extract(properties, '$.linked') from events "
        "where event_type = 'identity_linked' and subject = ?",
        ivo,
    )
    assert str(browser).startswith("ga4_client:")
    assert not store.journeys(str(browser), "*")
    assert store.rows("select count(*) from events where subject = ?", browser) == [(3,)]


ADA = "email:ada.gran@mail.test"
MIA = ["crm_contact:P9001", "ga4_client:GA9001.1767990001", "segment:u-55", "zendesk:Z381"]


def test_a_number_to_four_systems_is_one_person(store: Store) -> None:
    ((ids,),) = store.rows("select ids from customers where subject = ?", MIA[0])
    assert json.loads(str(ids)) == MIA
    ((product, headline, path),) = store.journeys(MIA[0], "scope_id", "headline", "path")
    assert (product, headline) == ("PRN-INKWELL-400", "Seeking support")
    assert [(stage, at[:10]) for stage, at, *_ in json.loads(str(path))] == [
        ("considering", "2026-06-02"),  # the browser; the CRM's lead adds nothing
        ("using", "2026-06-12"),  # the app
    ]
    joined = store.rows("select right, reason, source from links where left = ?", MIA[0])
    assert sorted(joined) == [(other, None, "id_pairs") for other in MIA[1:]]


def test_split_again_they_are_four_here_and_at_the_other_end(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    config = json.loads((folder / CONFIG).read_text())
    later = folder / SHOP / "data/id_pairs_later.csv"
    with receiver() as told:
        config["destinations"]["webhook"] = {"url": told.url, "max_batch": 1000}
        (folder / CONFIG).write_text(json.dumps(config))
        acknowledged, _ = run(folder)
        (folder / "state.json").write_text(acknowledged.splitlines()[-1])
        assert [name for name in MIA if name in told.subjects()] == MIA[:1]
        rows = [
            f"{row['pair_id']},{row['contact']},{row['other']}" for row in exported("id_pairs.csv")
        ]
        lines = [f"{row},different,2026-06-30T09:00:00Z" for row in rows]
        later.write_text("\n".join(["pair_id,contact,other,state,decided_at", *lines, ""]))
        run(folder, state=folder / "state.json")
        assert [name for name in MIA if name in told.subjects()] == MIA
    key = [(row[0], row[1], row[2], row[3]) for row in stages(folder)]
    assert sorted(key) == sorted(tuple(json.loads(key)) for key in told.records)
    ours = [row for row in key if row[0] in MIA]
    assert ours == [(name, "product", "PRN-INKWELL-400", 1) for name in MIA]


def test_who_is_forgotten_is_in_no_byte_of_store_and_logs(sample: Path, tmp_path: Path) -> None:
    """Also not after all of the sample was read again; the laptop's number goes along."""
    folder = copied(tmp_path)
    shutil.copy(sample / "journeys.db", folder)
    with closing(sqlite3.connect(folder / "journeys.db")) as db:
        ((ids,),) = db.execute("select ids from customers where subject = ?", (ADA,))
        ((scopes,),) = db.execute(
            "select scopes from events where subject = ? and event_type = 'scope_linked'", (ADA,)
        )
    values = [name.partition(":")[2] for name in json.loads(ids)]
    serial = json.loads(scopes)[0]["id"]
    assert [len(values), serial[:2]] == [3, "SN"]  # address, browser, loyalty card
    traces = [text.encode() for text in (*values, serial)]
    assert all(text in (folder / "journeys.db").read_bytes() for text in traces)
    said = passed = b""
    for name, *words in (
        ("journeys", "forget", ADA),
        ("tap-journeys",),
        ("mapper-journeys",),
        ("target-journeys",),
    ):
        command = [str(BIN / name), *words, "--config", CONFIG]
        done = subprocess.run(command, cwd=folder, input=passed, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        said += done.stderr
        passed = done.stdout if "-" in name else b""
    said += done.stdout
    assert b"of forgotten people left out" in said
    held = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert [text for text in traces if text in held + said] == []


def test_a_late_row_comes_first(store: Store) -> None:
    ((path, cycle),) = store.rows(
        "select path, cycle from journey_stages "
        "where subject = 'email:tove.nes@mail.test' and scope_id = 'CARE-WASH-500'"
    )
    assert json.loads(str(path))[0][:2] == ["receiving", "2026-03-05T15:30:00Z"]
    assert cycle == 2


def test_the_newer_version_of_a_row_counts(store: Store) -> None:
    found = store.rows(
        "select value, json_extract(properties, '$.quantity') from events "
        "where subject = 'email:egil.strand@mail.test'"
    )
    assert found == [("36.00", "2")]


def test_a_corrected_row_takes_the_place_of_another(store: Store) -> None:
    assert store.journeys("email:karl.vik@mail.test", "*") == []
    assert store.journeys("email:karla.viken@mail.test", "scope_id") == [("CARE-HEADS-4",)]
    kept = store.rows("select event_type from events where subject = 'email:karl.vik@mail.test'")
    assert kept == [("order_placed",)]  # the history keeps it


def test_rows_that_come_twice_count_once(store: Store) -> None:
    lines = Counter((row["order_id"], row["line"]) for row in exported("orders.csv"))
    assert max(lines.values()) == 2
    late = {(row["order_id"], row["line"]) for row in exported("orders_late.csv")}
    placed = store.rows(
        "select count(*) from events where source = 'orders' and event_type = 'order_placed'"
    )
    assert placed == [(len(set(lines) | late),)]


def test_a_team_as_computed_by_hand_from_the_exports(store: Store) -> None:
    """Haugen Logistics and Stockroom: the figures of the store equal those of the files."""

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (TOP / SHOP / "data" / name).read_text().splitlines()]

    (deal,) = (d for d in lines("crm_deals.jsonl") if d["company"]["name"] == "Haugen Logistics")
    titles = {
        contact["properties"]["email"].lower(): contact["properties"]["jobtitle"]
        for contact in lines("crm_contacts.jsonl")
        if contact["company"] == {"id": deal["company"]["id"]}
    }
    said = {"CHAMPION": "champion", "END_USER": "user", "LEGAL_AND_COMPLIANCE": "legal"}
    roles = {
        each["email"]: said.get(each["role"])
        or {"Security Officer": "security"}[titles[each["email"]]]
        for each in deal["contacts"]
    }
    shows = {"view_item_list": 1, "view_item": 2, "begin_checkout": 4}  # rank of the stage
    seen: dict[str, dict[str, int]] = {}  # who → event → rank; lines that come twice count once
    for event in lines("web_events.jsonl"):
        if event["user_id"] in roles and event["items"][0]["item_id"] == "SW-STOCKROOM":
            key = f"{event['event_name']} {event['event_time']}"
            seen.setdefault(event["user_id"], {})[key] = shows[event["event_name"]]
    ranks = {who: max(events.values()) for who, events in seen.items()}
    touches = [len(events) for events in seen.values()]
    required = ["champion", "economic_buyer", "security", "user"]
    missing = [role for role in required if role not in roles.values()]
    assert missing == ["economic_buyer"]
    assert ranks == {
        "berit.haugen@haugen-logistics.example": 4,
        "signe.falk@haugen-logistics.example": 2,
        "tor.lunder@haugen-logistics.example": 1,
    }

    account = f"crm_company:{deal['company']['id']}"
    ((members, *figures),) = store.rows(
        "select members, people, roles_missing, coverage, covered, furthest_stage, least_stage, "
        "stage_spread, top_share, silent from buying_teams where subject = ?",
        account,
    )
    found = {member["subject"]: member for member in json.loads(str(members))}
    names = {1: "aware", 2: "considering", 4: "buying"}
    assert {who: [role["role"] for role in member["roles"]] for who, member in found.items()} == {
        f"email:{who}": [role] for who, role in roles.items()
    }
    assert {who: member["stage"] for who, member in found.items()} == {
        f"email:{who}": names.get(ranks.get(who, 0)) for who in roles
    }
    assert figures == [
        len(roles),
        json.dumps(missing),
        (len(required) - len(missing)) / len(required),
        0,
        names[max(ranks.values())],
        names[min(ranks.values())],
        max(ranks.values()) - min(ranks.values()),
        round(max(touches) / sum(touches), 4),
        json.dumps([f"email:{who}" for who in roles if who not in seen]),
    ]
    ((shown,),) = store.journeys(account, "buying_team")
    assert json.loads(str(shown))["stage_spread"] == figures[6]


def test_what_could_not_be_attributed(store: Store) -> None:
    web = (TOP / SHOP / "data/web_events.jsonl").read_text().splitlines()
    searches = {line for line in web if '"event_name":"search"' in line}
    visits = [row for row in exported("store_visits.csv") if not row["card"]]
    assert store.rows("select stream, reason, count from unresolved order by 1, 2") == [
        ("crm_deals", "CRM stage not in the model", 1),
        ("orders", "no customer", 8),  # four purchases, paid in cash and carried home
        ("orders", "unknown product", 2),
        ("store_visits", "no customer", len(visits)),
        ("tickets", "no customer", 1),
        ("web_events", "no product", len(searches)),
    ]


# -- the two configurations --------------------------------------------------------------------


def test_meltano_has_the_same_settings() -> None:
    plugins = yaml.safe_load((TOP / "meltano.yml").read_text())["plugins"]
    (tap,), (mapper,), (target,) = plugins["extractors"], plugins["mappers"], plugins["loaders"]
    (mapping,) = mapper["mappings"]
    sample = json.loads((TOP / CONFIG).read_text())
    for name in ("store", "rules"):
        del sample[name]  # the project's own folder; empty
    assert mapping["name"] == "standard"
    assert tap["config"] | mapping["config"] | target["config"] == sample


def secrets(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The dotted names of the settings that are secret; lists have no names that reach inside."""
    for part in schema.get("anyOf", []):
        yield from secrets(part, path)
    if schema.get("format") == "password":
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from secrets(inner, f"{path}.{name}".strip("."))


@pytest.mark.parametrize(
    ("kind", "schema"),
    [("extractors", tap_settings.json_schema()), ("loaders", settings_schema())],
    ids=["tap", "target"],
)
def test_meltano_hides_what_is_secret(kind: str, schema: Mapping[str, Any]) -> None:
    (plugin,) = yaml.safe_load((TOP / "meltano.yml").read_text())["plugins"][kind]
    hidden = {each["name"] for each in plugin["settings"] if each.get("sensitive")}
    assert set(secrets(schema)) <= hidden
    # Not the objects around them: `meltano config print` fails on a sensitive object.
    assert not hidden & {"sources", "destinations"}
