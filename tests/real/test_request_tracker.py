"""Request Tracker through the source `rest`, by configuration alone: everything, and once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.pipes import ROOT, Pipe
from tests.real.request_tracker import PASSWORD, USER, RequestTracker, missing, request_tracker

pytestmark = [pytest.mark.real, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

TICKETS = 260
LAG_S = 1  # RT writes whole seconds
STATUS_CHANGES = (
    "select t.ObjectId, t.NewValue, t.id from Transactions t "
    "where t.ObjectType = 'RT::Ticket' and t.Type = 'Status'"
)


def config(tracker: RequestTracker) -> dict[str, Any]:
    return {
        "start_date": "2020-01-01T00:00:00Z",
        "sources": {
            "rest": {
                "base_url": tracker.url,
                "username": USER,
                "password": PASSWORD,
                # the server gives a hundred at most, whatever it is asked for
                "paginator": {
                    "type": "page_number",
                    "limit": 500,
                    "limit_param": "per_page",
                    "total_path": "pages",
                },
                "streams": [
                    {
                        "name": "rt_tickets",
                        "path": "/tickets",
                        "params": {
                            "query": "LastUpdated >= '{incremental.start_value}'",
                            "orderby": "id",
                            "fields": "Subject,Status,Requestor,Created,Started,Resolved,Due,"
                            "LastUpdated",
                        },
                        "data_selector": "items",
                        "primary_keys": ["id"],
                        "incremental": {
                            "cursor_path": "LastUpdated",
                            "format": "%Y-%m-%d %H:%M:%S",
                            "lag_s": LAG_S,
                        },
                    },
                    {
                        "name": "rt_transactions",
                        "path": "/ticket/{resources.rt_tickets.id}/history",
                        "params": {"fields": "Type,Field,OldValue,NewValue,Created"},
                        "data_selector": "items",
                        "primary_keys": ["id"],
                        "parent": "rt_tickets",
                        "include_from_parent": ["id", "Requestor.0.id"],
                    },
                ],
            }
        },
        "rules_files": [str(ROOT / "tests/rules/request_tracker.yml")],
    }


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RequestTracker]:
    """Tickets that are new, begun, waiting, resolved, reopened and rejected."""
    with request_tracker(tmp_path_factory.mktemp("rt")) as found:
        tickets = found.create(TICKETS)
        assert len(tickets) == TICKETS
        found.set_status(tickets[::2], "open")
        found.set_status(tickets[::4], "stalled")
        found.set_status(tickets[::4], "open")
        found.set_status(tickets[::8], "resolved")
        found.set_status(tickets[::16], "open")
        time.sleep(LAG_S + 2)  # so that what the next run reads again is these few
        found.set_status(tickets[1::50], "rejected")
        yield found


@pytest.fixture(scope="module")
def pipe(tracker: RequestTracker, tmp_path_factory: pytest.TempPathFactory) -> Pipe:
    made = Pipe(tmp_path_factory.mktemp("run"), **config(tracker))
    made.run()
    return made


def test_every_ticket_is_opened_once(tracker: RequestTracker, pipe: Pipe) -> None:
    truth = {str(row[0]) for row in tracker.rows("select id from Tickets")}
    found = pipe.ask(
        "select subject, json_extract(properties, '$.ticket') from events "
        "where event_type = 'ticket_opened'"
    )
    assert len(truth) == TICKETS
    assert Counter(ticket for _, ticket in found) == Counter(truth)
    assert {subject for subject, _ in found} == {
        f"email:person{n}@acme.test" for n in range(TICKETS)
    }


def test_every_change_of_a_status_is_an_event(tracker: RequestTracker, pipe: Pipe) -> None:
    sql = "select json_extract(properties, '$.ticket'), json_extract(properties, '$.status'), "
    sql += "source_key from events where source = 'rt_transactions'"
    truth = Counter((str(ticket), to, str(key)) for ticket, to, key in tracker.rows(STATUS_CHANGES))
    assert Counter(pipe.ask(sql)) == truth
    assert len(truth) > TICKETS


def test_a_date_that_is_not_set_makes_no_event(tracker: RequestTracker, pipe: Pipe) -> None:
    begun = "select count(*) from Tickets where Started > '1970-01-02'"
    ((started,),) = tracker.rows(begun)
    assert 0 < started < TICKETS
    found = pipe.ask(
        "select count(*) from events where json_extract(properties, '$.of') = 'Started'"
    )
    assert found == [(started,)]
    assert pipe.ask("select count(*) from events where occurred_at < '1971'") == [(0,)]
    assert pipe.ask("select count(*) from unmapped_records") == [(0,)]


def test_the_next_run_reads_what_changed_and_loses_nothing(
    tracker: RequestTracker, pipe: Pipe
) -> None:
    time.sleep(LAG_S + 2)
    before = len(tracker.rows(STATUS_CHANGES))
    new = tracker.create(3)
    tracker.set_status([*new, 7, 8], "resolved")
    assert pipe.state is not None
    kept = pipe.state["bookmarks"]["rt_tickets"]["replication_key_value"]
    since = datetime.fromisoformat(kept) - timedelta(seconds=LAG_S)
    due = f"select id from Tickets where LastUpdated >= '{since:%Y-%m-%d %H:%M:%S}'"
    history = f"where ObjectType = 'RT::Ticket' and ObjectId in ({due})"
    tickets = len(tracker.rows(due))
    ((transactions,),) = tracker.rows(f"select count(*) from Transactions {history}")
    assert 5 <= tickets < TICKETS / 10
    said = pipe.run()
    assert len(tracker.rows(STATUS_CHANGES)) == before + 5
    assert f"tap-journeys: {tickets + transactions:,} records of 2 streams" in said
    test_every_change_of_a_status_is_an_event(tracker, pipe)
    opened = pipe.ask("select count(*) from events where event_type = 'ticket_opened'")
    assert opened == [(TICKETS + 3,)]
    again = pipe.export()
    assert "0 new" in pipe.run()
    assert pipe.export() == again
