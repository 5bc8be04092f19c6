"""Who asks to be erased is counted, or erased at the end of the run: as the settings say."""

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

ANA, BROWSER, BO = "email:ana.secret@acme.test", "ga4_client:4711.1767000137", "email:bo@acme.test"
TRACES = [b"ana.secret", b"4711.1767000137", b"88004711"]
TICKET = {"grain": "item", "id": "desk_ticket:88004711"}
ON_REQUEST = {"identity": {"erase_on_request": True}}


def asked(number: int, subject: str = BROWSER, **fields: Any) -> dict[str, Any]:
    return record(number, "erasure_requested", subject=subject, scopes=[], **fields)


HISTORY = [
    SCHEMA,
    record(1, subject=BROWSER),
    record(2, "identity_linked", subject=ANA, scopes=[], properties={"linked": BROWSER}),
    record(3, "scope_linked", subject=ANA, scopes=[TICKET]),
    record(4, "ticket_solved", subject=None, scopes=[TICKET]),
    record(5, subject=BO),
]


@pytest.fixture
def told():
    with receiver() as found:
        yield found


def held(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir()).lower()


def checked(kept, folder: Path, **config: Any) -> list[str]:
    path = folder / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{kept}"} | config))
    done = CliRunner().invoke(main, ["check", "--config", str(path)])
    return [line for line in done.output.splitlines() if "asked to be erased" in line]


def test_a_request_by_itself_is_counted_and_erases_nobody(kept, tmp_path):
    run = sync(kept, *HISTORY, asked(6), asked(7, ANA))
    assert "1 asked to be erased (see journeys check)" in run.summary()
    assert kept.ask("select count(*) from events") == [(7,)]
    (line,) = checked(kept, tmp_path)
    assert line.startswith("warning store: 1 asked to be erased: `journeys forget` erases one")
    assert "asked to be erased" in sync(kept, SCHEMA).summary()


def test_a_request_that_is_superseded_does_not_count(kept, tmp_path):
    taken_back = record(7, "record_corrected", scopes=[], supersedes=f"{6:032x}", subject=BO)
    run = sync(kept, *HISTORY, asked(6), taken_back, **ON_REQUEST)
    assert "eras" not in run.summary()
    assert checked(kept, tmp_path) == []
    assert kept.ask("select count(*) from events where subject = ?", ANA) == [(2,)]


def test_a_run_may_end_with_erasing_who_asked(kept, tmp_path, told, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    settings = ON_REQUEST | {"destinations": {"webhook": {"url": told.url}}}
    sync(kept, *HISTORY, **settings)
    assert told.subjects() == [ANA, BO]
    run = sync(kept, SCHEMA, asked(6), **settings)
    assert told.subjects() == [BO]
    assert "1 erased on request" in run.summary()
    assert run.exit_code == 0
    receipts = [text for text in caplog.messages if text.startswith("Erased on request")]
    ((entry,),) = kept.ask(
        "select hash from forgotten where ? like '%' || hash || '%'", receipts[0]
    )
    assert receipts == [
        f"Erased on request, receipt {entry}: 2 ids, 13 rows, 1 deletes for webhook; searched, "
        "no id is left"
    ]
    said = (run.summary() + caplog.text).lower().encode()
    assert not [trace for trace in TRACES if trace in held(tmp_path) + said]
    again = sync(kept, *HISTORY, asked(6), asked(7, ANA), **settings)
    assert "6 of forgotten people left out" in again.summary()
    assert "erased on request" not in again.summary()
    assert not [trace for trace in TRACES if trace in held(tmp_path)]
    assert told.subjects() == [BO]


def test_it_erases_what_journeys_forget_erases(kept, tmp_path):
    """The same rows are left, but for the salt and what it makes of the ids."""
    by_hand = type(kept)(tmp_path / "by-hand.db")
    sync(kept, *HISTORY, asked(6), **ON_REQUEST)
    sync(by_hand, *HISTORY, asked(6))
    checked(by_hand, tmp_path, as_of="2026-03-01T00:00:00Z")
    config = str(tmp_path / "config.json")
    assert CliRunner().invoke(main, ["forget", ANA, "--config", config]).exit_code == 0
    names = kept.ask("select name from sqlite_master where type = 'table' and name not glob '_*'")
    for (name,) in names:
        if name not in ("forgotten", "notes"):
            rows = f'select * from "{name}"'
            if name == "journey_maps":  # one was drawn twice, the other once
                rows = "select category, persona, period, drawn_at, body from journey_maps"
            assert kept.ask(rows) == by_hand.ask(rows), name
    hashes = "select count(*) from forgotten"
    assert kept.ask(hashes) == by_hand.ask(hashes)


def test_two_who_ask_in_one_run_are_both_erased(kept, tmp_path):
    run = sync(kept, *HISTORY, asked(6), asked(7, BO), **ON_REQUEST)
    assert "2 erased on request" in run.summary()
    assert kept.ask("select * from event_log") == []


def test_a_store_that_is_being_read_is_written_anew_by_the_next_run(
    kept, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("target_journeys.stores.sqlite.BUSY_TIMEOUT_S", 0)
    sync(kept, *HISTORY, asked(6))
    reader = sqlite3.connect(kept.path, isolation_level=None)
    try:
        reader.execute("begin")
        reader.execute("select count(*) from event_log").fetchone()
        run = sync(kept, SCHEMA, **ON_REQUEST)
        assert b"ana.secret" in held(tmp_path)
    finally:
        reader.close()
    assert run.exit_code == 3
    assert "The next run writes the file anew" in caplog.text
    unfinished = "select value from notes where name = 'erasure unfinished'"
    assert kept.ask(unfinished) == [("yes",)]
    assert sync(kept, SCHEMA, **ON_REQUEST).exit_code == 0
    assert kept.ask(unfinished) == []
    assert not [trace for trace in TRACES if trace in held(tmp_path)]


def test_requests_that_a_store_of_before_holds_are_found(kept):
    sync(kept, *HISTORY, asked(6))
    with sqlite3.connect(kept.path) as db:  # as an older version left it
        db.execute("delete from facts where kind = 'erasure'")
        db.execute("update notes set value = 'older' where name = 'policy'")
    db.close()
    assert "1 asked to be erased" in sync(kept, SCHEMA).summary()
