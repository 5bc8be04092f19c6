"""The tables of the SQLite store, as migrations: applied once, in order, never edited."""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from journeys.measures import Journey, Key

migrations = Migrations("product-journeys")

FIRST_STAGE_COLUMNS: tuple[str, ...] = (  # those of the first migration
    "subject",
    "scope_grain",
    "scope_id",
    "episode",
    "product",
    "category",
    "account",
    "stage",
    "stage_entered_at",
    "previous_stage",
    "stages_skipped",
    "path",
    "cycle",
    "regions",
    "condition",
    "condition_since",
    "next_check_at",
    "outcome",
    "reason",
    "evidence",
    "ended_at",
    "headline",
    "crm_stage",
    "observed_stage",
    "disagreement",
    "candidates",
    "derived_from",
    "first_event_at",
    "last_event_at",
    "event_count",
    "valid_as_of",
    "model_hash",
)
EXPERIENCE_COLUMNS: tuple[str, ...] = (  # all of them JSON
    "roadblocks",
    "detours",
    "promises",
    "goal",
    "visibility",
    "touches",
    "feedback",
    "repeats",
    "last_step",
    "expected",
    "value",
    "funnels",
)
STAGE_COLUMNS = (
    *FIRST_STAGE_COLUMNS,
    "persona",
    "persona_since",
    "buying_team",
    *EXPERIENCE_COLUMNS,
)

CUSTOMER_COLUMNS: tuple[str, ...] = (
    "subject",
    "kind",
    "ids",
    "journeys",
    "open_journeys",
    "headlines",
    "touchpoints",
    "first_event_at",
    "last_event_at",
    "all_journeys",
    "feedback",
    "consents",
    "persona",
    "persona_since",
)

TEAM_COLUMNS: tuple[str, ...] = (
    "subject",
    "scope_grain",
    "scope_id",
    "product",
    "category",
    "people",
    "members",
    "roles_required",
    "roles_present",
    "roles_missing",
    "coverage",
    "covered",
    "furthest_stage",
    "least_stage",
    "stage_spread",
    "top_share",
    "new",
    "silent",
    "next_check_at",
)

COUNTED_COLUMNS: tuple[str, ...] = Journey._fields  # of journey_stages
MEASURE_COLUMNS: tuple[str, ...] = Key._fields
PERIOD_FIRST = ("category", "period", *MEASURE_COLUMNS[1:-1])  # in this order they are read

GAP_COLUMNS: tuple[str, ...] = (
    "gap_id",
    "rank",
    "category",
    "stage",
    "channel",
    "persona",
    "product",
    "period",
    "type",
    "topic",
    "owner",
    "kind",
    "reach",
    "hits",
    "rate",
    "rate_low",
    "rate_high",
    "reference",
    "reference_from",
    "severity",
    "severity_low",
    "p_adjusted",
    "simpson",
    "excess",
    "value_at_risk",
    "currency",
    "score",
)


