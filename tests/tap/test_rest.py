"""The source `rest`: paging in every way, children of parents, bookmarks, logins."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from tests.tap.running import command, last_state, records, run

BASE = "https://api.test/v1"
ROWS = [{"id": n, "changed": f"2026-01-{n:02}T00:00:00+02:00"} for n in range(1, 8)]


def settings(*streams: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"sources": {"rest": {"base_url": BASE, "streams": list(streams)} | others}}


def things(**others: Any) -> dict[str, Any]:
    return {"name": "things", "path": "/things", "primary_keys": ["id"]} | others


def query(request: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def serve(answer: Any, path: str = "/things") -> None:
    """Answer with what ``answer`` makes of the query: a body, or (status, headers, body)."""

    def callback(request: Any) -> tuple[int, dict[str, str], str]:
        found = answer(query(request))
        status, headers, body = found if isinstance(found, tuple) else (200, {}, found)
        return status, headers, json.dumps(body)

    responses.add_callback(responses.GET, BASE + path, callback)


@responses.activate
@pytest.mark.parametrize(
    ("paginator", "answer"),
    [
        (
            {"type": "page_number", "total_path": "pages", "limit_param": "size", "limit": 100},
            lambda q: {"rows": ROWS[3 * int(q["page"]) - 3 : 3 * int(q["page"])], "pages": 3},
        ),
        (
            {"type": "page_number", "base_page": 0},
            lambda q: {"rows": ROWS[3 * int(q["page"]) : 3 * int(q["page"]) + 3]},
        ),
        (  # the server cuts the limit to 2
            {"type": "offset", "limit": 50, "limit_param": "limit"},
            lambda q: {"rows": ROWS[int(q["offset"]) : int(q["offset"]) + 2]},
        ),
        (  # an empty page in the middle
            {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"},
            lambda q: {
                None: {"rows": ROWS[:3], "meta": {"next": "b"}},
                "b": {"rows": [], "meta": {"next": "c"}},
                "c": {"rows": ROWS[3:], "meta": {}},
            }[q.get("after")],
        ),
        (  # a link to another host is followed on the configured one
            {"type": "json_link", "next_url_path": "links.next"},
            lambda q: (
                {"rows": ROWS[4:]}
                if q.get("p")
                else {"rows": ROWS[:4], "links": {"next": "https://elsewhere.test/v1/things?p=2"}}
            ),
        ),
        (
            {"type": "header_link"},
            lambda q: (
                {"rows": ROWS[4:]}
                if q.get("p")
                else (200, {"Link": f'<{BASE}/things?p=2>; rel="next"'}, {"rows": ROWS[:4]})
            ),
        ),
        ({"type": "single_page"}, lambda q: {"rows": ROWS, "next": "/things"}),
        ({}, lambda q: {"rows": ROWS}),
    ],
    ids=["pages", "pages until empty", "offset", "cursor", "json link", "header", "single", "auto"],
)
def test_every_row_comes_once_however_the_api_pages(paginator, answer):
    serve(answer)
    given = {"type": "auto"} | paginator
    found = run(settings(things(data_selector="rows", paginator=given)))
    assert records(found, "things") == ROWS
    assert {urlsplit(call.request.url).hostname for call in responses.calls} == {"api.test"}


@responses.activate
def test_a_page_that_leads_to_itself_ends_the_stream(caplog):
    serve(lambda q: {"rows": ROWS[:1], "next": f"{BASE}/things?p=1"})
    found = run(settings(things(data_selector="rows")))
    assert records(found, "things") == ROWS[:1]
    assert "the next page is the same page again" in caplog.text


@responses.activate
def test_the_next_run_asks_from_the_bookmark_less_the_lag():
    incremental = {"cursor_path": "changed", "start_param": "since", "lag_s": 60}
    config = settings(things(incremental=incremental)) | {"start_date": "2026-01-01T00:00:00Z"}
    serve(lambda q: ROWS)
    state = last_state(run(config))
    assert state["bookmarks"]["things"] == {
        "replication_key": "changed",
        "replication_key_value": "2026-01-06T22:00:00.000000Z",
    }
    run(config, state)
    assert [query(call.request)["since"] for call in responses.calls] == [
        "2026-01-01T00:00:00Z",
        "2026-01-06T21:59:00Z",
    ]


@responses.activate
@pytest.mark.parametrize(
    ("format", "asked"),
    [("epoch_s", "1767225600"), ("epoch_ms", "1767225600000"), ("date", "2026-01-01")],
)
def test_the_bookmark_is_asked_for_as_the_api_wants_it(format, asked):
    incremental = {"cursor_path": "changed", "format": format}
    place = things(params={"q": "after {incremental.start_value}"}, incremental=incremental)
    serve(lambda q: [])
    run(settings(place) | {"start_date": "2026-01-01T00:00:00Z"})
    assert query(responses.calls[0].request)["q"] == f"after {asked}"


@responses.activate
def test_an_interrupted_run_keeps_its_bookmark_unless_rows_are_in_order():
    def answer(q):
        return {"rows": ROWS[:3], "next": f"{BASE}/things?p=2"} if not q.get("p") else (400, {}, {})

    serve(answer)
    for order, value in ((None, None), ("asc", "2026-01-02T22:00:00.000000Z")):
        incremental = {"cursor_path": "changed"} | ({"row_order": order} if order else {})
        state = last_state(run(settings(things(data_selector="rows", incremental=incremental))))
        kept = state["bookmarks"].get("things", {}).get("replication_key_value")
        assert kept == value


@responses.activate
def test_children_are_read_for_each_row_of_the_parent_and_know_it():
    serve(lambda q: {"rows": ROWS[:2]})
    serve(lambda q: [{"n": "a"}], "/things/1/parts")
    serve(lambda q: (404, {}, {}), "/things/2/parts")
    child = {
        "name": "parts",
        "path": "/things/{resources.things.id}/parts",
        "primary_keys": ["_things_id", "n"],
        "parent": "things",
        "include_from_parent": ["id"],
    }
    parent = things(data_selector="rows", incremental={"cursor_path": "changed"})
    found = run(settings(parent, child))
    assert records(found, "parts") == [{"n": "a", "_things_id": 1}]
    assert last_state(found)["bookmarks"]["parts"]["replication_key_value"].startswith("2026-01-01")


@responses.activate
def test_rows_of_which_the_list_only_has_the_id_are_fetched():
    serve(lambda q: {"items": [{"id": 7}]})
    serve(lambda q: {"id": 7, "subject": "X"}, "/thing/7")
    found = run(settings(things(data_selector="items", row_path="/thing/{id}")))
    assert records(found, "things") == [{"id": 7, "subject": "X"}]


@responses.activate
@pytest.mark.parametrize(
    ("login", "header", "value"),
    [
        ({"access_token": "t"}, "Authorization", "Bearer t"),
        ({"access_token": "t", "auth_scheme": "token"}, "Authorization", "token t"),
        (
            {"username": "u", "password": "p"},
            "Authorization",
            "Basic " + base64.b64encode(b"u:p").decode(),
        ),
        ({"api_key": "k"}, "X-API-Key", "k"),
        ({"headers": {"X-Team": "crm"}}, "X-Team", "crm"),
    ],
)
def test_logins(login, header, value):
    serve(lambda q: [])
    run(settings(things(), **login))
    assert responses.calls[0].request.headers[header] == value


@responses.activate
def test_a_token_is_fetched_once_and_renewed_when_it_is_not_taken():
    tokens = iter(["old", "new"])
    responses.add_callback(
        responses.POST,
        "https://login.test/token",
        lambda request: (200, {}, json.dumps({"access_token": next(tokens), "expires_in": 900})),
    )

    def answer(request):
        is_new = request.headers["Authorization"] == "Bearer new"
        return (200, {}, json.dumps(ROWS)) if is_new else (401, {}, "{}")

    responses.add_callback(responses.GET, f"{BASE}/things", answer)
    oauth = {"token_url": "https://login.test/token", "client_id": "c", "client_secret": "s"}
    assert records(run(settings(things(), **oauth)), "things") == ROWS


@pytest.mark.parametrize(
    ("streams", "sentence"),
    [
        ([things(parent="x")], "`parent` must name a stream above it that has none"),
        ([things(path="/{resources.x.id}")], "`{resources.x.…}` is not its `parent`"),
        ([things(primary_keys=[])], "sources.rest.streams.0.primary_keys"),
        ([things(), things()], "two streams have the same name"),
    ],
)
def test_wrong_settings_are_named(tmp_path, streams, sentence):
    done = command(tmp_path, config=settings(*streams))
    assert done.returncode == 2
    assert sentence in done.stderr


@responses.activate
def test_no_secret_appears_anywhere(tmp_path):
    responses.get(f"{BASE}/things", status=403, json={"error": "ana@acme.test s3cr3t"})
    config = settings(things(), api_key="s3cr3t", api_key_in="query", api_key_name="key")
    done = command(tmp_path, config=config)
    assert done.returncode == 1
    assert "GET /things: HTTP 403" in done.stderr
    assert "s3cr3t" not in done.stderr + done.stdout
    assert "ana@" not in done.stderr


@responses.activate
def test_a_check_shows_what_is_readable_and_no_content(tmp_path):
    serve(lambda q: {"rows": [{"id": 1, "mail": "ana@acme.test"}]})
    serve(lambda q: (403, {}, {}), "/others")
    one = things(data_selector="rows")
    other = {"name": "others", "path": "/others", "primary_keys": ["id"]}
    done = command(tmp_path, "--test", config=settings(one, other))
    assert "ok      things: 1 row seen" in done.stderr
    assert "error   others: GET /others: HTTP 403" in done.stderr
    assert (done.returncode, done.stdout) == (1, "")
    assert "ana@" not in done.stderr
