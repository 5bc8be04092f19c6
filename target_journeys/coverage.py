"""What of a store a check doubts: records without a rule, promises without events, clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from journeys.event import isoformat
from journeys.fold import NO_PRODUCT, UNMAPPED_STAGE
from journeys.model import Category, StageModel
from target_journeys.finding import Finding
from target_journeys.maps import overview
from target_journeys.settings import Settings
from target_journeys.stage_model import STANDARD_STAGES
from target_journeys.stores.base import NO_RULE
from target_journeys.stores.sqlite import SQLiteStore
from target_journeys.stores.sqlite_coverage import StreamSeen

LISTED = 10  # findings of a kind that are shown one by one
ENOUGH = 20  # events of a stream before its times of day say something
BUSY_EVENTS = 1_000  # of one person; far more than people do
BUSY_TIMES_MEAN = 100
BUSIEST = 3
MEND = {  # reason → the next thing to do
    "no customer": "name an id of the customer under `subject` of its rule, or send the link",
    NO_PRODUCT: "give its rule `scopes`",
    "unknown product": "send it in stream `products`, or as one of the `aliases` of a product",
    "item without product": "send a `scope_linked` event that names the item's product",
    UNMAPPED_STAGE: "map it under stage_model.defaults.pipelines",
    NO_RULE: "write a rule for it, or deselect it in the tap",
}
REFUSED_LINK = "link refused"
SEE_LINKS = "the view `links` names both ids; the limits are under `identity`"
SEE_RECORDS = "`unmapped_records` names its records and rules"


def doubts(
    store: SQLiteStore, model: StageModel, settings: Settings, now: datetime
) -> Iterator[Finding]:
    """Everything that a look into the store calls in question, one line each."""
    seen = list(store.coverage.streams(isoformat(now)))
    yield from unresolved(store, seen)
    yield from crm_stages(store, model)
    yield from without_data(model, {each.event_type for each in seen})
    yield from times(seen, settings, now, store.coverage.last_delivery())
    yield from busy(store, sum(each.events for each in seen))
    yield from reviews(store, settings, now)


def unresolved(store: SQLiteStore, seen: Iterable[StreamSeen]) -> Iterator[Finding]:
    """What could not be attributed, by stream and reason, of how many events."""
    events = Counter[str]()
    for each in seen:
        events[each.stream] += each.events
    total, streams = sum(events.values()), len(events)
    yield Finding("ok", f"coverage: {total:,} events of {streams:,} streams")
    found = store.unresolved()
    for stream, reason, count in found[:LISTED]:
        is_of_events = reason in MEND and reason != NO_RULE  # the others are of records, or links
        of = f" of {events[stream]:,} events" if is_of_events else ""
        mend = SEE_LINKS if reason.startswith(REFUSED_LINK) else MEND.get(reason, SEE_RECORDS)
        yield Finding("warning", f"{stream}: {reason} ({count:,}{of}); {mend}")
    if len(found) > LISTED:
        yield Finding("warning", f"{len(found) - LISTED:,} more reasons in the view `unresolved`")


def crm_stages(store: SQLiteStore, model: StageModel) -> Iterator[Finding]:
    """The stages of the CRM that no pipeline of the model knows, by name."""
    categories = [model.defaults, *(model.category(path) for path in model.categories)]
    unknown = [
        (pipeline, stage, count)
        for pipeline, stage, count in store.coverage.crm_stages()
        if not any(knows(category, pipeline, stage) for category in categories)
    ]
    for pipeline, stage, count in unknown[:LISTED]:
        yield Finding(
            "warning",
            f"stage_model: CRM stage '{stage}' of pipeline '{pipeline}' means no stage "
            f"({count:,} events); add it under stage_model.defaults.pipelines",
        )
    if len(unknown) > LISTED:
        yield Finding("warning", f"stage_model: {len(unknown) - LISTED:,} more CRM stages")


def knows(category: Category, pipeline: str, stage: str) -> bool:
    """Whether a category says what a CRM's stage means."""
    return any(stage in category.pipelines.get(name, {}) for name in (pipeline, "*"))


