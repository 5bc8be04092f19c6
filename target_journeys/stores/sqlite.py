"""The default store: one SQLite file, one writer at a time, readers never wait."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from target_journeys.stores.base import (
    Appended,
    EventRow,
    NoStoreError,
    StoreError,
    StoreInUseError,
    UnmappedRow,
)
from target_journeys.stores.sqlite_backlog import SQLiteBacklog
from target_journeys.stores.sqlite_coverage import SQLiteCoverage
from target_journeys.stores.sqlite_erasure import SQLiteErasure
from target_journeys.stores.sqlite_errors import in_words
from target_journeys.stores.sqlite_experience import SQLiteExperience
from target_journeys.stores.sqlite_identities import SQLiteIdentities
from target_journeys.stores.sqlite_maps import SQLiteMaps
from target_journeys.stores.sqlite_outbox import SQLiteOutbox
from target_journeys.stores.sqlite_report import SQLiteReport
from target_journeys.stores.sqlite_rows import Insert, places
from target_journeys.stores.sqlite_run import SQLiteRun
from target_journeys.stores.sqlite_schema import (
    CUSTOMER_COLUMNS,
    STAGE_COLUMNS,
    TEAM_COLUMNS,
    migrations,
)

BUSY_TIMEOUT_S = 60  # a second writer waits this long for the first
MAX_ROW = 2**63 - 1
PAGE_BYTES = 8_192  # of a new file; holds about twenty events
CHECKPOINT_PAGES = 16_384  # 128 MiB of log; a small run then writes its pages back only once
CACHE_KIB = 65_536  # page cache; keeps the hot pages of a large batch in memory


def _upsert(table: str, columns: Sequence[str], keys: int) -> Insert:
    """Inserts rows or changes them in their place, by the first ``keys`` columns.

    `insert or replace` would move a row and touch a page of every index for it.
    """
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns[keys:])
    return Insert(
        f"insert into {table} ({', '.join(columns)})",
        places(len(columns)),
        f"on conflict ({', '.join(columns[:keys])}) do update set {changed}",
    )


_UPSERT_STAGE = _upsert("journey_stages", STAGE_COLUMNS, 4)
_UPSERT_TEAM = _upsert("buying_teams", TEAM_COLUMNS, 3)
_UPSERT_CUSTOMER = _upsert("customers", CUSTOMER_COLUMNS, 1)
_INSERT_EVENT = Insert(
    "insert or ignore into event_log (event_id, subject, account, body)", places(4)
)
_INSERT_VISIT = Insert(
    "insert into stage_visits (subject, scope_grain, scope_id, episode, position, stage, "
    "entered_at, cycle, event_id)",
    places(9),
)


def _by_customer(row: EventRow) -> str:
    """Puts events of one customer side by side, for a large store then reads half the pages."""
    return row[1] or row[2] or ""


class SQLiteStore:
    """Events, journeys and the outbox in one file; nothing but SQL lives here."""

    def __init__(self, path: str, *, create: bool = True, migrate: bool = True) -> None:
        """Open the file, create or migrate its tables. Raises :class:`StoreError`.

        Without ``migrate`` nothing is changed: :meth:`pending` says what a run would do first.
        """
        self.path = path
        self.run = SQLiteRun(path)
        if not create and not Path(path).exists():
            raise NoStoreError(f"store: {path} does not exist. Run a sync first, or name another.")
        try:
            existed = Path(path).exists()
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            if not existed:
                Path(path).chmod(0o600)  # it holds personal data
            self.db = Database(connection)
            self.connection = connection
            self.identities = SQLiteIdentities(connection)
            self.erasure = SQLiteErasure(connection, path)
            self.outbox = SQLiteOutbox(connection)
            self.backlog = SQLiteBacklog(connection)
            self.experience = SQLiteExperience(connection)
            self.maps = SQLiteMaps(connection)
            self.report = SQLiteReport(connection)
            self.coverage = SQLiteCoverage(connection, path)
            if migrate:
                connection.execute(f"pragma page_size = {PAGE_BYTES}")  # of a new file
                connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"pragma cache_size = -{CACHE_KIB}")
            self._refuse_newer()
            if migrate and self.pending():
                with self.transaction():  # of two that start together, one finds it done
                    migrations.apply(self.db)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise self._in_use() from None
            raise in_words(error, path) from None

    def pending(self) -> list[str]:
        """The changes of tables that a store of an older version lacks."""
        return [each.name for each in migrations.pending(self.db)]

    def _refuse_newer(self) -> None:
        known = {each.name for each in migrations.pending(Database(memory=True))}
        newer = [each.name for each in migrations.applied(self.db) if each.name not in known]
        if newer:
            raise StoreError(
                f"store: {self.path} was written by a newer version ({newer[0]}). "
                "Install that version of product-journeys, or name another file."
            )

    def _in_use(self) -> StoreInUseError:
        return StoreInUseError(
            f"store: {self.path} is being written by another run. "
            f"It was waited for {BUSY_TIMEOUT_S} s; run again when that run has ended."
        )

    def version(self) -> int:
        """A number that is another one when somebody else has written meanwhile."""
        return int(self.connection.execute("pragma data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file, and let other runs have it."""
        self.run.end()
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; also a signal's exit rolls back."""
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def begin(self) -> None:
        """Take the write lock. Raises :class:`StoreError` when another run holds it."""
        try:
            self.connection.execute("begin immediate")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise self._in_use() from None

    def commit(self) -> None:
        """Make the batch durable."""
        self.connection.execute("commit")

    def rollback(self) -> None:
        """Forget the batch."""
        if self.connection.in_transaction:
            self.connection.execute("rollback")

    # -- events ----------------------------------------------------------------------------

    def append(self, rows: Sequence[EventRow]) -> Appended:
        """Insert events that are not there yet; tells which were, with what is stored."""
        last = self.last_row()
        before = self.connection.total_changes
        ordered: list[EventRow] = sorted(rows, key=_by_customer)
        _INSERT_EVENT.run(self.connection, ordered)
        appended = Appended(new={row[0] for row in rows})
        if self.connection.total_changes - before < len(rows):
            known = self.connection.execute(
                "select event_id, body from event_log where rowid <= ? and event_id in "
                "(select value from json_each(?))",
                (last, json.dumps([row[0] for row in rows])),
            )
            appended.conflicts = dict(known)
            appended.new -= appended.conflicts.keys()
        return appended

    def replace_events(self, rows: Iterable[EventRow]) -> None:
        """Put newer versions of events in the place of older ones."""
        self.connection.executemany(
            "update event_log set subject = ?2, account = ?3, body = ?4 where event_id = ?1",
            rows,
        )

    def bodies_of(self, event_ids: Iterable[str]) -> list[str]:
        """Stored events by id, as JSON."""
        found = self.connection.execute(
            "select body from event_log where event_id in (select value from json_each(?))",
            (json.dumps(list(event_ids)),),
        )
        return [body for (body,) in found]

    def last_row(self) -> int:
        """The number of the event that was inserted last."""
        found = self.connection.execute("select coalesce(max(rowid), 0) from event_log").fetchone()
        return int(found[0])

    def events_of(
        self, column: str, ids: Iterable[str], *, until: int = MAX_ROW
    ) -> Iterator[tuple[str, str]]:
        """(id, its events as one JSON list) by ``subject`` or ``account``.

        ``until`` leaves out events that were inserted after that row.
        """
        name = {"subject": "subject", "account": "account"}[column]
        return self.connection.execute(
            "select ids.value, (select '[' || group_concat(body) || ']' from event_log "
            f"where {name} = ids.value and rowid <= ?2) from json_each(?1) as ids",
            (json.dumps(list(ids)), until),
        )

    def accounts_of(self, subjects: Iterable[str]) -> set[str]:
        """The accounts that events of these people name."""
        found = self.connection.execute(
            "select distinct e.account from json_each(?) as ids cross join event_log as e "
            "on e.subject = ids.value where e.account is not null",
            (json.dumps(list(subjects)),),
        )
        return {account for (account,) in found}

    def superseded_among(self, event_ids: Iterable[str]) -> set[str]:
        """Which of these events another event, of anybody, takes the place of."""
        found = self.connection.execute(
            "select f.id from json_each(?) as ids "
            "join facts as f on f.kind = 'superseded' and f.id = ids.value",
            (json.dumps(list(event_ids)),),
        )
        return {event_id for (event_id,) in found}

    def keep_facts(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Store that (kind, id, event id): an event says something about an id."""
        self.connection.executemany("insert or ignore into facts values (?, ?, ?)", rows)

    def drop_facts(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Forget what an older version of an event said."""
        self.connection.executemany(
            "delete from facts where kind = ? and id = ? and event_id = ?", rows
        )

    def facts(self, kind: str, ids: Iterable[str]) -> list[str]:
        """The events, as JSON, that say something of this kind about any of these ids."""
        found = self.connection.execute(
            "select distinct e.body from json_each(?2) as ids "
            "join facts as f on f.kind = ?1 and f.id = ids.value "
            "join event_log as e on e.event_id = f.event_id",
            (kind, json.dumps(list(ids))),
        )
        return [body for (body,) in found]

    def all_facts(self, kind: str) -> list[str]:
        """Every event, as JSON, that says something of this kind."""
        found = self.connection.execute(
            "select distinct e.body from facts as f join event_log as e "
            "on e.event_id = f.event_id where f.kind = ?",
            (kind,),
        )
        return [body for (body,) in found]

    def has_facts(self, kind: str) -> bool:
        """Whether the store holds any fact of this kind."""
        found = self.connection.execute(
            "select exists(select 1 from facts where kind = ?)", (kind,)
        ).fetchone()
        return bool(found[0])

    def subjects(self) -> Iterator[tuple[str, str]]:
        """(id, "people" or "accounts") of everybody who has events, perhaps more than once."""
        return self.connection.execute(
            "select distinct subject, 'people' from event_log where subject is not null "
            "union all select distinct account, 'accounts' from event_log where account is not null"
            " union all select subject, kind from customers"  # accounts that no event names
        )

    # -- products and items ----------------------------------------------------------------

    def products(self) -> list[str]:
        """The catalogue: products as JSON."""
        return [body for (body,) in self.connection.execute("select body from catalogue")]

    def keep_products(self, rows: Iterable[tuple[str, str]]) -> None:
        """Store (product id, product as JSON)."""
        self.connection.executemany(
            "insert or replace into catalogue (product_id, body) values (?, ?)", rows
        )

    def product_ids(self, name: str) -> set[str]:
        """The products that an id, name or alias means."""
        found = self.connection.execute(
            "select product_id from products where product_id = ?1 or name = ?1 "
            "or exists (select 1 from json_each(aliases) where value = ?1)",
            (name,),
        )
        return {product_id for (product_id,) in found}

    def product_names(self, product_ids: Iterable[str]) -> dict[str, str]:
        """Product id → what people call it, where the catalogue says so."""
        found = self.connection.execute(
            "select product_id, name from products where name is not null "
            "and product_id in (select value from json_each(?))",
            (json.dumps(list(product_ids)),),
        )
        return dict(found.fetchall())

    def subjects_of_names(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Whom to fold again when what these product or item names mean has changed."""
        wanted = json.dumps(list(names))
        found = self.connection.execute(
            "select subject, kind from customers where subject in ("
            "select subject from scope_names where name in (select value from json_each(?1)) "
            "union select subject from journey_stages "
            "where product in (select value from json_each(?1)) "
            "union select subject from buying_teams "
            "where product in (select value from json_each(?1)))",
            (wanted,),
        )
        return found.fetchall()

    def events_about_ids(self) -> Iterator[str]:
        """Every event that may say something of who people are, as JSON; reads all events."""
        found = self.connection.execute(
            "select body from event_log where body like '%\"identity_%linked\"%' "
            "or body like '%\"profile_observed\"%' or body like '%\"contact_role_%' "
            "or body like '%\"erasure_requested\"%'"
        )
        return (body for (body,) in found)

    # -- journeys --------------------------------------------------------------------------

    def due(self, as_of: str) -> list[tuple[str, str]]:
        """(id, "people" or "accounts") of those whose journeys time alone may have changed."""
        return self.connection.execute(
            "select distinct s.subject, c.kind from journey_stages as s "
            "join customers as c using (subject) where s.next_check_at <= ?1 "
            "union select subject, 'accounts' from buying_teams where next_check_at <= ?1",
            (as_of,),
        ).fetchall()

    def stages_of(self, subjects: Iterable[str]) -> Iterator[tuple[object, ...]]:
        """The stage records of these subjects, as rows in the order of STAGE_COLUMNS."""
        return self.connection.execute(
            f"select {', '.join('s.' + name for name in STAGE_COLUMNS)} "
            "from json_each(?) as ids join journey_stages as s on s.subject = ids.value",
            (json.dumps(list(subjects)),),
        )

    def keep_stages(self, rows: Iterable[Sequence[object]]) -> None:
        """Insert or replace stage records."""
        changed = list(rows)
        self.experience.remember(row[:4] for row in changed)
        _UPSERT_STAGE.run(self.connection, changed)

    def drop_stages(self, keys: Iterable[Sequence[object]]) -> None:
        """Delete stage records by (subject, grain, scope id, episode)."""
        gone = list(keys)
        self.experience.remember(gone)
        self.connection.executemany(
            "delete from journey_stages where subject = ? and scope_grain = ? and scope_id = ? "
            "and episode = ?",
            gone,
        )

    def keep_visits(self, rows: Iterable[Sequence[object]]) -> None:
        """Append stays in stages."""
        _INSERT_VISIT.run(self.connection, rows)

    def retract_visits(self, rows: Iterable[Sequence[object]]) -> None:
        """Mark stays as corrected: (at, subject, grain, scope id, episode, first position)."""
        self.connection.executemany(
            "update stage_visits set retracted_at = ? where subject = ? and scope_grain = ? "
            "and scope_id = ? and episode = ? and position >= ? and retracted_at is null",
            rows,
        )

    def drop_visits(self, subjects: Iterable[str]) -> None:
        """Delete the stays of people who no longer allow that they are kept."""
        self.connection.executemany(
            "delete from stage_visits where subject = ?", ((subject,) for subject in subjects)
        )

    def teams_of(self, subjects: Iterable[str]) -> Iterator[tuple[object, ...]]:
        """The buying teams of these accounts, as rows in the order of TEAM_COLUMNS."""
        return self.connection.execute(
            f"select {', '.join('t.' + name for name in TEAM_COLUMNS)} "
            "from json_each(?) as ids join buying_teams as t on t.subject = ids.value",
            (json.dumps(list(subjects)),),
        )

    def keep_teams(self, rows: Iterable[Sequence[object]]) -> None:
        """Insert or replace buying teams."""
        _UPSERT_TEAM.run(self.connection, rows)

    def drop_teams(self, keys: Iterable[Sequence[object]]) -> None:
        """Delete buying teams by (subject, grain, scope id)."""
        self.connection.executemany(
            "delete from buying_teams where subject = ? and scope_grain = ? and scope_id = ?", keys
        )

    def customers_of(self, subjects: Iterable[str]) -> dict[str, tuple[object, ...]]:
        """The unified view of these subjects: subject → row."""
        found = self.connection.execute(
            "select c.* from json_each(?) as ids join customers as c on c.subject = ids.value",
            (json.dumps(list(subjects)),),
        )
        return {row[0]: row for row in found}

    def consents_of(self, subjects: Iterable[str]) -> dict[str, dict[str, bool]]:
        """What each of these people allows; accounts are left out."""
        found = self.connection.execute(
            "select c.subject, coalesce(c.consents, '{}') from json_each(?) as ids "
            "join customers as c on c.subject = ids.value where c.kind = 'people'",
            (json.dumps(list(subjects)),),
        )
        return {subject: json.loads(consents) for subject, consents in found}

    def keep_customers(self, rows: Iterable[Sequence[object]]) -> None:
        """Insert or replace unified views."""
        _UPSERT_CUSTOMER.run(self.connection, rows)

    def drop_customers(self, subjects: Iterable[str]) -> None:
        """Delete the views of subjects that ceased to exist."""
        self.connection.executemany(
            "delete from customers where subject = ?", ((subject,) for subject in subjects)
        )

    # -- what could not be used ------------------------------------------------------------

    def keep_names(self, rows: Iterable[tuple[str, str]]) -> None:
        """Remember (name, subject): whom to fold again when the catalogue changes."""
        self.connection.executemany(
            "insert or ignore into scope_names (name, subject) values (?, ?)", rows
        )

    def keep_doubts(
        self, subjects: Iterable[str], rows: Iterable[tuple[str, str, str, int]]
    ) -> None:
        """Replace what is unresolved for these subjects: (subject, stream, reason, count)."""
        self.connection.execute(
            "delete from unresolved_events where subject in (select value from json_each(?))",
            (json.dumps(list(subjects)),),
        )
        self.connection.executemany("insert into unresolved_events values (?, ?, ?, ?)", rows)

    def doubts_of(self, subject: str) -> list[tuple[str, str, int]]:
        """(stream, reason, count) of what could not be attributed for one subject."""
        return self.connection.execute(
            "select stream, reason, sum(count) from unresolved_events where subject = ? "
            "group by 1, 2 order by 3 desc, 1, 2",
            (subject,),
        ).fetchall()

    def unresolved(self) -> list[tuple[str, str, int]]:
        """(stream, reason, count) of what could not be attributed, most first."""
        return self.connection.execute(
            "select stream, reason, sum(count) as c from unresolved group by stream, reason "
            "order by c desc, stream, reason"
        ).fetchall()

    def sizes(self) -> tuple[int, int]:
        """How many customers and journeys there are."""
        found = self.connection.execute(
            "select (select count(*) from customers), (select count(*) from journey_stages)"
        ).fetchone()
        return int(found[0]), int(found[1])

    def keep_unmapped(self, rows: Iterable[UnmappedRow]) -> int:
        """Remember records that were set aside; how many are new."""
        before = self.connection.total_changes
        self.connection.executemany(
            "insert or ignore into unmapped_records (stream, rule, record_key, reason) "
            "values (?, ?, ?, ?)",
            rows,
        )
        return self.connection.total_changes - before

    def all_stages(self) -> Iterator[tuple[object, ...]]:
        """Every stage record, as rows in the order of STAGE_COLUMNS."""
        return self.connection.execute(
            f"select {', '.join(STAGE_COLUMNS)} from journey_stages "
            "order by subject, scope_grain, scope_id, episode"
        )

    # -- notes of the engine ---------------------------------------------------------------

    def note(self, name: str) -> str | None:
        """A note by name."""
        row = self.connection.execute("select value from notes where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_note(self, name: str, value: str) -> None:
        """Write a note."""
        self.connection.execute("insert or replace into notes values (?, ?)", (name, value))

    def drop_note(self, name: str) -> None:
        """Forget a note."""
        self.connection.execute("delete from notes where name = ?", (name,))
