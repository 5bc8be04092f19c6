"""What a Zendesk account holds: tickets with their audits, users, organizations, answers.

Times are ISO texts as the API writes them. A row is exported under its stamp (unix seconds):
`generated_timestamp` of a ticket, which moves with every change and also without one (`touch`),
`updated_at` of a user or organization.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from tests.sandbox.base import Clock, RLock, iso, locked, moment

Row = dict[str, Any]
KINDS = (
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
    "ticket_audits",
    "ticket_metrics",
    "ticket_metric_events",
    "satisfaction_ratings",
    "survey_responses",
    "deleted_tickets",
)
FIRST_ID = 6130000000000  # ids of today's accounts need more than 32 bits

# What a row holds when a test does not say so; as recorded answers show it.
DEFAULTS: dict[str, Row] = {
    "tickets": {
        "external_id": None,
        "via": {"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
        "type": None,
        "subject": "",
        "description": "",
        "priority": None,
        "status": "new",
        "recipient": None,
        "requester_id": None,
        "submitter_id": None,
        "assignee_id": None,
        "organization_id": None,
        "group_id": None,
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": None,
        "has_incidents": False,
        "is_public": True,
        "due_at": None,
        "tags": [],
        "custom_fields": [],
        "satisfaction_rating": None,
        "sharing_agreement_ids": [],
        "custom_status_id": None,
        "fields": [],
        "followup_ids": [],
        "ticket_form_id": None,
        "brand_id": None,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": False,
    },
    "users": {
        "name": "",
        "email": None,
        "time_zone": "America/New_York",
        "iana_time_zone": "America/New_York",
        "phone": None,
        "shared_phone_number": None,
        "photo": None,
        "locale_id": 1,
        "locale": "en-US",
        "organization_id": None,
        "role": "end-user",
        "verified": False,
        "external_id": None,
        "tags": [],
        "alias": None,
        "active": True,
        "shared": False,
        "shared_agent": False,
        "last_login_at": None,
        "two_factor_auth_enabled": None,
        "signature": None,
        "details": None,
        "notes": None,
        "role_type": None,
        "custom_role_id": None,
        "moderator": False,
        "ticket_restriction": "requested",
        "only_private_comments": False,
        "restricted_agent": True,
        "suspended": False,
        "default_group_id": None,
        "report_csv": False,
        "user_fields": {},
    },
    "organizations": {
        "name": "",
        "shared_tickets": False,
        "shared_comments": False,
        "external_id": None,
        "domain_names": [],
        "details": None,
        "notes": None,
        "group_id": None,
        "tags": [],
        "organization_fields": {},
    },
    "ticket_fields": {
        "type": "tagger",
        "title": "",
        "raw_title": "",
        "description": "",
        "position": 1,
        "active": True,
        "required": False,
        "removable": True,
        "custom_field_options": [],
    },
    "satisfaction_ratings": {
        "assignee_id": None,
        "group_id": None,
        "requester_id": None,
        "score": "offered",
        "comment": None,
        "reason": None,
        "reason_id": None,
    },
    "survey_responses": {
        "responder_id": None,
        "subject_zrns": [],
        "subjects": [],
        "survey": {"id": "survey-1", "version": 1, "state": "enabled"},
        "expires_at": None,
        "answers": [],
    },
}
_NOT_AUDITED = {"updated_at", "created_at", "generated_timestamp", "fields", "via", "tags"}


class ZendeskWorld:
    """The state. Rows that tests get back are copies: change them through the methods."""

    def __init__(self, clock: Clock, lock: RLock) -> None:
        self.clock = clock
        self.lock = lock
        self.tables: dict[str, dict[Any, Row]] = {kind: {} for kind in KINDS}
        self.archived: set[int] = set()  # tickets that lists do not show any more
        self._ids = count(FIRST_ID)
        self._ticket_ids = count(1)
        self._exports: dict[str, list[tuple[int, int, Row]]] = {}
        self._metric_sets: dict[int, Row] = {}  # by ticket
        self._instances: Counter[tuple[int, str]] = Counter()  # of a metric of a ticket

    # -- what tests write ------------------------------------------------------------------------

    @locked
    def add(self, kind: str, row: Mapping[str, Any] | None = None, at: str | None = None) -> Row:
        """A new row; what it does not say is as the vendor fills it. `at`: when it was made."""
        now = at or iso(self.clock.now())
        new: Row = _copy(DEFAULTS.get(kind, {})) | {"created_at": now, "updated_at": now}
        new = {"id": self._new_id(kind)} | new | _copy(row or {})
        if kind == "ticket_metric_events":
            new = {name: new[name] for name in new if name not in {"created_at", "updated_at"}}
            new.setdefault("time", now)
        if kind == "tickets":
            new.setdefault("raw_subject", new["subject"])
            new["fields"] = new["custom_fields"]
            new.setdefault("generated_timestamp", _stamp(new["updated_at"]))
        self._put(kind, new)
        if kind == "tickets":
            self._opened(new)
        return _copy(new)

    @locked
    def update(
        self, kind: str, row_id: Any, changes: Mapping[str, Any], at: str | None = None
    ) -> Row:
        """Change a row; a ticket writes an audit and moves its metrics."""
        now = at or iso(self.clock.now())
        row = self.tables[kind][row_id]
        before = _copy(row)
        row.update(_copy(changes))
        row["updated_at"] = now
        if kind == "tickets":
            if "custom_fields" in changes:
                given = {field["id"]: field for field in changes["custom_fields"]}
                kept = [f for f in before["custom_fields"] if f["id"] not in given]
                row["custom_fields"] = row["fields"] = kept + list(given.values())
            row["generated_timestamp"] = max(row["generated_timestamp"], _stamp(now))
            self._audit(row, _changes(before, row), now)
            if row["status"] != before["status"]:
                self._status_changed(row, before["status"], now)
        self._put(kind, row)
        return _copy(row)

    @locked
    def comment(
        self,
        ticket_id: int,
        *,
        author_id: int | None = None,
        body: str = "",
        public: bool = True,
        at: str | None = None,
    ) -> None:
        """A comment; the first public one of somebody else than the requester is the reply."""
        now = at or iso(self.clock.now())
        ticket = self.tables["tickets"][ticket_id]
        event = {"type": "Comment", "author_id": author_id, "body": body, "public": public}
        self._audit(ticket, [event], now, author_id)
        ticket["updated_at"] = now
        ticket["generated_timestamp"] = max(ticket["generated_timestamp"], _stamp(now))
        metric = self.metric_set(ticket_id)
        metric["latest_comment_added_at"] = now
        if public and author_id != ticket["requester_id"]:
            metric["replies"] += 1
            if metric["replies"] == 1:
                minutes = (_stamp(now) - _stamp(ticket["created_at"])) // 60
                metric["reply_time_in_minutes"] = {"calendar": minutes, "business": minutes}
                self._measured(ticket_id, "reply_time", "fulfill", now)
        self._put("tickets", ticket)

    @locked
    def touch(self, ticket_id: int, at: str | None = None) -> None:
        """A change by the system: the export shows the ticket again, `updated_at` stays."""
        ticket = self.tables["tickets"][ticket_id]
        ticket["generated_timestamp"] = _stamp(at or iso(self.clock.now()))
        self._put("tickets", ticket)

    @locked
    def archive(self, ticket_id: int) -> None:
        """A ticket closed long ago: exports and `/tickets/{id}` still know it, lists do not."""
        self.archived.add(ticket_id)

    @locked
    def delete(self, kind: str, row_id: Any, at: str | None = None) -> None:
        """A ticket is exported as deleted and listed under deleted tickets; others are gone."""
        now = at or iso(self.clock.now())
        if kind == "tickets":
            ticket = self.tables[kind][row_id]
            gone = {
                "id": row_id,
                "subject": ticket["subject"],
                "actor": {"id": 1, "name": "Admin"},
                "deleted_at": now,
                "previous_state": ticket["status"],
            }
            self.tables["deleted_tickets"][row_id] = gone
            ticket |= {"status": "deleted", "updated_at": now, "generated_timestamp": _stamp(now)}
            self._put(kind, ticket)
        elif kind == "users":  # a deleted user stays, inactive
            self.update(kind, row_id, {"active": False}, at)
        else:
            del self.tables[kind][row_id]
            self._exports.pop(kind, None)

    @locked
    def merge(self, loser_id: int, winner_id: int, at: str | None = None) -> None:
        """Merge two users: the tickets of one become the other's, and the one is inactive."""
        for ticket in list(self.tables["tickets"].values()):
            if ticket["requester_id"] == loser_id:
                self.update("tickets", ticket["id"], {"requester_id": winner_id}, at)
        self.update("users", loser_id, {"active": False, "email": None}, at)
        self.update("users", winner_id, {}, at)

    @locked
    def rate(
        self, ticket_id: int, score: str, comment: str | None = None, at: str | None = None
    ) -> Row:
        """A satisfaction rating of the older kind, which the ticket carries, too."""
        ticket = self.tables["tickets"][ticket_id]
        row = {"ticket_id": ticket_id, "score": score, "comment": comment}
        row |= {name: ticket[name] for name in ("requester_id", "assignee_id", "group_id")}
        rating = self.add("satisfaction_ratings", row, at)
        short = {"id": rating["id"], "score": score, "comment": comment}
        self.update("tickets", ticket_id, {"satisfaction_rating": short}, at)
        return rating

    @locked
    def clear(self) -> None:
        """Empty the account."""
        self.__init__(self.clock, self.lock)  # type: ignore[misc]  # the same as a new one

    # -- what routes read ------------------------------------------------------------------------

    def exported(self, kind: str) -> list[tuple[int, int, Row]]:
        """All rows of a kind as (stamp, id, row), in the order of the export."""
        if kind not in self._exports:
            stamp = _STAMPS[kind]
            rows = self.tables["ticket_audits" if kind == "ticket_events" else kind].values()
            self._exports[kind] = sorted(
                ((stamp(row), row["id"], row) for row in rows), key=lambda each: each[:2]
            )
        return self._exports[kind]

    def page_after(
        self, kind: str, after: tuple[int, int], until: int, size: int
    ) -> tuple[list[tuple[int, int, Row]], bool]:
        """Rows behind (stamp, id) up to a stamp, and whether these are all of them."""
        rows = self.exported(kind)
        start = bisect_right(rows, after, key=lambda each: each[:2])
        stop = bisect_right(rows, until, key=lambda each: each[0])
        return rows[start : min(start + size, stop)], start + size >= stop

    def since(self, kind: str, stamp: int, until: int) -> list[tuple[int, int, Row]]:
        """Rows with stamp <= their stamp <= until."""
        rows = self.exported(kind)
        start = bisect_left(rows, stamp, key=lambda each: each[0])
        return rows[start : bisect_right(rows, until, key=lambda each: each[0])]

    def metric_set(self, ticket_id: int) -> Row:
        return self._metric_sets[ticket_id]

    def listed(self, kind: str) -> list[Row]:
        """The rows that a list shows, in the order of their ids."""
        rows: Iterable[Row] = self.tables[kind].values()
        if kind == "tickets":
            gone = self.archived | set(self.tables["deleted_tickets"])
            rows = (row for row in rows if row["id"] not in gone)
        elif kind in {"ticket_metrics", "ticket_audits"}:
            rows = (row for row in rows if row["ticket_id"] not in self.archived)
        elif kind == "users":
            rows = (row for row in rows if row["active"])
        return sorted(rows, key=lambda row: row["id"])

    # -- inside ----------------------------------------------------------------------------------

    def _new_id(self, kind: str) -> Any:
        if kind == "survey_responses":
            return f"01J{next(self._ids)}"
        return next(self._ticket_ids if kind == "tickets" else self._ids)

    def _put(self, kind: str, row: Row) -> None:
        self.tables[kind][row["id"]] = row
        if kind == "ticket_metrics":
            self._metric_sets[row["ticket_id"]] = row
        self._exports.pop("ticket_events" if kind == "ticket_audits" else kind, None)

    def _opened(self, ticket: Row) -> None:
        now = ticket["created_at"]
        first: list[Row] = [
            {
                "type": "Comment",
                "author_id": ticket["requester_id"],
                "body": ticket["description"],
                "public": True,
            }
        ]
        names = ("requester_id", "subject", "status", "priority", "organization_id")
        first += [_created(name, ticket[name]) for name in names if ticket[name] is not None]
        first += [_created(str(f["id"]), f["value"]) for f in ticket["custom_fields"]]
        self._audit(ticket, first, now, ticket["requester_id"])
        zero = {"calendar": 0, "business": 0}
        metric = {"ticket_id": ticket["id"], "reopens": 0, "replies": 0, "solved_at": None}
        metric |= {"assignee_stations": 0, "group_stations": 0, "status_updated_at": now}
        metric |= {"latest_comment_added_at": now, "requester_updated_at": now}
        metric |= {"reply_time_in_minutes": zero, "full_resolution_time_in_minutes": zero}
        self.add("ticket_metrics", metric, now)
        self._measured(ticket["id"], "reply_time", "activate", now)
        self._measured(ticket["id"], "resolution_time", "activate", now)

    def _status_changed(self, ticket: Row, before: str, now: str) -> None:
        metric = self.metric_set(ticket["id"])
        metric |= {"status_updated_at": now, "updated_at": now}
        done = {"solved", "closed"}
        if ticket["status"] in done and before not in done:
            minutes = (_stamp(now) - _stamp(ticket["created_at"])) // 60
            metric["solved_at"] = now
            metric["full_resolution_time_in_minutes"] = {"calendar": minutes, "business": minutes}
            self._measured(ticket["id"], "resolution_time", "fulfill", now)
        elif before in done and ticket["status"] not in done:
            metric["reopens"] += 1
            metric["solved_at"] = None
            self._measured(ticket["id"], "resolution_time", "activate", now)

    def _measured(self, ticket_id: int, metric: str, kind: str, now: str) -> None:
        self._instances[ticket_id, metric] += kind == "activate"
        instance = self._instances[ticket_id, metric]
        row = {"ticket_id": ticket_id, "metric": metric, "instance_id": instance, "type": kind}
        self.add("ticket_metric_events", row | {"time": now})

    def _audit(
        self, ticket: Row, events: Iterable[Row], now: str, author_id: int | None = None
    ) -> None:
        numbered = [{"id": next(self._ids), **event} for event in events]
        if not numbered:
            return
        row = {
            "id": next(self._ids),
            "ticket_id": ticket["id"],
            "created_at": now,
            "author_id": author_id or ticket["submitter_id"] or ticket["requester_id"],
            "metadata": {"system": {}, "custom": {}},
            "events": numbered,
            "via": {"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
        }
        self._put("ticket_audits", row)


def _copy(row: Mapping[str, Any]) -> Row:
    copied: Row = json.loads(json.dumps(row))
    return copied


def _stamp(text: str) -> int:
    return int(moment(text).timestamp())


_STAMPS: dict[str, Callable[[Row], int]] = {
    "tickets": lambda row: row["generated_timestamp"],
    "users": lambda row: _stamp(row["updated_at"]),
    "organizations": lambda row: _stamp(row["updated_at"]),
    "ticket_events": lambda row: _stamp(row["created_at"]),
    "ticket_metric_events": lambda row: _stamp(row["time"]),
}


def _created(field: str, value: Any) -> Row:
    return {"type": "Create", "field_name": field, "value": _text(value)}


def _changes(before: Row, after: Row) -> list[Row]:
    """The events of an audit: one per field that is another now."""
    fields = {name: before[name] for name in before if name not in _NOT_AUDITED}
    pairs = [(name, old, after[name]) for name, old in fields.items() if name != "custom_fields"]
    old_fields = {field["id"]: field["value"] for field in before["custom_fields"]}
    for field in after["custom_fields"]:
        pairs.append((str(field["id"]), old_fields.get(field["id"]), field["value"]))
    return [
        {
            "type": "Change",
            "field_name": name,
            "previous_value": _text(old),
            "value": _text(new),
        }
        for name, old, new in pairs
        if old != new
    ]


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def ticket_event(audit: Row, *, with_comments: bool) -> Row:
    """An audit as the incremental export of ticket events writes it."""
    children = []
    for event in audit["events"]:
        child = {"id": event["id"], "via": "Web form", "via_reference_id": None}
        child["event_type"] = event["type"]
        if event["type"] == "Comment":
            child |= {"comment_present": True, "comment_public": event["public"]}
            if with_comments:
                child |= {name: event[name] for name in ("author_id", "body", "public")}
        elif event["field_name"].isdigit():
            child["custom_ticket_fields"] = {event["field_name"]: event["value"]}
        else:
            child[event["field_name"]] = event["value"]
        if "previous_value" in event:
            child["previous_value"] = event["previous_value"]
        children.append(child)
    return {
        "id": audit["id"],
        "ticket_id": audit["ticket_id"],
        "timestamp": _stamp(audit["created_at"]),
        "created_at": audit["created_at"],
        "updater_id": audit["author_id"],
        "via": "Web form",
        "system": audit["metadata"]["system"],
        "event_type": "Audit",
        "child_events": children,
    }
