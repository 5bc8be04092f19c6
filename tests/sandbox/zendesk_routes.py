"""Zendesk's addresses: incremental exports by cursor and by time, lists and single rows."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.sandbox.base import Answer, RefusedError, Request, Routes, moment
from tests.sandbox.zendesk_world import Row, ticket_event

if TYPE_CHECKING:
    from tests.sandbox.zendesk import Zendesk

WITHHELD_S = 60  # exports do not show the last minute
EXPORT_PAGE = 1000  # rows, at most and by default
LIST_PAGE = 100
DEEPEST_OFFSET = 10_000  # rows
LISTED = {
    "tickets",
    "users",
    "organizations",
    "groups",
    "brands",
    "ticket_fields",
    "ticket_forms",
    "custom_statuses",
    "user_fields",
    "organization_fields",
    "ticket_metrics",
    "deleted_tickets",
}
WITHOUT_ADDRESS = {"ticket_metric_events", "deleted_tickets", "survey_responses", "ticket_audits"}

routes = Routes()


def path(request: Request) -> str:
    """Both spellings of a path are one."""
    return request.path.removeprefix("/api/v2").removesuffix(".json")


def not_found() -> Answer:
    return Answer(404, {"error": "RecordNotFound", "description": "Not found"})


def _invalid(description: str, error: str = "InvalidValue", status: int = 400) -> RefusedError:
    return RefusedError(status, {"error": error, "description": description})


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.get(name, str(default)) or ""
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise _invalid(f"{name} must be a number between 1 and {most}")
    return int(text)


def _size(zendesk: Zendesk, request: Request, name: str, most: int) -> int:
    return min(_number(request, name, most, most), zendesk.page_cap or most)


def base(zendesk: Zendesk, request: Request) -> str:
    """Where links lead."""
    return f"{zendesk.link_host or request.base_url}/api/v2"


def shown(zendesk: Zendesk, request: Request, kind: str, row: Row) -> Row:
    """A row as lists write it: with its address, and without what only exports tell."""
    if kind in WITHOUT_ADDRESS:
        return row
    kind = "ticket_metrics" if kind == "metric_sets" else kind
    told = {name: value for name, value in row.items() if name != "generated_timestamp"}
    return {"url": f"{base(zendesk, request)}/{kind}/{row['id']}.json", **told}


def _link(zendesk: Zendesk, request: Request, query: dict[str, Any]) -> str:
    """This request's address with another query."""
    return f"{base(zendesk, request)}{path(request)}.json?{urlencode(query)}"


# -- incremental exports -------------------------------------------------------------------------


def _start_time(zendesk: Zendesk, request: Request) -> int:
    text = request.get("start_time")
    seconds, _, fraction = (text or "").partition(".")  # Python's clients write 1767225600.0
    if not seconds.isdigit() or not (fraction or "0").isdigit():
        raise _invalid("start_time is missing or no number of seconds", "InvalidStartTime")
    if int(seconds) > zendesk.clock.now().timestamp() - WITHHELD_S:
        raise _invalid(
            "Too recent start_time. Use a start_time older than 60 seconds", "StartTimeTooRecent"
        )
    return int(seconds)


def _until(zendesk: Zendesk) -> int:
    return int(zendesk.clock.now().timestamp()) - WITHHELD_S


def _cursor(stamp: int, row_id: int) -> str:
    return base64.b64encode(f"{stamp}.0||{row_id}|".encode()).decode()


def _read_cursor(text: str) -> tuple[int, int]:
    try:
        stamp, _, row_id, _ = base64.b64decode(text).decode().split("|")
        return int(float(stamp)), int(row_id)
    except ValueError as error:
        raise _invalid("cursor is not valid", "InvalidPaginationParameter") from error


