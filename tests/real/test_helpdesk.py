"""django-helpdesk through the source `rest`, by configuration alone: everything, and once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pipes import ROOT, Pipe
from tests.real.helpdesk_server import (
    CLOSED,
    PASSWORD,
    REOPENED,
    RESOLVED,
    USER,
    Helpdesk,
    helpdesk,
    missing,
)

pytestmark = [pytest.mark.real, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

TICKETS = 255
CHANGES = "select ticket_id, new_status, id from helpdesk_followup where new_status is not null"


def config(desk: Helpdesk) -> dict[str, Any]:
    """Pages follow the `next` of the answers; the API can filter by no date."""
    return {
        "sources": {
            "rest": {
                "base_url": desk.url,
                "username": USER,
                "password": PASSWORD,
                "streams": [
                    {
                        "name": "helpdesk_tickets",
                        "path": "/tickets/",
                        "params": {"page_size": 40},
                        "data_selector": "results",
                        "primary_keys": ["id"],
                    },
                    {
                        "name": "helpdesk_followups",
                        "path": "/followups/",
                        "data_selector": "results",
                        "primary_keys": ["id"],
                        "incremental": {"cursor_path": "date", "row_order": "asc"},
                    },
                ],
            }
        },
        "rules_files": [str(ROOT / "tests/rules/helpdesk.yml")],
    }


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helpdesk]:
    """Tickets that are open, resolved, reopened and closed; a few are due."""
    with helpdesk(tmp_path_factory.mktemp("helpdesk")) as found:
        tickets = found.create(TICKETS - 5) + found.create(5, due_date="2026-05-01T12:00:00Z")
        found.set_status(tickets[::2], RESOLVED)
        found.set_status(tickets[::8], REOPENED)
        found.set_status(tickets[::4], CLOSED)
        yield found


@pytest.fixture(scope="module")
def pipe(desk: Helpdesk, tmp_path_factory: pytest.TempPathFactory) -> Pipe:
    made = Pipe(tmp_path_factory.mktemp("run"), **config(desk))
    made.run()
    return made


def test_every_ticket_is_opened_once(desk: Helpdesk, pipe: Pipe) -> None:
    truth = desk.rows("select submitter_email, id from helpdesk_ticket")
    found = pipe.ask(
        "select subject, json_extract(properties, '$.ticket') from events "
        "where event_type = 'ticket_opened'"
    )
    assert len(truth) == TICKETS
    assert Counter(found) == Counter((f"email:{email}", number) for email, number in truth)


def test_every_change_of_a_status_is_an_event(desk: Helpdesk, pipe: Pipe) -> None:
    found = pipe.ask(
        "select json_extract(properties, '$.ticket'), json_extract(properties, '$.new_status'), "
        "json_extract(properties, '$.follow_up') from events "
        "where event_type in ('ticket_resolved', 'ticket_reopened', 'ticket_closed')"
    )
    truth = desk.rows(CHANGES)
    assert Counter(found) == Counter(truth)
    assert len(truth) > 200
    assert pipe.ask("select count(*) from events where source = 'helpdesk_followups'") == [
        (len(truth),)
    ]


def test_a_date_that_is_not_set_makes_no_event(desk: Helpdesk, pipe: Pipe) -> None:
    due = pipe.ask("select count(*) from events where json_extract(properties, '$.of') = 'due'")
    assert due == [(5,)] and desk.rows("select count(due_date) from helpdesk_ticket") == [(5,)]
    assert pipe.ask("select count(*) from unmapped_records") == [(0,)]


def test_the_next_run_finds_what_is_new_and_loses_nothing(desk: Helpdesk, pipe: Pipe) -> None:
    before = pipe.ask("select count(*) from events")[0][0]
    new = desk.create(3)
    desk.set_status([*new, 2, 4], CLOSED)  # these two are open; no change is no event
    pipe.run()
    assert pipe.ask("select count(*) from events")[0][0] == before + 3 + 2 * 5
    test_every_change_of_a_status_is_an_event(desk, pipe)
    again = pipe.export()
    assert "0 new" in pipe.run()
    assert pipe.export() == again