@migrations(name="0001 events and journeys")
def events_and_journeys(db: Database) -> None:
    """Everything that the first release keeps."""
    integers = {"episode", "cycle", "disagreement", "event_count"}
    stages = ", ".join(
        f"{name} {'integer' if name in integers else 'text'}" for name in FIRST_STAGE_COLUMNS
    )
    for statement in (
        # `body` is the whole event as JSON; the view `events` shows it column by column.
        "create table event_log (event_id text primary key, subject text, account text, "
        "body text not null)",
        "create index event_log_subject on event_log (subject) where subject is not null",
        "create index event_log_account on event_log (account) where account is not null",
        """create view events as select event_id, json_extract(body, '$.event_type') as event_type,
            json_extract(body, '$.occurred_at') as occurred_at,
            json_extract(body, '$.recorded_at') as recorded_at, subject, account,
            coalesce(json_extract(body, '$.scopes'), '[]') as scopes,
            json_extract(body, '$.source') as source,
            coalesce(json_extract(body, '$.source_key'), '') as source_key,
            json_extract(body, '$.channel') as channel,
            coalesce(json_extract(body, '$.visibility'), 'owned') as visibility,
            coalesce(json_extract(body, '$.observability'), 'observed') as observability,
            json_extract(body, '$.value') as value, json_extract(body, '$.currency') as currency,
            coalesce(json_extract(body, '$.properties'), '{}') as properties,
            json_extract(body, '$.supersedes') as supersedes from event_log""",
        # Which events say something about an id, for the few events that do: see touched.facts_of.
        "create table facts (kind text not null, id text not null, event_id text not null, "
        "primary key (kind, id, event_id)) without rowid",
        "create table catalogue (product_id text primary key, body text not null)",
        """create view products as select product_id, json_extract(body, '$.name') as name,
            json_extract(body, '$.category') as category,
            coalesce(json_extract(body, '$.aliases'), '[]') as aliases,
            coalesce(json_extract(body, '$.relations'), '{}') as relations,
            coalesce(json_extract(body, '$.attributes'), '{}') as attributes from catalogue""",
        "create table scope_names (name text not null, subject text not null, "
        "primary key (name, subject)) without rowid",
        "create table identities (id text primary key, canonical text not null) without rowid",
        "create index identities_canonical on identities (canonical)",
        f"create table journey_stages ({stages}, "
        "primary key (subject, scope_grain, scope_id, episode))",
        "create index journey_stages_product on journey_stages (product)",
        "create index journey_stages_due on journey_stages (next_check_at) "
        "where next_check_at is not null",
        "create table stage_visits (subject text not null, scope_grain text not null, "
        "scope_id text not null, episode integer not null, position integer not null, "
        "stage text not null, entered_at text not null, cycle integer not null, "
        "event_id text not null, retracted_at text)",
        "create index stage_visits_subject on stage_visits (subject)",
        "create table customers (subject text primary key, kind text, ids text, journeys integer, "
        "open_journeys integer, headlines text, touchpoints integer, first_event_at text, "
        "last_event_at text)",
        "create table unmapped_records (stream text not null, rule text not null, "
        "record_key text not null, reason text not null, "
        "primary key (stream, rule, record_key)) without rowid",
        "create table unresolved_events (subject text not null, stream text not null, "
        "reason text not null, count integer not null)",
        "create index unresolved_events_subject on unresolved_events (subject)",
        "create view unresolved as "
        "select id as stream, 'no customer' as reason, count(*) as count from facts "
        "where kind = 'nobody' and event_id not in "
        "(select id from facts where kind = 'superseded') group by id "
        "union all select stream, reason, sum(count) from unresolved_events "
        "group by stream, reason "
        "union all select stream, reason, count(*) from unmapped_records group by stream, reason",
        "create table outbox (destination text not null, kind text not null, "
        "record_key text not null, op text not null, version integer not null, "
        "payload_hash text not null, sent_hash text, status text not null, "
        "payload text, attempts integer not null default 0, next_attempt_at text, answer text, "
        "primary key (destination, kind, record_key))",
        "create index outbox_left on outbox (destination, status) where status <> 'sent'",
        "create table notes (name text primary key, value text not null) without rowid",
    ):
        db.execute(statement)


@migrations(name="0002 items have owners")
def items_have_owners(db: Database) -> None:
    """Events that name nobody, but an item whose owner is known, are no longer unresolved."""
    db.execute("drop view unresolved")
    db.execute(
        "create view unresolved as "
        "select id as stream, 'no customer' as reason, count(*) as count from facts "
        "where kind = 'nobody' and event_id not in "
        "(select id from facts where kind = 'superseded') and event_id not in "
        "(select i.event_id from facts as i join facts as o on o.kind = 'owned' and o.id = i.id "
        "where i.kind = 'ownerless') group by id "
        "union all select stream, reason, sum(count) from unresolved_events "
        "group by stream, reason "
        "union all select stream, reason, count(*) from unmapped_records group by stream, reason"
    )