@routes("GET", "/incremental/{kind}/cursor")
def _cursor_export(zendesk: Zendesk, request: Request, kind: str) -> Answer:
    if kind not in {"tickets", "users"}:
        return not_found()
    size = _size(zendesk, request, "per_page", EXPORT_PAGE)
    text = request.get("cursor")
    after = _read_cursor(text) if text else (_start_time(zendesk, request), 0)
    rows, last = zendesk.world.page_after(kind, after, _until(zendesk), size)
    stamp, row_id = rows[-1][:2] if rows else after
    cursor = _cursor(stamp, row_id)
    names = ("per_page", "include", "exclude_deleted")
    keep = {name: request.get(name) for name in names if name in request.query}
    if request.flag("exclude_deleted"):  # pages are cut before: one may hold no row
        rows = [each for each in rows if each[2].get("status") != "deleted"]
    body = {
        kind: [_exported(zendesk, request, kind, row) for _, _, row in rows],
        **_included(zendesk, request, [row for _, _, row in rows]),
        "after_url": _link(zendesk, request, {"cursor": cursor, **keep}),
        "before_url": None,
        "after_cursor": cursor,
        "before_cursor": None,
        "end_of_stream": last,
    }
    return Answer(200, body)


@routes("GET", "/incremental/{kind}")
def _time_export(zendesk: Zendesk, request: Request, kind: str) -> Answer:
    kinds = {"tickets", "users", "organizations", "ticket_events", "ticket_metric_events"}
    if kind not in kinds:
        return not_found()
    start = _start_time(zendesk, request)
    size = _size(zendesk, request, "per_page", EXPORT_PAGE)
    rows = zendesk.world.since(kind, start, _until(zendesk))
    page = rows[:size]
    if kind in {"users", "organizations"} and page and page[-1][0] > start:
        end_time: int | None = page[-1][0]  # rows of this second come once more
    else:  # a second is never cut: the page may be longer than asked for
        while len(page) < len(rows) and rows[len(page)][0] == page[-1][0]:
            page.append(rows[len(page)])
        end_time = page[-1][0] + (len(page) < len(rows)) if page else None
    keep: Row = {
        name: request.get(name) for name in ("include", "per_page") if name in request.query
    }
    following = _link(zendesk, request, {**keep, "start_time": end_time}) if page else None
    body = {
        kind: [_exported(zendesk, request, kind, row) for _, _, row in page],
        **_included(zendesk, request, [row for _, _, row in page]),
        "count": len(page),
        "end_of_stream": len(page) == len(rows),
        "next_page": following,
        "end_time": end_time,
    }
    return Answer(200, body)


def _exported(zendesk: Zendesk, request: Request, kind: str, row: Row) -> Row:
    if kind == "ticket_events":
        with_comments = "comment_events" in (request.get("include") or "")
        return ticket_event(row, with_comments=with_comments)
    told = shown(zendesk, request, kind, row)
    if kind == "tickets":
        told["generated_timestamp"] = row["generated_timestamp"]
    return told


def _included(zendesk: Zendesk, request: Request, rows: list[Row]) -> dict[str, list[Row]]:
    """Rows that `include` asks for beside the page's own."""
    world, found = zendesk.world, {}
    for name in (request.get("include") or "").split(","):
        if name == "users":
            ids: set[Any] = {r.get(key) for r in rows for key in ("requester_id", "assignee_id")}
            found[name] = [
                world.tables["users"][i] for i in sorted(ids & world.tables["users"].keys())
            ]
        elif name in {"organizations", "groups"}:
            ids = {row.get(f"{name[:-1]}_id") for row in rows} & world.tables[name].keys()
            found[name] = [world.tables[name][each] for each in sorted(ids)]
        elif name == "metric_sets":
            found[name] = [world.metric_set(row["id"]) for row in rows]
    return {
        name: [shown(zendesk, request, name, row) for row in rows] for name, rows in found.items()
    }


# -- lists and single rows -----------------------------------------------------------------------


def _page(
    zendesk: Zendesk,
    request: Request,
    kind: str,
    rows: list[Row],
    name: str | None = None,
    *,
    by_number: bool = True,
) -> Answer:
    """One page of a list: by cursor if `page[…]` is asked for, else by number."""
    name = name or kind
    if any(key.startswith("page[") for key in request.query) or not by_number:
        page, ends = _cursor_page(zendesk, request, rows)
    else:
        page, ends = _offset_page(zendesk, request, rows)
    return Answer(200, {name: [shown(zendesk, request, kind, row) for row in page], **ends})