def without_data(model: StageModel, came: set[str]) -> Iterator[Finding]:
    """Promises whose events never came, and own stages that no event of the store enters."""
    promises = {
        promise.name: promise.metric.begun_by
        for path in (None, *model.categories)
        for promise in model.category(path).owed
    }
    for name, begun_by in sorted(promises.items()):
        if not begun_by & came:
            yield Finding(
                "warning",
                f"stage_model: promise '{name}' never fell due, for no {either(begun_by)} ever "
                "came; write a rule that makes one, or take the promise out",
            )
    for stage in model.stages:
        entered_by = {
            name
            for name, meaning in model.meanings.items()
            if meaning.stage == stage.name and not meaning.is_fact
        }
        if stage.name not in STANDARD_STAGES and not entered_by & came:
            yield Finding(
                "warning",
                f"stage_model: nobody was ever in stage '{stage.name}', for no "
                f"{either(entered_by)} ever came; write a rule that makes one",
            )


def either(names: Iterable[str]) -> str:
    """Event types as people list them."""
    return " or ".join(f"`{name}`" for name in sorted(names)) or "event that enters it"


def times(
    seen: Sequence[StreamSeen], settings: Settings, now: datetime, delivered: str | None
) -> Iterator[Finding]:
    """Moments that cannot be right: ahead of the clock, or cut to days or hours."""
    if delivered is not None and datetime.fromisoformat(delivered) > now:
        yield Finding(
            "warning",
            f"clock: this machine says {isoformat(now)}, but the last delivery ended {delivered}; "
            "set the clock",
        )
    streams: dict[str, list[StreamSeen]] = {}
    for each in seen:
        streams.setdefault(each.stream, []).append(each)
    for stream, types in sorted(streams.items()):
        events = sum(each.events for each in types)
        if ahead := sum(each.ahead for each in types):
            yield Finding(
                "warning",
                f"{stream}: {ahead:,} of {events:,} events lie in the future; check this machine's "
                "clock, and `timezone` and `date_format` of the rule",
            )
        if events < ENOUGH:
            continue
        for cut, what in ((at_midnight, "midnight UTC"), (at_whole_hours, "whole hours")):
            if cut(types) == events:
                yield Finding(
                    "warning",
                    f"{stream}: all {events:,} events are at {what}; if the source knows the time "
                    "of day, name that field in `occurred_at`, else state `timezone`",
                )
                break
    if settings.as_of is not None and settings.as_of < now:
        yield Finding(
            "ok",
            f"as_of: conditions are judged at {isoformat(settings.as_of)}, not now; leave it out "
            "in production",
        )


def at_midnight(types: Iterable[StreamSeen]) -> int:
    """How many events of a stream are at midnight."""
    return sum(each.at_midnight for each in types)


def at_whole_hours(types: Iterable[StreamSeen]) -> int:
    """How many events of a stream are at whole hours."""
    return sum(each.at_whole_hours for each in types)


def busy(store: SQLiteStore, events: int) -> Iterator[Finding]:
    """People with more events than people make: bots, kiosks, a shared log-in."""
    people = max(store.report.people().get("people", 0), 1)
    limit = max(BUSY_EVENTS, BUSY_TIMES_MEAN * events // people)
    for subject, count in store.coverage.busiest(limit, BUSIEST):
        yield Finding(
            "warning",
            f"{subject}: {count:,} events of one person; if it is a bot, a kiosk or a shared "
            "log-in, leave it out with `when` of the rule, or block it under identity.blocked",
        )


def reviews(store: SQLiteStore, settings: Settings, now: datetime) -> Iterator[Finding]:
    """The categories whose maps people should look at; a warning once they have begun to."""
    due: dict[bool, set[str]] = {}
    for each in overview(store, settings.experience.review_every, settings.moment(now)):
        if each["review_due"]:
            due.setdefault(each["reviewed_at"] is not None, set()).add(each["category"])
    for again, categories in sorted(due.items()):
        names = ", ".join(name or '""' for name in sorted(categories)[:LISTED])
        more = f" and {len(categories) - LISTED:,} more" if len(categories) > LISTED else ""
        yield Finding(
            "warning" if again else "ok",
            f"maps: {'due for a review' if again else 'never reviewed'}: {names}{more}; look with "
            "`journeys map CATEGORY`, then `journeys review CATEGORY`",
        )
