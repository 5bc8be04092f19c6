"""After `journeys forget` nothing of a person is left, and nothing brings the person back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.receiver import receiver
from tests.target.messages import SCHEMA, record, sync

ANA, BO, BROWSER, CONTACT = (
    "email:ana.secret@acme.test",
    "email:bo@acme.test",
    "ga4_client:4711.1767000137",
    "crm_contact:501",
)
TRACES = [b"ana.secret", b"4711.1767000137", b"crm_contact:501"]


def linked(number: int, subject: str, other: str, kind: str = "identity_linked") -> dict[str, Any]:
    return record(number, kind, subject=subject, scopes=[], properties={"linked": other})


def unmapped(key: str) -> dict[str, Any]:
    found = {"stream": "contacts", "rule": "*", "key": key, "reason": "its date is missing"}
    return {"type": "RECORD", "stream": "unmapped_records", "record": found}


HISTORY = [
    SCHEMA,
    SCHEMA | {"stream": "unmapped_records"},
    record(1, subject=BROWSER),
    linked(2, ANA, BROWSER),
    linked(3, ANA, CONTACT),
    record(4, "cart_added", subject=ANA, account="crm:acme"),
    record(5, "account_joined", subject=ANA, account="crm:acme", scopes=[]),
    record(6, "demo_requested", subject=CONTACT),
    record(7, "product_viewed", subject=BO, account="crm:acme"),
    linked(8, BO, ANA),  # a mistake that was put right
    linked(9, BO, ANA, "identity_unlinked"),
    record(
        10,
        "opportunity_opened",
        subject=None,
        account="crm:acme",
        properties={"note": "Asked by Ana.Secret@acme.test, cc bo@acme.test", "by": CONTACT},
    ),
    unmapped("ana.secret@acme.test"),
    unmapped('["501",3]'),
    unmapped("502"),
]


@pytest.fixture
def told():
    with receiver() as found:
        yield found


@pytest.fixture
def config(kept, tmp_path, told, monkeypatch):
    """The settings as a file, and as the arguments of a run."""
    monkeypatch.chdir(tmp_path)
    webhook = {"url": told.url, "rows": ["record", "transition"]}
    settings = {"destinations": {"webhook": webhook}}
    (tmp_path / "config.json").write_text(json.dumps({"store": f"sqlite:///{kept}"} | settings))
    return settings


def forget(*words: str) -> Any:
    return CliRunner().invoke(main, ["forget", *words])


def bytes_of(folder: Path) -> bytes:
    """Everything that lies in a folder, in lower case: store, logs, files of dry runs."""
    files = [path for path in folder.iterdir() if path.name != "config.json"]
    return b"".join(path.read_bytes() for path in files).lower()


@pytest.mark.parametrize("name", [ANA, BROWSER, CONTACT])
def test_no_byte_is_left_and_replaying_brings_nothing_back(name, kept, tmp_path, told, config):
    sync(kept, *HISTORY, **config)
    assert all(trace in bytes_of(tmp_path) for trace in TRACES)
    assert told.subjects() == ["crm:acme", ANA, BO]
    done = forget(name)
    assert done.exit_code == 0, done.output
    left = bytes_of(tmp_path)
    assert not [trace for trace in TRACES if trace in left]
    assert told.subjects() == ["crm:acme", BO]
    before = {table: kept.ask(f"select * from {table}") for table in tables(kept)}
    run = sync(kept, *HISTORY, **config)
    assert "of forgotten people left out" in run.summary()
    assert {table: kept.ask(f"select * from {table}") for table in tables(kept)} == before
    left = bytes_of(tmp_path)
    assert not [trace for trace in TRACES if trace in left]
    assert told.subjects() == ["crm:acme", BO]


def tables(kept) -> list[str]:
    names = kept.ask("select name from sqlite_master where type = 'table' order by 1")
    return [name for (name,) in names if not name.startswith(("sqlite_", "_"))]


def test_others_keep_what_is_theirs(kept, config):
    sync(kept, *HISTORY, **config)
    forget(ANA)
    ((note,),) = kept.ask(
        "select json_extract(properties, '$.note') from events where source_key = '10'"
    )
    assert note == "Asked by [forgotten], cc bo@acme.test"
    counts = kept.ask("select subject, stage, event_count from journey_stages order by 1")
    assert counts == [("crm:acme", "evaluating", 2), (BO, "considering", 1)]
    assert kept.ask("select record_key from unmapped_records") == [("502",)]
    assert kept.ask("select * from links") == []


def test_the_receipt_says_what_was_done_and_not_to_whom(kept, config):
    sync(kept, *HISTORY, **config)
    receipt = json.loads(forget(ANA, "--json").output)
    assert not [trace for trace in TRACES if trace in json.dumps(receipt).lower().encode()]
    assert receipt["ids"] == 3
    assert receipt["removed"]["events"] == 8  # six of theirs, two of others about them
    assert receipt["removed"]["unmapped_records"] == 2
    assert (receipt["events_redacted"], receipt["accounts"]) == (1, 1)
    assert receipt["deletes"] == {"webhook": 1}
    assert receipt["deletes_left"] == {}
    assert set(receipt["found"].values()) == {0}
    assert "journeys.db" in receipt["found"]
    assert kept.ask("select count(*) from forgotten where hash = ?", receipt["entry"]) == [(1,)]


def test_a_dry_run_counts_the_same_and_changes_nothing(kept, config):
    sync(kept, *HISTORY, **config)
    before = {table: kept.ask(f"select * from {table}") for table in tables(kept)}
    rehearsed = json.loads(forget(ANA, "--dry-run", "--json").output)
    assert {table: kept.ask(f"select * from {table}") for table in tables(kept)} == before
    done = json.loads(forget(ANA, "--json").output)
    same = ("ids", "removed", "events_redacted", "accounts", "deletes")
    assert [rehearsed[name] for name in same] == [done[name] for name in same]
    assert "would be removed" in forget(BO, "--dry-run").output


def test_a_delete_that_cannot_be_sent_waits_and_is_named(kept, tmp_path, config, told):
    sync(kept, *HISTORY, **config)
    settings = json.loads((tmp_path / "config.json").read_text())
    off = {"store": settings["store"]}  # the destination is switched off
    (tmp_path / "config.json").write_text(json.dumps(off))
    done = forget(ANA)
    assert done.exit_code == 3
    assert "webhook: 1 records deleted, 1 of them not yet" in done.output
    assert told.subjects() == ["crm:acme", ANA, BO]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert CliRunner().invoke(main, ["deliver"]).exit_code == 0
    assert told.subjects() == ["crm:acme", BO]
    assert forget(ANA).exit_code == 0
    left = bytes_of(tmp_path)
    assert not [trace for trace in TRACES if trace in left]


def test_what_a_dry_run_wrote_is_written_anew(kept, tmp_path, told, monkeypatch):
    monkeypatch.chdir(tmp_path)
    webhook = {"webhook": {"url": told.url, "dry_run": True}}
    (tmp_path / "config.json").write_text(
        json.dumps({"store": f"sqlite:///{kept}", "destinations": webhook})
    )
    sync(kept, *HISTORY, destinations=webhook)
    assert b"ana.secret" in (tmp_path / "webhook.dry-run.jsonl").read_bytes()
    done = forget(ANA)
    assert (done.exit_code, "webhook.dry-run.jsonl: searched" in done.output) == (0, True)
    assert not [trace for trace in TRACES if trace in bytes_of(tmp_path)]


def test_somebody_unknown_is_kept_out_from_the_first(kept, config):
    sync(kept, SCHEMA, record(1, subject=BO), **config)
    assert forget(ANA).exit_code == 0
    sync(kept, SCHEMA, record(2, subject=ANA), **config)
    assert kept.ask("select distinct subject from events") == [(BO,)]


def test_a_run_says_nothing_of_whom_it_left_out(kept, config, caplog, capsys):
    sync(kept, *HISTORY, **config)
    forget(ANA)
    run = sync(kept, *HISTORY, **config)
    said = (run.summary() + caplog.text + "".join(capsys.readouterr())).lower().encode()
    assert not [trace for trace in TRACES if trace in said]


def test_an_account_is_not_a_person_to_forget(kept, config):
    sync(kept, *HISTORY, **config)
    done = forget("crm:acme")
    assert (done.exit_code, "this is an account" in done.output) == (1, True)
    assert kept.ask("select * from forgotten") == []


def test_a_store_that_is_in_use_is_left_alone(kept, config, monkeypatch):
    sync(kept, *HISTORY, **config)
    monkeypatch.setattr("target_journeys.stores.sqlite.BUSY_TIMEOUT_S", 0)
    other = sqlite3.connect(kept.path, isolation_level=None)
    try:
        other.execute("begin immediate")
        done = forget(ANA)
    finally:
        other.close()
    assert (done.exit_code, "is being written by another run" in done.output) == (1, True)
    assert kept.ask("select * from forgotten") == []