def _cursor_page(
    zendesk: Zendesk, request: Request, rows: list[Row]
) -> tuple[list[Row], dict[str, Any]]:
    size = _size(zendesk, request, "page[size]", LIST_PAGE)
    backwards = request.get("sort") == "-id"
    rows = sorted(rows, key=lambda row: row["id"], reverse=backwards)
    if after := request.get("page[after]"):
        try:
            value = json.loads(base64.b64decode(after))["v"]
            rows = [r for r in rows if (r["id"] < value if backwards else r["id"] > value)]
        except (ValueError, KeyError, TypeError) as error:
            raise _invalid("page[after] is not valid", "InvalidPaginationParameter") from error
    page = rows[:size]
    other = {name: values[-1] for name, values in request.query.items() if "page[" not in name}
    meta: dict[str, Any] = {"has_more": len(rows) > size}
    links: dict[str, str | None] = {}
    for meta_name, link_name, key in (("after", "next", -1), ("before", "prev", 0)):
        cursor = _list_cursor(page[key]["id"]) if page else None
        meta[f"{meta_name}_cursor"] = cursor
        query: dict[str, Any] = {f"page[{meta_name}]": cursor, "page[size]": size, **other}
        # As recorded, the last page has a next link, too; only an empty page has none.
        address = f"{base(zendesk, request)}{path(request)}.json?{urlencode(query)}"
        links[link_name] = address if page else None
    return page, {"meta": meta, "links": links}


def _list_cursor(value: Any) -> str:
    return base64.b64encode(json.dumps({"o": "id", "v": value}).encode()).decode()


def _offset_page(
    zendesk: Zendesk, request: Request, rows: list[Row]
) -> tuple[list[Row], dict[str, Any]]:
    size = _size(zendesk, request, "per_page", LIST_PAGE)
    number = _number(request, "page", 1, 10**9)
    if number * size > DEEPEST_OFFSET:
        raise _invalid(
            f"Pagination is limited to {DEEPEST_OFFSET} records; use cursor pagination",
            "InvalidPaginationDepth",
        )
    keep = {name: values[-1] for name, values in request.query.items() if name != "page"}
    more = number * size < len(rows)
    ends = {
        "next_page": _link(zendesk, request, {**keep, "page": number + 1}) if more else None,
        "previous_page": _link(zendesk, request, {**keep, "page": number - 1})
        if number > 1
        else None,
        "count": len(rows),
    }
    return rows[(number - 1) * size : number * size], ends


@routes("GET", "/ticket_audits")
def _all_audits(zendesk: Zendesk, request: Request) -> Answer:
    rows = zendesk.world.listed("ticket_audits")
    return _page(zendesk, request, "ticket_audits", rows, "audits", by_number=False)


@routes("GET", "/satisfaction_ratings")
def _ratings(zendesk: Zendesk, request: Request) -> Answer:
    rows = zendesk.world.listed("satisfaction_ratings")
    score = request.get("score")
    if score in {"good_with_comment", "bad_with_comment"}:
        rows = [row for row in rows if row["score"] == score.split("_")[0] and row["comment"]]
    elif score == "received":
        rows = [row for row in rows if row["score"] in {"good", "bad"}]
    elif score:
        rows = [row for row in rows if row["score"] == score]
    rows = _between(request, rows, "start_time", "end_time")
    return _page(zendesk, request, "satisfaction_ratings", rows)


@routes("GET", "/guide/survey_responses")
def _survey_responses(zendesk: Zendesk, request: Request) -> Answer:
    rows = zendesk.world.listed("survey_responses")
    rows = _between(request, rows, "filter[created_at_start]", "filter[created_at_end]")
    if zrns := request.get("filter[subject_zrns]"):
        rows = [row for row in rows if set(zrns.split(",")) & set(row["subject_zrns"])]
    if (request.get("sort") or "id") not in {"id", "-id"}:
        raise _invalid("sort must be id or -id", "InvalidSort")
    answer = _page(zendesk, request, "survey_responses", rows, by_number=False)
    del answer.body["links"]  # as the reference shows it: the cursor alone
    return answer


