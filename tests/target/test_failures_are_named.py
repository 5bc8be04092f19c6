"""What goes wrong in practice is named in one line with the next thing to do."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import namedtuple
from typing import Any

import responses
from click.testing import CliRunner

from target_journeys.cli import main
from target_journeys.stores import sqlite
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_schema import migrations
from target_journeys.target import TargetJourneys
from tests.sandbox.conftest import hubspot as _hubspot
from tests.target.messages import SCHEMA, five_products, lines, record, sync

hubspot = _hubspot
Usage = namedtuple("Usage", "total used free")


def written(folder: Any, **config: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{folder}/journeys.db"} | config))
    return str(path)


def checked(config: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["check", "--config", config])
    return done.exit_code, done.output


def ran(config: str, *messages: dict[str, Any]) -> tuple[int, str]:
    done = CliRunner().invoke(TargetJourneys.cli, ["--config", config], input=lines(*messages))
    return done.exit_code, done.stderr


# -- the store -----------------------------------------------------------------------------------


def test_a_disk_that_fills_up_ends_the_run_with_one_line(kept, tmp_path, monkeypatch, caplog):
    sync(kept, SCHEMA, record(1))
    opened = SQLiteStore._refuse_newer

    def full(store: SQLiteStore) -> None:
        opened(store)  # SQLite fails at this size in the same way as at the end of a disk
        (pages,) = store.connection.execute("pragma page_count").fetchone()
        store.connection.execute(f"pragma max_page_count = {pages}")

    monkeypatch.setattr(SQLiteStore, "_refuse_newer", full)
    many = [record(n, properties={"note": "x" * 2000}) for n in range(2, 200)]
    code, _ = ran(written(tmp_path), SCHEMA, *many)
    (line,) = (each.getMessage() for each in caplog.records if each.levelname == "ERROR")
    assert code == 1
    assert "has no room left on its disk. Make room, then run again" in line
    monkeypatch.undo()
    assert kept.ask("select count(*) from event_log") == [(1,)]


def test_a_disk_with_little_room_is_an_error_of_the_check(kept, tmp_path, monkeypatch):
    sync(kept, SCHEMA, record(1))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 0))
    code, said = checked(written(tmp_path))
    assert code == 1
    assert "error   store: its disk has 0 MB left; make room" in said


def test_a_store_that_another_run_writes_is_said_by_run_and_check(
    kept, tmp_path, monkeypatch, caplog
):
    sync(kept, SCHEMA, record(1))
    config = written(tmp_path)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    other = sqlite3.connect(kept.path, isolation_level=None)
    other.execute("begin immediate")
    code, said = checked(config)
    assert code == 3
    assert "is in use by another run. Run this again when that one has ended" in said
    assert ran(config, SCHEMA, record(2))[0] == 1
    assert "is being written by another run" in caplog.text
    assert "run again when that run has ended" in caplog.text
    forgot = CliRunner().invoke(main, ["forget", "email:ana@acme.test", "--config", config])
    assert forgot.exit_code == 1
    assert "is being written by another run" in forgot.output
    other.close()


def test_a_store_of_an_older_version_is_told_and_left_as_it_is(kept, tmp_path):
    store = sqlite3.connect(kept.path)
    last = [each.name for each in migrations._migrations][-1]
    migrations.apply(sqlite.Database(store), stop_before=last)
    store.close()
    code, said = checked(written(tmp_path))
    assert code == 3
    assert "was written by an older version; the next run changes its tables (1 steps)" in said
    assert kept.ask("select count(*) from _sqlite_migrations where name = ?", last) == [(0,)]


def test_a_file_that_is_no_store_is_an_error_of_the_check(kept, tmp_path):
    kept.path.write_bytes(b"not a database" * 100)
    code, said = checked(written(tmp_path))
    assert code == 1
    assert "cannot be used as a SQLite file. Check the path" in said


# -- the other ends ------------------------------------------------------------------------------


def test_a_destination_that_refuses_everything_is_counted_and_leads_to_its_answers(
    tmp_path,
):
    config = written(tmp_path, destinations={"webhook": {"url": "https://cdp.test/in"}})
    with responses.RequestsMock() as vendor:
        vendor.post("https://cdp.test/in", status=422, body="no such workspace")
        code, said = ran(config, SCHEMA, *five_products())
        assert code == 3
        assert "0 sent, 0 waiting, 5 refused" in said
    code, said = checked(config)
    assert code == 3
    assert "webhook: 5 rows refused; see `journeys refused`" in said
    listed = CliRunner().invoke(main, ["refused", "--config", config]).output
    assert listed.count("no such workspace") == 5


def test_a_destination_that_takes_nothing_is_named_with_what_it_said(tmp_path, caplog):
    config = written(tmp_path, destinations={"webhook": {"url": "https://cdp.test/in"}})
    with responses.RequestsMock() as vendor:
        vendor.post("https://cdp.test/in", status=403)
        code, said = ran(config, SCHEMA, *five_products())
    assert code == 3
    assert "0 sent, 5 waiting, 0 refused" in said
    assert "gets no more in this run: HTTP 403; check the URL and credentials" in caplog.text
    code, said = checked(config)
    assert code == 3
    assert "webhook: 5 rows waiting (HTTP 403; check the URL and credentials of this desti" in said
    assert "`journeys deliver` sends them" in said


def test_a_broken_login_is_an_error_of_the_check(hubspot, tmp_path):
    source = {"base_url": hubspot.url, "access_token": "wrong"}
    code, said = checked(written(tmp_path, sources={"hubspot": source}))
    assert code == 1
    assert "error   hubspot: " in said
    assert "the login is not accepted (HTTP 401)" in said


def test_a_missing_scope_is_a_warning_that_says_what_to_grant(hubspot, tmp_path):
    hubspot.faults.missing_scopes = {"deals"}
    source = {"base_url": hubspot.url, "access_token": hubspot.token}
    _, said = checked(written(tmp_path, sources={"hubspot": source}))
    assert "lacks the scope crm.objects.deals.read; grant it" in said
