"""What the target keeps, what it acknowledges, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException
from singer_sdk.singerlib.exceptions import InvalidInputLine
from singer_sdk.testing.config import SuiteConfig
from singer_sdk.testing.runners import TargetTestRunner
from singer_sdk.testing.suites import target_tests
from singer_sdk.testing.target_tests import TargetMultipleStateMessages

from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.target import TargetJourneys
from tests.target.messages import (
    SCHEMA,
    five_products,
    lines,
    product,
    products_schema,
    record,
    state,
    sync,
)

TARGET = str(Path(sys.executable).parent / "target-journeys")


def run(folder: Path, *messages: dict, config: dict | None = None, raw: bytes | None = None):
    """The target as a process."""
    settings = {"store": "sqlite:///journeys.db", "as_of": "2026-03-01T00:00:00Z"}
    (folder / "config.json").write_text(json.dumps(settings | (config or {})))
    return subprocess.run(
        [TARGET, "--config", "config.json"],
        input=lines(*messages).encode() if raw is None else raw,
        capture_output=True,
        cwd=folder,
        check=False,
    )


# -- the SDK's own suite, with what it does not look at ------------------------------------------


def sent_by(path: Path) -> tuple[int, list[object]]:
    """How many different records a file holds, by key, and its STATEs."""
    keys: dict[str, list[str]] = {}
    records, states = set(), []
    for line in path.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message["type"] == "SCHEMA":
            keys[message["stream"]] = message.get("key_properties", [])
        elif message["type"] == "RECORD":
            found = message["record"]
            named = keys.get(message["stream"]) or sorted(found)
            key = json.dumps([found.get(name) for name in named])
            records.add((message["stream"], key))
        elif message["type"] == "STATE":
            states.append(message["value"])
    return len(records), states


@pytest.mark.parametrize("case", target_tests.tests, ids=lambda case: case.name)
def test_the_sdk_suite_passes_and_nothing_it_sends_is_lost(case, kept):
    runner = TargetTestRunner(TargetJourneys, config={"store": f"sqlite:///{kept}"})
    test = case()
    try:
        test.run(SuiteConfig(), None, runner)
    finally:
        if runner.target_input is not None:
            runner.target_input.close()  # the SDK leaves it open
    fails = ("invalid_schema", "record_before_schema", "record_missing_key_property")
    if case.name in (*fails, "cli_prints"):
        return
    count, states = sent_by(Path(str(test.singer_filepath)))
    assert kept.ask("select coalesce(sum(count), 0) from unresolved") == [(count,)]
    assert runner.state_messages[-1:] == states[-1:]


def test_the_case_that_the_sdk_disables_passes(kept):
    runner = TargetTestRunner(
        TargetJourneys,
        config={"store": f"sqlite:///{kept}"},
        input_filepath=TargetMultipleStateMessages().singer_filepath,
    )
    runner.sync_all()
    runner.target_input.close()
    a, b = "test_multiple_state_messages_a", "test_multiple_state_messages_b"
    assert runner.state_messages == [{a: 1, b: 0}, {a: 3, b: 2}, {a: 5, b: 6}]


# -- acknowledging -------------------------------------------------------------------------------


def test_state_is_written_after_what_it_covers_is_durable(kept):
    target = TargetJourneys(config={"store": f"sqlite:///{kept}"})
    acknowledged = []
    target._acknowledge = lambda: acknowledged.append(kept.ask("select count(*) from events"))
    target.listen(io.StringIO(lines(SCHEMA, record(3), state(3), record(4))))
    assert acknowledged == [[(1,)], [(2,)]]


def test_a_run_that_fails_acknowledges_only_what_is_kept(tmp_path):
    done = run(tmp_path, raw=lines(SCHEMA, record(1), state(1), record(2)).encode() + b"{broken\n")
    assert done.returncode == 1
    assert done.stdout == b"1\n"
    store = SQLiteStore(str(tmp_path / "journeys.db"))
    assert store.connection.execute("select count(*) from events").fetchone() == (1,)
    store.close()


def test_state_without_records_is_passed_on(tmp_path):
    assert run(tmp_path, state({"a": 1})).stdout == b'{"a": 1}\n'


@pytest.fixture(scope="module")
def long_input(tmp_path_factory) -> Path:
    """20,000 events of 2,000 customers, with a STATE after every 100 that tells how many."""
    path = tmp_path_factory.mktemp("long") / "input.jsonl"
    with path.open("w") as file:
        file.write(lines(SCHEMA))
        for number in range(1, 20_001):
            subject = f"email:{number % 2_000}@acme.test"
            file.write(lines(record(number % 600, event_id=f"{number:032x}", subject=subject)))
            if number % 100 == 0:
                file.write(lines(state(number)))
    return path


def events_in(folder: Path) -> int:
    store = SQLiteStore(str(folder / "journeys.db"))
    (count,) = store.connection.execute("select count(*) from events").fetchone()
    store.close()
    return count


@pytest.mark.parametrize("after_s", [0.45, 0.6, 0.75, 0.9, 1.1, 1.4])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_point_acknowledges_nothing_that_is_not_committed(
    tmp_path, long_input, signum, after_s
):
    (tmp_path / "config.json").write_text(json.dumps({"store": "sqlite:///journeys.db"}))
    command = [TARGET, "--config", "config.json"]
    with long_input.open("rb") as source:
        process = subprocess.Popen(
            command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
        )
        time.sleep(after_s)
        process.send_signal(signum)
        out, _ = process.communicate(timeout=20)
    # Before our handler is there the signal itself ends the process; 0: it was done already.
    assert process.returncode in (128 + signum, -signum, 0)
    acknowledged = int(out.splitlines()[-1]) if out else 0
    assert events_in(tmp_path) >= acknowledged
    with long_input.open("rb") as source:
        again = subprocess.run(command, stdin=source, capture_output=True, cwd=tmp_path, check=True)
    assert again.stdout.splitlines()[-1] == b"20000"
    assert events_in(tmp_path) == 20_000


def test_a_signal_while_the_input_pauses_ends_the_run_at_once(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"store": "sqlite:///journeys.db"}))
    process = subprocess.Popen(
        [TARGET, "--config", "config.json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(lines(SCHEMA, record(1), state(1)).encode())
    process.stdin.flush()
    assert process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 143


def test_an_input_that_pauses_is_committed_and_acknowledged(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"store": "sqlite:///journeys.db"}))
    process = subprocess.Popen(
        [TARGET, "--config", "config.json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(
        lines(SCHEMA, *map(record, range(9)), state(1), record(9), state(2)).encode()
    )
    process.stdin.flush()
    assert [process.stdout.readline(), process.stdout.readline()] == [b"1\n", b"2\n"]
    process.communicate()


# -- what is kept --------------------------------------------------------------------------------


def test_the_same_input_twice_changes_nothing(kept):
    messages = [
        SCHEMA,
        *(record(n, kind) for n, kind in enumerate(["product_viewed", "cart_added"])),
    ]
    sync(kept, *messages)
    before = kept.stages()
    target = sync(kept, *messages)
    assert kept.stages() == before
    assert (target.ledger.tally.new, target.ledger.tally.stages_changed) == (0, 0)


def test_a_newer_version_of_an_event_takes_the_place_of_the_older_in_any_order(kept, tmp_path):
    old = record(1, recorded_at="2026-01-02T00:00:00Z")
    new = record(1, "cart_added", recorded_at="2026-01-03T00:00:00Z", subject="email:bo@acme.test")
    sync(kept, SCHEMA, old)
    sync(kept, SCHEMA, new)
    other = type(kept)(tmp_path / "other.db")
    sync(other, SCHEMA, new, old)
    assert kept.stages() == other.stages()
    assert [row[0] for row in kept.stages()] == ["email:bo@acme.test"]
    assert kept.ask("select subject from customers") == [("email:bo@acme.test",)]


def test_a_correction_of_another_customers_event_takes_it_away_from_them(kept):
    sync(kept, SCHEMA, record(1))
    sync(kept, SCHEMA, record(2, "record_corrected", supersedes=f"{1:032x}", subject="x:1"))
    assert kept.stages() == []


def test_visits_are_appended_and_what_late_events_change_is_retracted(kept):
    sync(kept, SCHEMA, record(5, "order_placed"))
    sync(kept, SCHEMA, record(1, "product_viewed"))
    rows = kept.ask("select stage, position, retracted_at is null from stage_visits order by rowid")
    assert rows == [("receiving", 0, 0), ("considering", 0, 1), ("receiving", 1, 1)]


def test_time_alone_changes_conditions_at_the_next_run(kept):
    sync(kept, SCHEMA, record(1), as_of="2026-01-02T00:00:00Z")
    assert kept.ask("select condition from journey_stages") == [("on_track",)]
    sync(kept, as_of="2026-02-10T00:00:00Z")
    assert kept.ask("select condition from journey_stages") == [("stalled",)]
    sync(kept, as_of="2026-09-10T00:00:00Z")
    assert kept.ask("select outcome, evidence from journey_stages") == [("no_decision", "inferred")]


def test_a_changed_stage_model_folds_everything_again(kept):
    sync(kept, SCHEMA, record(1, "my_event"))
    assert kept.stages() == []
    sync(kept, stage_model={"event_types": {"my_event": "evaluating"}})
    assert kept.ask("select stage from journey_stages") == [("evaluating",)]


def test_a_product_that_arrives_late_gives_its_name_to_what_was_known_by_an_alias(kept):
    sync(kept, SCHEMA, record(1, scopes=[{"grain": "product", "id": "GTXPro"}]))
    arrived = product(product_id="GTX Pro", category="gpu", aliases=["GTXPro"])
    sync(kept, products_schema(), arrived)
    assert kept.ask("select scope_id, category from journey_stages") == [("GTX Pro", "gpu")]


def test_a_link_that_arrives_late_tells_what_an_item_stands_for(kept):
    deal = {"grain": "item", "id": "deal:1"}
    sync(kept, SCHEMA, record(1, "opportunity_opened", scopes=[deal]))
    assert kept.ask("select reason, count from unresolved") == [("item without product", 1)]
    link = record(2, "scope_linked", subject=None, scopes=[deal, {"grain": "product", "id": "P"}])
    sync(kept, SCHEMA, link)
    assert kept.ask("select scope_id, stage from journey_stages") == [("P", "evaluating")]
    assert kept.ask("select * from unresolved") == []


def test_what_happens_to_an_item_counts_for_its_owner_whoever_that_is_now(kept):
    ticket = {"grain": "item", "id": "ticket:9"}

    def owner(number, subject):
        about = [ticket, {"grain": "product", "id": "P"}]
        return record(number, "scope_linked", subject=subject, scopes=about)

    status = record(1, "ticket_opened", subject=None, scopes=[ticket])
    sync(kept, SCHEMA, status)
    assert kept.ask("select reason, count from unresolved") == [("no customer", 1)]
    sync(kept, SCHEMA, owner(2, "email:ana@acme.test"))
    assert kept.ask("select subject, headline from journey_stages") == [
        ("email:ana@acme.test", "Seeking support")
    ]
    assert kept.ask("select * from unresolved") == []
    sync(kept, SCHEMA, owner(3, "email:bo@acme.test"))
    assert kept.ask("select subject from journey_stages") == [("email:bo@acme.test",)]


def test_links_that_two_rules_make_of_one_record_add_up(kept):
    ticket = {"grain": "item", "id": "ticket:9"}
    whose = record(1, "scope_linked", subject="email:ana@acme.test", scopes=[ticket])
    products = [ticket, {"grain": "product", "id": "P"}]
    about = record(1, "scope_linked", event_id=f"{0:032x}", subject=None, scopes=products)
    opened = record(2, "ticket_opened", subject=None, scopes=[ticket])
    sync(kept, SCHEMA, whose, about, opened)
    assert kept.ask("select subject, product from journey_stages") == [("email:ana@acme.test", "P")]


def test_lines_of_an_order_add_up_and_one_that_is_deleted_counts_no_more(kept):
    deal = {"grain": "item", "id": "deal:1"}

    def line(number, key, *products):
        about = [deal, *({"grain": "product", "id": product} for product in products)]
        return record(number, "scope_linked", subject=None, scopes=about, source_key=key)

    opened = record(9, "opportunity_opened", scopes=[deal])
    sync(kept, SCHEMA, opened, line(1, "line 1", "P"), line(2, "line 2", "Q"))
    assert kept.ask("select product from journey_stages order by 1") == [("P",), ("Q",)]
    sync(kept, SCHEMA, line(3, "line 1"))
    assert kept.ask("select product from journey_stages") == [("Q",)]


def test_linked_ids_become_one_customer_and_split_again(kept):
    def identity(number, kind):
        return record(number, kind, scopes=[], properties={"linked": "ga4_client:7"})

    sync(kept, SCHEMA, record(1, subject="ga4_client:7"), record(2, "cart_added"))
    assert len(kept.stages()) == 2
    sync(kept, SCHEMA, identity(3, "identity_linked"))
    assert kept.ask("select subject, event_count from journey_stages") == [
        ("email:ana@acme.test", 2)
    ]
    assert kept.ask("select ids from customers") == [('["email:ana@acme.test","ga4_client:7"]',)]
    sync(kept, SCHEMA, identity(4, "identity_unlinked"))
    assert kept.ask("select subject, event_count from journey_stages order by 1") == [
        ("email:ana@acme.test", 1),
        ("ga4_client:7", 1),
    ]


def test_an_account_has_the_journey_of_its_members_while_they_belong_to_it(kept):
    def member(number, kind):
        return record(number, kind, scopes=[], account="crm:acme")

    sync(
        kept,
        SCHEMA,
        member(1, "account_joined"),
        record(2, "demo_requested"),
        member(3, "account_left"),
        record(4, "order_placed"),
    )
    rows = kept.ask("select subject, stage, event_count from journey_stages order by 1")
    assert rows == [("crm:acme", "evaluating", 1), ("email:ana@acme.test", "receiving", 2)]


def test_a_person_and_an_account_of_the_same_id_do_not_mix(kept):
    same = "hubspot:7"
    account = record(1, "opportunity_opened", subject=None, account=same)
    sync(kept, SCHEMA, account)
    assert kept.ask("select kind from customers") == [("accounts",)]
    person = record(2, "product_viewed", subject=same)
    sync(kept, SCHEMA, person)
    assert kept.ask("select kind, journeys from customers") == [("people", 1)]
    assert kept.ask("select subject, stage, event_count from journey_stages") == [
        (same, "considering", 1)
    ]
    assert kept.ask("select * from unresolved") == [("web_events", "account id is a person's", 1)]
    sync(kept, SCHEMA, record(3, "record_corrected", subject=None, supersedes=f"{2:032x}"))
    assert kept.ask("select kind, journeys from customers") == [("accounts", 1)]
    assert kept.ask("select reason from unresolved where reason <> 'no customer'") == []


def test_five_products_are_five_headlines(kept):
    sync(kept, SCHEMA, *five_products(), as_of="2026-01-01T20:00:00Z")
    (headlines,) = kept.ask("select headlines from customers")[0]
    assert [each["headline"] for each in json.loads(headlines)] == [
        "Considering",
        "Buying",
        "Using",
        "Returning",
        "Seeking support",
    ]


# -- bad input -----------------------------------------------------------------------------------

SECRET = "ana.secret@acme.test"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b'{"type": "RECORD", "stream": \n', "Line 3 of the input is not a Singer message"),
        (b"\xff\xfe{}\n", "Line 3 of the input is not a Singer message"),
        (b"[1, 2]\n", "Line 3 of the input is not a Singer message"),
        (b'{"no": "type"}\n', "Line 3 of the input is not a Singer message"),
        (b"\x00\x00\n", "Line 3 of the input is not a Singer message"),
        (b'{"type": "RECORD", "stream": "tickets", "record": {}}\n', "came before its SCHEMA"),
        (b'{"type": "SCHEMA", "stream": "tickets"}\n', "the SCHEMA of stream 'tickets' has no"),
        (b'{"type": "BATCH", "stream": "x"}\n', "Switch `batch_config` off"),
    ],
)
def test_a_line_that_cannot_be_read_ends_the_run_and_loses_nothing(tmp_path, broken, message):
    before = lines(SCHEMA, record(1, subject=f"email:{SECRET}")).encode()
    done = run(tmp_path, raw=before + broken + lines(state(1)).encode())
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert done.stdout == b""
    assert SECRET not in done.stderr.decode()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at must have a time zone"),
        ({"occurred_at": "0000-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00Z"}, "between the years"),
        ({"occurred_at": "9999-12-31T00:00:00Z"}, "between the years"),
        ({"occurred_at": None}, "occurred_at"),
        ({"event_id": None}, "event_id"),
        ({"event_id": ""}, "must not be empty"),
        ({"subject": ""}, "subject must not be empty"),
        ({"subject": "a\0b"}, "hold NUL"),
        ({"scopes": [{"grain": "product", "id": ""}]}, "scope's id"),
        ({"scopes": [{"grain": "galaxy", "id": "P"}]}, "scopes"),
        ({"value": 12.5}, "value"),
        ({"visibility": "hidden"}, "visibility"),
        ({"properties": [SECRET]}, "properties"),
    ],
)
def test_a_record_that_is_no_event_is_set_aside_and_the_run_goes_on(tmp_path, fields, message):
    done = run(
        tmp_path, SCHEMA, record(1, **fields), record(2, subject=f"email:{SECRET}"), state(1)
    )
    assert done.returncode == 3
    assert message in done.stderr.decode()
    assert SECRET not in done.stderr.decode()
    assert done.stdout == b"1\n"
    store = SQLiteStore(str(tmp_path / "journeys.db"))
    rows = store.connection.execute("select stream, count from unresolved").fetchall()
    assert rows == [("journey_events", 1)]
    assert store.connection.execute("select count(*) from events").fetchone() == (1,)
    store.close()


def test_a_record_that_is_not_an_object_is_set_aside(tmp_path):
    done = run(tmp_path, SCHEMA, SCHEMA | {"type": "RECORD", "record": [1]}, state(1))
    assert (done.returncode, done.stdout) == (3, b"1\n")


def test_a_line_of_20_mb_is_read(tmp_path):
    done = run(tmp_path, SCHEMA, record(1, properties={"note": "x" * 20_000_000}), state(1))
    assert (done.returncode, done.stdout) == (0, b"1\n")


def test_without_a_mapper_the_target_says_so_and_alerts(tmp_path):
    schema = SCHEMA | {"stream": "tickets", "key_properties": ["id"]}
    done = run(tmp_path, schema, {"type": "RECORD", "stream": "tickets", "record": {"id": 1}})
    assert done.returncode == 3
    assert "Put mapper-journeys between the tap and this target" in done.stderr.decode()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"destinatons": {}}, "Setting 'destinatons' is unknown. Known: sources"),
        ({"destinations": {"webhok": {}}}, "destinations.webhok"),
        ({"destinations": {"webhook": {"url": f"ftp://{SECRET}"}}}, "destinations.webhook.url"),
        (
            {"destinations": {"webhook": {"token": SECRET}}},
            "destinations.webhook.url: Field required",
        ),
        ({"store": "mysql://x"}, "store: the URL is not one of sqlite:///PATH"),
        ({"store": "sqlite:////nowhere/at/all.db"}, "cannot be used as a SQLite file"),
        ({"stage_model": "nowhere.yml"}, "stage_model: nowhere.yml cannot be read"),
        ({"stage_model": {"defualts": {}}}, "stage_model.defualts"),
        ({"stage_model": {"defaults": {"episode_gap": None}}}, "episode_gap must not be null"),
        ({"stage_model": {"categories": None}}, "categories must not be null"),
        ({"stage_model": {"stages": []}}, "the standard stage 'aware' must stay"),
        ({"destinations": {"webhook": {"url": "https://a.b", "secret": SECRET}}}, "webhook.secret"),
        ({"stage_model": {"defaults": {"stages": ["buyin"]}}}, "stage 'buyin' is unknown"),
        ({"as_of": "2026-01-01T00:00:00"}, "as_of"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_is_named_without_its_value(tmp_path, config, message):
    done = run(tmp_path, config=config)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert SECRET not in done.stderr.decode()
    assert done.stdout == b""


def test_a_file_that_is_no_store_is_named(tmp_path):
    (tmp_path / "journeys.db").write_bytes(b"not a database" * 100)
    done = run(tmp_path)
    assert done.returncode == 2
    assert "journeys.db cannot be used as a SQLite file" in done.stderr.decode()


def test_a_store_of_a_newer_version_is_refused(tmp_path, kept):
    sync(kept, SCHEMA, record(1))
    store = SQLiteStore(str(kept))
    store.connection.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) "
        "values ('product-journeys', '9999 from the future', '2030-01-01')"
    )
    store.close()
    done = run(tmp_path)
    assert done.returncode == 2
    assert "written by a newer version (9999 from the future)" in done.stderr.decode()


def test_the_store_is_for_its_owner_only(kept):
    sync(kept, SCHEMA, record(1))
    assert os.stat(kept.path).st_mode & 0o777 == 0o600  # noqa: PTH116


def test_a_good_run_ends_with_one_line_for_people(tmp_path):
    done = run(tmp_path, SCHEMA, record(1), state(1))
    said = done.stderr.decode().splitlines()
    assert (
        said[-1]
        == "target-journeys: 1 events (1 new), 1 stages changed, 0 sent, 0 waiting, 0 refused"
    )
    assert not [line for line in said if "WARNING" in line or "ERROR" in line]


def test_errors_of_the_stream_have_the_sdks_types(kept):
    config = {"store": f"sqlite:///{kept}"}
    tickets = SCHEMA | {"stream": "tickets", "key_properties": ["id"]}
    for messages, error in (
        ([tickets, tickets | {"type": "RECORD", "record": {}}], MissingKeyPropertiesError),
        ([tickets | {"type": "RECORD", "record": {}}], RecordsWithoutSchemaException),
        ([tickets | {"schema": {}}], InvalidInputLine),
    ):
        with pytest.raises(error):
            TargetJourneys(config=config).listen(io.StringIO(lines(*messages)))


def test_a_snapshot_that_shows_another_stage_moves_the_journey(kept):
    def look(number, stage):
        seen = {"opportunity": "7", "stage": stage}
        return record(number, "opportunity_observed", properties=seen)

    sync(kept, SCHEMA, look(1, "qualifiedtobuy"))
    sync(kept, SCHEMA, look(2, "qualifiedtobuy"), look(3, "contractsent"))
    assert kept.ask("select stage, event_count from journey_stages") == [("buying", 2)]