@routes("GET", "/{kind}")
def _list(zendesk: Zendesk, request: Request, kind: str) -> Answer:
    if kind not in LISTED:
        return not_found()
    return _page(zendesk, request, kind, zendesk.world.listed(kind))


@routes("GET", "/users/me")
def _me(zendesk: Zendesk, request: Request) -> Answer:
    return Answer(200, {"user": zendesk.user(request)})


@routes("GET", "/{kind}/show_many")
def _many(zendesk: Zendesk, request: Request, kind: str) -> Answer:
    if kind not in LISTED:
        return not_found()
    table = zendesk.world.tables[kind]
    ids = [int(each) for each in (request.get("ids") or "").split(",") if each.isdigit()]
    if len(ids) > LIST_PAGE:
        words = "Parameter ids cannot specify more than 100 values"
        body = {"error": "TooManyValues", "description": words, "max_count": LIST_PAGE}
        raise RefusedError(400, body)
    return _page(zendesk, request, kind, [table[each] for each in ids if each in table])


@routes("GET", "/{kind}/{row_id}")
def _one(zendesk: Zendesk, request: Request, kind: str, row_id: str) -> Answer:
    table = zendesk.world.tables[kind] if kind in LISTED | {"satisfaction_ratings"} else {}
    row = table.get(int(row_id)) if row_id.isdigit() else None
    if row is None or row.get("status") == "deleted":
        return not_found()
    name = "custom_status" if kind == "custom_statuses" else kind.removesuffix("s")
    return Answer(200, {name: shown(zendesk, request, kind, row)})


@routes("GET", "/tickets/{ticket_id}/audits")
def _audits(zendesk: Zendesk, request: Request, ticket_id: str) -> Answer:
    audits = zendesk.world.tables["ticket_audits"].values()
    rows = sorted(
        (row for row in audits if str(row["ticket_id"]) == ticket_id), key=lambda row: row["id"]
    )
    return _page(zendesk, request, "ticket_audits", rows, "audits") if rows else not_found()


@routes("GET", "/tickets/{ticket_id}/metrics")
def _metrics(zendesk: Zendesk, request: Request, ticket_id: str) -> Answer:
    if not ticket_id.isdigit() or int(ticket_id) not in zendesk.world.tables["tickets"]:
        return not_found()
    row = zendesk.world.metric_set(int(ticket_id))
    return Answer(200, {"ticket_metric": shown(zendesk, request, "ticket_metrics", row)})


@routes("GET", "/users/{user_id}/identities")
def _identities(zendesk: Zendesk, request: Request, user_id: str) -> Answer:
    user = zendesk.world.tables["users"].get(int(user_id) if user_id.isdigit() else 0)
    if user is None:
        return not_found()
    row = {"id": user["id"] + 1, "user_id": user["id"], "type": "email", "value": user["email"]}
    row |= {"verified": True, "primary": True, "created_at": user["created_at"]}
    row["updated_at"] = user["updated_at"]
    return _page(zendesk, request, "identities", [row] if user["email"] else [])


def _between(request: Request, rows: list[Row], start: str, end: str) -> list[Row]:
    """The rows that were created in a window of seconds, milliseconds or ISO times."""
    try:
        begins, ends = (_seconds(request.get(name)) for name in (start, end))
    except ValueError as error:
        raise _invalid(f"{start} or {end} is no time") from error
    stamps = [(moment(row["created_at"]).timestamp(), row) for row in rows]
    if begins is not None:
        stamps = [each for each in stamps if each[0] >= begins]
    if ends is not None:
        stamps = [each for each in stamps if each[0] < ends]
    return [row for _, row in stamps]


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    if not text.isdigit():
        return moment(text).timestamp()
    return int(text) / (1000 if len(text) > 11 else 1)
