"""Promises on two real logs of tickets: kept, missed and still open, as SQL counts them."""

from __future__ import annotations

import csv
import gzip
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pipes import ROOT, SHARED, Pipe

DATA = SHARED / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the public event logs")


class Log(NamedTuple):
    """A log, cut off while some of its tickets are open, and what each promise is about."""

    name: str
    path: Path
    cut: str  # what happened later is not known yet
    opened: str  # SQL conditions on a step
    assigned: str
    resolved: str
    within: dict[str, int]  # promise → days


LOGS = (
    Log(
        "helpdesk_log",
        DATA / "helpdesk_4tu/events.csv.gz",
        "2012-06-01T00:00:00Z",
        "case_step in ('Assign seriousness', 'Insert ticket')",
        "case_step = 'Take in charge ticket'",
        "case_step in ('Resolve ticket', 'RESOLVED', 'Closed')",
        {"first assignment": 1, "resolution": 30},
    ),
    Log(
        "problems_log",
        DATA / "bpi2013_problems/closed_problems.csv.gz",
        "2012-04-15T00:00:00Z",
        "true",
        "case_step like 'Accepted%'",
        "case_step = 'Completed-Closed'",
        {"first assignment": 3, "resolution": 60},
    ),
)


def steps(log: Log) -> list[tuple[str, str, str]]:
    """(case, step, moment in UTC) of what had happened when the log was cut off."""
    with gzip.open(log.path, "rt", encoding="utf-8", newline="") as file:
        rows = [
            (
                row["case:concept:name"],
                row["concept:name"],
                datetime.fromisoformat(row["time:timestamp"]).astimezone(UTC),
            )
            for row in csv.DictReader(file)
        ]
    cut = datetime.fromisoformat(log.cut)
    return [(case, step, at.isoformat()) for case, step, at in rows if at <= cut]


def counted(log: Log, rows: list[tuple[str, str, str]]) -> dict[tuple[str, str], int]:
    """(promise, state) → how many, by SQL that knows nothing of journeys."""
    database = sqlite3.connect(":memory:")
    database.execute("create table steps (case_id, case_step, at)")
    database.executemany("insert into steps values (?, ?, ?)", rows)
    found = {}
    for promise, ended in (("first assignment", log.assigned), ("resolution", log.resolved)):
        sql = f"""
            with opened as (select case_id, min(at) as began from steps where {log.opened}
                            group by case_id),
                 ended as (select o.case_id, began, min(s.at) as finished from opened as o
                           left join steps as s on s.case_id = o.case_id and s.at >= o.began
                           and ({ended}) group by o.case_id)
            select case when finished is not null
                        then case when julianday(finished) - julianday(began) <= :days + 1e-9
                             then 'kept' else 'missed' end
                        when julianday(:cut) - julianday(began) < :days then 'open'
                        else 'missed' end as state, count(*)
            from ended group by 1"""
        of = database.execute(sql, {"days": log.within[promise], "cut": log.cut})
        found |= {(promise, state): count for state, count in of}
    database.close()
    return found


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_promises_are_kept_missed_and_open_as_sql_counts_them(log, tmp_path):
    rows = steps(log)
    with (tmp_path / "log.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("case_id", "case_step", "at"), *rows])
    days = {name: f"P{days}D" for name, days in log.within.items()}
    promises = {
        "first assignment": {
            "from": "ticket_opened",
            "to": "ticket_assigned",
            "within": days["first assignment"],
        },
        "resolution": {"metric": "resolution", "within": days["resolution"]},
    }
    pipe = Pipe(
        tmp_path,
        sources={"files": {"streams": [{"name": log.name, "path": "log.csv"}]}},
        rules_files=[str(ROOT / f"tests/rules/{log.name}.yml")],
        stage_model={"event_types": {"ticket_assigned": None}, "defaults": {"promises": promises}},
        as_of=log.cut,
    )
    pipe.run()
    ours = pipe.ask(
        """select json_extract(each.value, '$.promise'), json_extract(each.value, '$.state'),
            count(*)
        from journey_stages, json_each(promises) as each group by 1, 2"""
    )
    expected = counted(log, rows)
    assert {(promise, state): count for promise, state, count in ours} == expected
    assert {state for _, state in expected} == {"kept", "missed", "open"}
    unproven = pipe.ask(
        """select count(*) from journey_stages, json_each(promises) as each
        where json_extract(each.value, '$.state') = 'kept'
        and json_array_length(each.value, '$.event_ids') < 2"""
    )
    assert unproven == [(0,)]