@migrations(name="0003 people")
def people(db: Database) -> None:
    """Pairs of ids in place of facts about links; the next run finds them in the events."""
    for statement in (
        # `apart`: 0 joined, so that the ties of a group are neighbours; 1 kept apart by a limit;
        # 2 unlinked, or an id that names nobody. Moments are microseconds since 1970, which sort.
        "create table pairs (kind text not null, low text not null, apart integer not null, "
        "high text not null, high_is_left integer not null, since integer, event_id text, "
        "unlinked_at integer, unlinked_by text, refused text, "
        "primary key (kind, low, apart, high)) without rowid",
        "create index pairs_high on pairs (kind, high, apart, since) where apart > 0",
        "create index pairs_low on pairs (kind, low, apart, since) where apart > 0",
        """create view links as select p.kind,
            case high_is_left when 1 then high else low end as left,
            case high_is_left when 1 then low else high end as right,
            case when since is null then 'unlinked' when apart > 0 then 'refused' else 'joined' end
                as state,
            p.refused as reason, coalesce(p.event_id, p.unlinked_by) as event_id,
            json_extract(e.body, '$.occurred_at') as occurred_at,
            json_extract(e.body, '$.source') as source,
            coalesce(json_extract(e.body, '$.source_key'), '') as source_key
            from pairs as p left join event_log as e
            on e.event_id = coalesce(p.event_id, p.unlinked_by)""",
        "drop index identities_canonical",
        "drop table identities",
        "create table identities (kind text not null, id text not null, canonical text not null, "
        "primary key (kind, id)) without rowid",
        "create index identities_canonical on identities (kind, canonical)",
        "delete from facts where kind = 'link'",
        "alter table customers add column all_journeys text",
        "alter table customers add column feedback text",
        "alter table customers add column consents text",
        "create table forgotten (hash text primary key) without rowid",
        "create table mailboxes (account text not null, id text not null, "
        "primary key (account, id)) without rowid",
        "drop view unresolved",
        "create view unresolved as "
        "select id as stream, 'no customer' as reason, count(*) as count from facts "
        "where kind = 'nobody' and event_id not in "
        "(select id from facts where kind = 'superseded') and event_id not in "
        "(select i.event_id from facts as i join facts as o on o.kind = 'owned' and o.id = i.id "
        "where i.kind = 'ownerless') group by id "
        "union all select stream, reason, sum(count) from unresolved_events "
        "group by stream, reason "
        "union all select coalesce(source, ''), 'link refused: ' || reason, count(*) from links "
        "where state = 'refused' group by 1, 2 "
        "union all select stream, reason, count(*) from unmapped_records group by stream, reason",
    ):
        db.execute(statement)


@migrations(name="0004 buying teams and personas")
def buying_teams_and_personas(db: Database) -> None:
    """Who takes part in buying, and who somebody is; the next run computes both."""
    for statement in (
        "alter table journey_stages add column persona text",
        "alter table journey_stages add column persona_since text",
        "alter table journey_stages add column buying_team text",
        "alter table customers add column persona text",
        "alter table customers add column persona_since text",
        "create table buying_teams (subject text not null, scope_grain text not null, "
        "scope_id text not null, product text, category text, people integer, members text, "
        "roles_required text, roles_present text, roles_missing text, coverage real, "
        "covered integer, furthest_stage text, least_stage text, stage_spread integer, "
        "top_share real, new text, silent text, next_check_at text, "
        "primary key (subject, scope_grain, scope_id)) without rowid",
        "create index buying_teams_product on buying_teams (product)",
        "create index buying_teams_due on buying_teams (next_check_at) "
        "where next_check_at is not null",
    ):
        db.execute(statement)


