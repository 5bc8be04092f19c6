"""The sandbox's Zendesk: exports, lists, what a ticket leaves behind, logins, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.zendesk import Zendesk

PAST = "2026-01-05T00:00:00Z"
STAMP = 1767571200  # PAST in unix seconds


@pytest.fixture
def http(zendesk: Zendesk) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = (f"{zendesk.email}/token", zendesk.api_token)
        yield session


def get(zendesk: Zendesk, http: requests.Session, path: str, **query: Any) -> Any:
    return http.get(f"{zendesk.url}/api/v2/{path}", params=query).json()


def walk(http: requests.Session, url: str, kind: str) -> Iterator[list[Any]]:
    """The pages of an export, as its own links lead."""
    while True:
        page = http.get(url).json()
        yield page[kind]
        if page["end_of_stream"]:
            return
        url = page.get("after_url") or page["next_page"]


# -- exports -------------------------------------------------------------------------------------


def test_a_cursor_export_shows_every_ticket_once_although_all_have_one_second(
    zendesk: Zendesk, http: requests.Session
) -> None:
    ids = [zendesk.world.add("tickets", at=PAST)["id"] for _ in range(25)]
    url = f"{zendesk.url}/api/v2/incremental/tickets/cursor.json?start_time=0&per_page=4"
    pages = list(walk(http, url, "tickets"))
    assert [len(page) for page in pages] == [4] * 6 + [1]
    assert [ticket["id"] for page in pages for ticket in page] == ids


def test_a_cursor_goes_on_where_the_last_run_ended(
    zendesk: Zendesk, http: requests.Session
) -> None:
    first = zendesk.world.add("tickets", at=PAST)["id"]
    page = get(zendesk, http, "incremental/tickets/cursor", start_time=0)
    assert (page["end_of_stream"], page["before_cursor"]) == (True, None)
    assert (
        get(zendesk, http, "incremental/tickets/cursor", cursor=page["after_cursor"])["tickets"]
        == []
    )
    zendesk.world.touch(first, at="2026-01-06T00:00:00Z")
    (again,) = get(zendesk, http, "incremental/tickets/cursor", cursor=page["after_cursor"])[
        "tickets"
    ]
    assert again["updated_at"] == PAST  # a change by the system moves the stamp alone
    assert again["generated_timestamp"] == STAMP + 86_400


def test_the_last_minute_is_withheld_and_may_not_be_asked_for(
    zendesk: Zendesk, http: requests.Session
) -> None:
    zendesk.world.add("tickets")
    path = "incremental/tickets/cursor"
    assert get(zendesk, http, path, start_time=0)["tickets"] == []
    now = int(zendesk.clock.now().timestamp())
    assert get(zendesk, http, path, start_time=now - 59)["error"] == "StartTimeTooRecent"
    assert get(zendesk, http, path, start_time=now - 60)["tickets"] == []
    zendesk.clock.advance(60)
    assert len(get(zendesk, http, path, start_time=0)["tickets"]) == 1


def test_a_page_without_deleted_tickets_may_be_empty_and_not_the_last(
    zendesk: Zendesk, http: requests.Session
) -> None:
    ids = [zendesk.world.add("tickets", at=PAST)["id"] for _ in range(3)]
    zendesk.world.delete("tickets", ids[0], at=PAST)
    url = f"{zendesk.url}/api/v2/incremental/tickets/cursor?start_time=0&per_page=1"
    assert [t["status"] for page in walk(http, url, "tickets") for t in page] == [
        "deleted",
        "new",
        "new",
    ]
    sizes = [len(page) for page in walk(http, f"{url}&exclude_deleted=true", "tickets")]
    assert sizes == [0, 1, 1]


def test_a_time_export_of_tickets_never_cuts_a_second(
    zendesk: Zendesk, http: requests.Session
) -> None:
    for second in (0, 0, 0, 1):
        zendesk.world.add("tickets", at=f"2026-01-05T00:00:0{second}Z")
    page = get(zendesk, http, "incremental/tickets", start_time=0, per_page=1)
    assert (page["count"], page["end_time"], page["end_of_stream"]) == (3, STAMP + 1, False)
    page = http.get(page["next_page"]).json()
    assert (page["count"], page["end_time"], page["end_of_stream"]) == (1, STAMP + 1, True)


def test_a_time_export_of_users_repeats_the_rows_of_the_last_second(
    zendesk: Zendesk, http: requests.Session
) -> None:
    for second in (0, 1, 1, 2):
        zendesk.world.add("users", at=f"2026-01-05T00:00:0{second}Z")
    url = f"{zendesk.url}/api/v2/incremental/users.json?start_time=0&per_page=2"
    pages = [[user["id"] for user in page] for page in walk(http, url, "users")]
    assert pages[1][0] == pages[0][-1]
    assert len({each for page in pages for each in page}) == 4


def test_a_time_export_gets_past_more_rows_in_a_second_than_a_page_holds(
    zendesk: Zendesk, http: requests.Session
) -> None:
    for _ in range(5):
        zendesk.world.add("organizations", at=PAST)
    url = f"{zendesk.url}/api/v2/incremental/organizations?start_time={STAMP}&per_page=2"
    assert [len(page) for page in walk(http, url, "organizations")] == [5]


def test_an_export_brings_users_and_metrics_along(zendesk: Zendesk, http: requests.Session) -> None:
    user = zendesk.world.add("users", {"name": "Ana"}, at=PAST)
    zendesk.world.add("tickets", {"requester_id": user["id"]}, at=PAST)
    page = get(
        zendesk, http, "incremental/tickets/cursor", start_time=0, include="users,metric_sets"
    )
    assert [each["name"] for each in page["users"]] == ["Ana"]
    assert [each["ticket_id"] for each in page["metric_sets"]] == [1]


# -- what a ticket leaves behind -----------------------------------------------------------------


def test_changes_become_ticket_events_audits_and_metrics(
    zendesk: Zendesk, http: requests.Session
) -> None:
    world = zendesk.world
    field = world.add("ticket_fields", {"title": "Product"}, at=PAST)["id"]
    product = [{"id": field, "value": "x1"}]
    ticket = world.add("tickets", {"requester_id": 5, "custom_fields": product}, at=PAST)["id"]
    world.comment(ticket, author_id=9, body="Hello", at="2026-01-05T00:30:00Z")
    changes = {"status": "solved", "custom_fields": [{"id": field, "value": "x2"}]}
    world.update("tickets", ticket, changes, at="2026-01-06T00:00:00Z")
    world.update("tickets", ticket, {"status": "open"}, at="2026-01-07T00:00:00Z")

    events = get(zendesk, http, "incremental/ticket_events", start_time=0)["ticket_events"]
    children = [child for event in events[1:] for child in event["child_events"]]
    assert [child.get("status") for child in children] == [None, "solved", None, "open"]
    assert children[0]["comment_public"] is True and "body" not in children[0]
    assert children[2]["custom_ticket_fields"] == {str(field): "x2"}
    assert children[2]["previous_value"] == "x1"
    with_text = get(
        zendesk, http, "incremental/ticket_events", start_time=0, include="comment_events"
    )
    assert with_text["ticket_events"][1]["child_events"][0]["body"] == "Hello"

    audits = get(zendesk, http, f"tickets/{ticket}/audits")["audits"]
    assert [audit["id"] for audit in audits] == [event["id"] for event in events]
    (metric,) = get(zendesk, http, "ticket_metrics")["ticket_metrics"]
    assert (metric["reopens"], metric["replies"], metric["solved_at"]) == (1, 1, None)
    assert metric["reply_time_in_minutes"]["calendar"] == 30
    measured = get(zendesk, http, "incremental/ticket_metric_events", start_time=0)
    assert [
        (each["metric"], each["type"], each["instance_id"])
        for each in measured["ticket_metric_events"]
    ] == [
        ("reply_time", "activate", 1),
        ("resolution_time", "activate", 1),
        ("reply_time", "fulfill", 1),
        ("resolution_time", "fulfill", 1),
        ("resolution_time", "activate", 2),
    ]


def test_archived_and_deleted_tickets_leave_the_lists_and_stay_in_the_export(
    zendesk: Zendesk, http: requests.Session
) -> None:
    ids = [zendesk.world.add("tickets", at=PAST)["id"] for _ in range(3)]
    zendesk.world.archive(ids[0])
    zendesk.world.delete("tickets", ids[1], at=PAST)
    assert [each["id"] for each in get(zendesk, http, "tickets")["tickets"]] == ids[2:]
    exported = get(zendesk, http, "incremental/tickets/cursor", start_time=0)["tickets"]
    assert [each["id"] for each in exported] == ids
    assert "ticket" in get(zendesk, http, f"tickets/{ids[0]}")
    assert get(zendesk, http, f"tickets/{ids[1]}")["error"] == "RecordNotFound"
    (gone,) = get(zendesk, http, "deleted_tickets")["deleted_tickets"]
    assert (gone["id"], gone["previous_state"]) == (ids[1], "new")


def test_merged_users_hand_over_their_tickets(zendesk: Zendesk, http: requests.Session) -> None:
    one, two = (zendesk.world.add("users", {"email": f"{n}@x.test"}, at=PAST) for n in "ab")
    zendesk.world.add("tickets", {"requester_id": one["id"]}, at=PAST)
    zendesk.world.merge(one["id"], two["id"], at="2026-01-06T00:00:00Z")
    users = get(zendesk, http, "incremental/users/cursor", start_time=STAMP + 1)["users"]
    assert [(user["id"], user["active"]) for user in users] == [
        (one["id"], False),
        (two["id"], True),
    ]
    (ticket,) = get(zendesk, http, "tickets")["tickets"]
    assert ticket["requester_id"] == two["id"]


# -- lists ---------------------------------------------------------------------------------------


def test_a_list_is_paged_by_cursor_and_the_last_page_still_has_a_link(
    zendesk: Zendesk, http: requests.Session
) -> None:
    ids = [zendesk.world.add("users", at=PAST)["id"] for _ in range(5)]
    url, seen, more = f"{zendesk.url}/api/v2/users.json?page[size]=2", [], True
    while more:
        page = http.get(url).json()
        seen += [user["id"] for user in page["users"]]
        more, url = page["meta"]["has_more"], page["links"]["next"]
    assert seen == ids
    page = http.get(url).json()
    assert (page["users"], page["links"]["next"]) == ([], None)


def test_a_list_is_paged_by_number_down_to_row_10_000(
    zendesk: Zendesk, http: requests.Session
) -> None:
    for _ in range(3):
        zendesk.world.add("users", at=PAST)
    page = get(zendesk, http, "users", per_page=2)
    assert (page["count"], page["previous_page"]) == (3, None)
    page = http.get(page["next_page"]).json()
    assert (len(page["users"]), page["next_page"]) == (1, None)
    assert get(zendesk, http, "users", page=100)["users"] == []
    assert get(zendesk, http, "users", page=101)["error"] == "InvalidPaginationDepth"


def test_ratings_and_survey_answers_are_filtered(zendesk: Zendesk, http: requests.Session) -> None:
    ticket = zendesk.world.add("tickets", at=PAST)["id"]
    zendesk.world.rate(ticket, "good", "Thanks", at="2026-01-06T00:00:00Z")
    zendesk.world.rate(ticket, "bad", at="2026-01-07T00:00:00Z")
    path = "satisfaction_ratings"

    def scores(**query: Any) -> list[str]:
        return [each["score"] for each in get(zendesk, http, path, **query)[path]]

    assert scores() == ["good", "bad"]
    assert scores(score="good_with_comment") == ["good"]
    assert scores(score="bad_with_comment") == []
    assert scores(start_time=STAMP + 2 * 86_400) == ["bad"]
    assert scores(end_time=STAMP + 2 * 86_400) == ["good"]

    for day in (6, 7):
        row = {"subject_zrns": [f"zen:ticket:{day}"]}
        zendesk.world.add("survey_responses", row, at=f"2026-01-0{day}T00:00:00Z")
    query = {"filter[created_at_start]": (STAMP + 2 * 86_400) * 1000}
    (row,) = get(zendesk, http, "guide/survey_responses", **query)["survey_responses"]
    assert row["subject_zrns"] == ["zen:ticket:7"]
    rows = get(zendesk, http, "guide/survey_responses", sort="-id")["survey_responses"]
    assert [each["subject_zrns"] for each in rows] == [["zen:ticket:7"], ["zen:ticket:6"]]


def test_both_spellings_of_a_path_are_known(zendesk: Zendesk, http: requests.Session) -> None:
    for path in ("users/me", "users/me.json"):
        assert get(zendesk, http, path)["user"]["role"] == "admin"


# -- logins and refusals -------------------------------------------------------------------------


def test_a_refresh_gives_two_new_tokens_and_ends_the_old_ones(
    zendesk: Zendesk, http: requests.Session
) -> None:
    http.auth = None
    login = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-client-secret",
        "refresh_token": "sandbox-zendesk-refresh",
        "expires_in": 300,
    }
    url = f"{zendesk.url}/oauth/tokens"
    first = http.post(url, json=login).json()
    again = http.post(url, json=login)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    second = http.post(url, json=login | {"refresh_token": first["refresh_token"]}).json()

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return http.get(f"{zendesk.url}/api/v2/users/me", headers=headers).status_code

    assert [status(each["access_token"]) for each in (first, second)] == [401, 200]
    zendesk.clock.advance(301)
    assert status(second["access_token"]) == 401


def test_who_may_not_read_is_told_so_in_the_vendors_words(
    zendesk: Zendesk, http: requests.Session
) -> None:
    path = "incremental/tickets/cursor?start_time=0"
    zendesk.role = "agent"
    assert get(zendesk, http, path)["error"]["title"] == "Forbidden"
    assert get(zendesk, http, "tickets")["tickets"] == []
    zendesk.role = "admin"
    zendesk.faults.missing_scopes = {"satisfaction_ratings"}
    answer = http.get(f"{zendesk.url}/api/v2/satisfaction_ratings")
    assert (answer.status_code, answer.json()["error"]) == (403, "Forbidden")
    http.auth = (f"{zendesk.email}/token", "wrong")
    assert get(zendesk, http, "users/me") == {"error": "Couldn't authenticate you"}


def test_exports_have_a_bucket_of_their_own_and_say_so(
    zendesk: Zendesk, http: requests.Session
) -> None:
    zendesk.limits.off = False
    url = f"{zendesk.url}/api/v2/incremental/tickets/cursor?start_time=0"
    answers = [http.get(url) for _ in range(11)]
    assert [each.status_code for each in answers] == [200] * 10 + [429]
    name = "zendesk-ratelimit-incremental-exports-cursor"
    assert answers[0].headers[name] == "total=10; remaining=9; resets=60"
    assert answers[0].headers["x-rate-limit-remaining"] == "699"
    assert answers[-1].headers["Retry-After"] == "60"
    assert answers[-1].json()["error"] == "APIRateLimitExceeded"
    assert http.get(f"{zendesk.url}/api/v2/users/me").status_code == 200
    zendesk.limits.reset()
    zendesk.plan("team")
    assert http.get(url).headers["ratelimit-limit"] == "200"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("incremental/tickets/cursor?start_time=now", 400),
        ("incremental/tickets/cursor?cursor=broken", 400),
        ("incremental/tickets/cursor?start_time=0&per_page=1001", 400),
        ("incremental/organizations/cursor?start_time=0", 404),
        ("users?page[size]=101", 400),
        ("users?page[after]=broken", 400),
        ("users/1e9", 404),
        ("tickets/999/metrics", 404),
        ("nowhere", 404),
    ],
)
def test_a_bad_request_is_refused(
    path: str, status: int, zendesk: Zendesk, http: requests.Session
) -> None:
    answer = http.get(f"{zendesk.url}/api/v2/{path}")
    assert answer.status_code == status
    assert answer.json()["error"]


def test_an_account_has_one_kind_of_surveys_and_pages_may_be_cut(
    zendesk: Zendesk, http: requests.Session
) -> None:
    for _ in range(3):
        zendesk.world.add("survey_responses", at=PAST)
        zendesk.world.add("users", at=PAST)
    zendesk.surveys, zendesk.page_cap = "survey_responses", 2
    page = get(zendesk, http, "guide/survey_responses", **{"page[size]": 100})
    assert (len(page["survey_responses"]), page["meta"]["has_more"]) == (2, True)
    assert "links" not in page
    assert get(zendesk, http, "satisfaction_ratings")["error"] == "RecordNotFound"
    page = get(zendesk, http, "incremental/users/cursor", start_time=0, per_page=1000)
    assert (len(page["users"]), page["end_of_stream"]) == (2, False)