@migrations(name="0005 outbox leases")
def outbox_leases(db: Database) -> None:
    """Rows are leased while they are sent, kept in order, and every run leaves a line."""
    for column in (
        "order_key text",  # of rows with the same one only the first is in flight
        "told integer not null default 0",  # whether it was ever tried
        "leased_version integer",
        "leased_hash text",
        "leased_by text",
        "lease_until text",
        "job text",  # what to ask for the outcome of an accepted row
        "entered_at text",  # JSON: latest stage_entered_at that it was told, by journey
        "about text",  # JSON: who the subject was when it was told last
        "queued_at text",
    ):
        db.execute(f"alter table outbox add column {column}")
    prefix = ", ".join(f"json_extract(record_key, '$[{n}]')" for n in range(4))
    for statement in (
        "update outbox set told = sent_hash is not null or attempts > 0, order_key = "
        f"case kind when 'record' then record_key else json_array({prefix}) end",
        "drop index outbox_left",
        "create index outbox_due on outbox (destination, status, ifnull(next_attempt_at, '')) "
        "where status <> 'sent'",
        "create index outbox_busy on outbox (destination, order_key) "
        "where status in ('waiting', 'leased', 'accepted')",
        "create index outbox_transitions on outbox (destination, order_key) "
        "where kind = 'transition'",
        "create table deliveries (run text not null, destination text not null, "
        "started_at text not null, ended_at text not null, sent integer not null, "
        "refused integer not null, waiting integer not null, unknown integer not null, "
        "oldest_waiting text, stopped text, primary key (run, destination)) without rowid",
    ):
        db.execute(statement)


@migrations(name="0006 what an accepted row was told as")
def what_an_accepted_row_was_told_as(db: Database) -> None:
    """A row may change while a job has it; the job's answer is about what was told then."""
    db.execute("alter table outbox add column told_as text")  # JSON: see deliveries.ToldAs


@migrations(name="0007 experience")
def experience(db: Database) -> None:
    """What a journey was like; the next run folds all journeys again and fills it in."""
    for column in EXPERIENCE_COLUMNS:
        db.execute(f"alter table journey_stages add column {column} text")


@migrations(name="0008 counters and gaps")
def counters_and_gaps(db: Database) -> None:
    """Counters over all journeys, what changed since they were counted, and the gaps in them."""
    texts = {"gap_id", "category", "stage", "channel", "persona", "product", "period", "type"}
    texts |= {"topic", "owner", "kind", "reference_from", "currency", "simpson"}
    integers = {"rank", "reach", "hits"}
    gaps = ", ".join(
        f"{name} {'text' if name in texts else 'integer' if name in integers else 'real'}"
        for name in GAP_COLUMNS
    )
    sums = ", ".join(f"{name} text not null" for name in MEASURE_COLUMNS[:-1])
    keys = f"{sums}, period text not null"
    for statement in (
        f"create table measures ({keys}, n integer not null, total integer not null, "
        f"primary key ({', '.join(PERIOD_FIRST)})) without rowid",
        # The same over all periods, so that those outside of a few need not be read.
        f"create table measure_sums ({sums}, n integer not null, total integer not null, "
        f"primary key ({', '.join(MEASURE_COLUMNS[:-1])})) without rowid",
        "create table changed_since (subject text not null, scope_grain text not null, "
        "scope_id text not null, episode integer not null, body text, "
        "primary key (subject, scope_grain, scope_id, episode)) without rowid",
        f"create table experience_gaps ({gaps}, primary key (gap_id)) without rowid",
        "create index experience_gaps_category on experience_gaps (category)",
        "create table gap_feasibility (gap_id text primary key, feasibility real not null, "
        "note text) without rowid",
        "create view gaps as select g.*, f.feasibility, f.note, "
        "g.score * f.feasibility as priority from experience_gaps as g "
        "left join gap_feasibility as f using (gap_id)",
    ):
        db.execute(statement)


@migrations(name="0009 journey maps")
def journey_maps(db: Database) -> None:
    """Maps by category, persona and period, reviews of them, and what was done about gaps."""
    for statement in (
        "create table journey_maps (category text not null, persona text not null, "
        "period text not null, revision integer not null, drawn_at text not null, "
        "body text not null, primary key (category, persona, period))",
        # Older maps whose journeys changed: they are drawn anew when somebody asks for them.
        "create table stale_maps (category text not null, period text not null, "
        "primary key (category, period)) without rowid",
        "create table map_reviews (category text not null, reviewed_at text not null, note text, "
        "primary key (category, reviewed_at)) without rowid",
        "create table actions (gap_id text not null, since text not null, category text not null, "
        "spot text not null, what text not null, primary key (gap_id, since)) without rowid",
    ):
        db.execute(statement)
