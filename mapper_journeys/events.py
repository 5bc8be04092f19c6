"""Event rules: the closures that make events of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from journeys.vocabulary import DERIVED, OBSERVABILITIES, VISIBILITIES
from mapper_journeys.amounts import compile_amount, is_minor_units
from mapper_journeys.errors import BadRuleError, RuleError, closest
from mapper_journeys.ids import compile_ids, first_of
from mapper_journeys.language import EventRule
from mapper_journeys.paths import Reach, Read, Row, is_path
from mapper_journeys.scalars import text
from mapper_journeys.scopes import compile_scopes
from mapper_journeys.times import compile_time
from mapper_journeys.values import (
    Value,
    compile_choice,
    compile_mapping,
    compile_path,
    compile_text,
    compile_value,
)
from mapper_journeys.wire import EventRecord, Made

LINKING = ("identity_linked", "identity_unlinked")  # rules that speak of ids and of nothing else


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What a rule may refer to."""

    event_types: AbstractSet[str]
    rules: AbstractSet[str]


def id_maker(stream: str, rule: str) -> Callable[[str, str, str], str]:
    """`journeys.event.event_id` for a key, a written moment and a part; a test holds them equal."""
    front = blake2b(f"{stream}\x1f{rule}\x1f".encode("utf-8", "surrogatepass"), digest_size=12)

    def event_id(key: str, moment: str, part: str) -> str:
        digest = front.copy()  # cheaper than to begin again
        digest.update(f"{key}\x1f{moment}+00:00\x1f{part}".encode("utf-8", "surrogatepass"))
        hour = moment[2:13].replace("-", "").replace("T", "")
        return hour + digest.hexdigest()

    return event_id


def compile_event(
    rule: EventRule, stream: str, reach: Reach, *, known: KnownNames
) -> Callable[..., None]:
    """The closure that appends the events of a row."""
    type_of = _compile_event_type(rule.event_type, reach, known.event_types)
    read_type, fixed_type = type_of.read, type_of.literals[0] if type_of.constant else None
    occurred_at = compile_time(
        rule.occurred_at,
        "occurred_at",
        reach,
        date_format=rule.date_format,
        timezone=rule.timezone,
    )
    event_id = id_maker(stream, rule.name)
    subject, subject_links = _compile_party(rule.subject, "subject", reach)
    account, account_links = _compile_party(rule.account, "account", reach)
    scopes = compile_scopes(rule.scopes, reach)
    channel = _compile_text(rule.channel, "channel", reach, str.lower)
    value = _nothing if rule.value is None else compile_amount(rule.value, "value", reach)
    currency = _compile_text(_currency_of(rule), "currency", reach, str.upper)
    properties = compile_mapping(rule.properties, "properties", reach)
    extras = _compile_extras(rule, stream, reach, known=known)
    links = _links(subject_links, account_links)
    links_alone = fixed_type in LINKING and links is not None and "linked" not in rule.properties

    def make(row: Row, key: str | None, made: list[Made], part: str = "") -> None:
        moment = occurred_at(row)
        if moment is None:
            return
        event_type = fixed_type or read_type(row)
        if event_type is None:
            return
        if key is None:
            raise RuleError(
                "its key is null, missing or not a single value",
                "Key properties must be filled; see `key_properties` in the tap's SCHEMA message.",
            )
        event = EventRecord(
            event_id(key, moment, part),
            event_type,
            f"{moment}Z",
            stream,
            key,
            None,
            subject(row),
            account(row),
            scopes(row),
            channel(row),
            "owned",
            "observed",
            value(row),
            currency(row),
            properties(row),
        )
        for field, read in extras:
            found = read(row)
            if found is not None:
                setattr(event, field, found)
        if links is None:
            made.append(event)
            return
        linked = links(row)  # before anything is appended, because it may fail
        if not links_alone:
            made.append(event)
        _add_links(linked, event, event_id, made, inside_each=part != "")

    return make


def _compile_event_type(spec: object, reach: Reach, known: AbstractSet[str]) -> Value:
    value = compile_value(spec, "event_type", reach)
    for literal in value.literals:
        if literal is not None and literal not in known:
            raise BadRuleError("event_type", _unknown_type(literal, known))
    if value.constant and value.literals[0] is None:
        raise BadRuleError("event_type", "must not be null.")
    if not value.from_record:
        return value
    source, label, may_be_null = value.read, value.label, not is_path(spec)

    def read(row: Row) -> Any:
        found = source(row)
        if type(found) is str and found in known:
            return found
        if found is None and may_be_null:
            return None
        raise RuleError(
            f"{label} is neither an event type of the vocabulary nor declared under "
            "`stage_model.event_types`",
            "Translate it with {from: …, map: …} or declare it.",
        )

    return replace(value, read=read)


def _unknown_type(literal: object, known: AbstractSet[str]) -> str:
    if literal in DERIVED:
        return f"is '{literal}', which the engine concludes itself; no rule may emit it."
    return (
        f"is '{literal}', which is neither in the vocabulary{closest(literal, known)} "
        "nor declared under `stage_model.event_types`."
    )


def _currency_of(rule: EventRule) -> object:
    """The currency that the rule states, or that its minor units are of."""
    stated = rule.currency is not None or not is_minor_units(rule.value)
    return rule.currency if stated else rule.value["currency"]


def _compile_text(spec: object, key: str, reach: Reach, change: Callable[[str], str]) -> Read:
    if spec is None:
        return _nothing
    value = compile_text(spec, key, reach, change)
    if not value.constant:
        return value.read
    fixed = value.read(())
    return lambda row: fixed


def _compile_extras(
    rule: EventRule, stream: str, reach: Reach, *, known: KnownNames
) -> tuple[tuple[str, Read], ...]:
    """The readers of the less usual fields that the rule sets."""
    extras: list[tuple[str, Read]] = []
    if rule.recorded_at is not None:
        recorded_at = compile_time(
            rule.recorded_at,
            "recorded_at",
            reach,
            date_format=rule.date_format,
            timezone=rule.timezone,
        )
        extras.append(("recorded_at", _as_utc(recorded_at)))
    for field, allowed in (("visibility", VISIBILITIES), ("observability", OBSERVABILITIES)):
        if (spec := getattr(rule, field)) is not None:
            extras.append((field, compile_choice(spec, field, reach, allowed).read))
    if isinstance(rule.supersedes, Mapping) and "rule" in rule.supersedes:
        extras.append(("supersedes", _compile_supersedes(rule, stream, reach, known=known)))
    elif rule.supersedes is not None:
        extras.append(("supersedes", compile_text(rule.supersedes, "supersedes", reach).read))
    return tuple(extras)


def _as_utc(moment: Read) -> Read:
    def read(row: Row) -> str | None:
        found = moment(row)
        return None if found is None else f"{found}Z"

    return read


def _compile_supersedes(rule: EventRule, stream: str, reach: Reach, *, known: KnownNames) -> Read:
    spec = rule.supersedes
    if set(spec) - {"stream"} != {"rule", "key", "occurred_at"}:
        problem = (
            "must be an event id, or {rule: name, key: $.path, occurred_at: $.path}, and the "
            "stream where it is another one."
        )
        raise BadRuleError("supersedes", problem)
    if spec["rule"] not in known.rules:
        problem = f"is '{spec['rule']}', but no rule has that name"
        hint = closest(spec["rule"], known.rules)
        raise BadRuleError("supersedes.rule", f"{problem}{hint}.")
    moment = compile_time(
        spec["occurred_at"],
        "supersedes.occurred_at",
        reach,
        date_format=rule.date_format,
        timezone=rule.timezone,
    )
    key = spec["key"]
    paths = list(key.values()) if isinstance(key, Mapping) else [key]
    parts = [compile_path(path, "supersedes.key", reach).read for path in paths]
    event_id = id_maker(str(spec.get("stream", stream)), spec["rule"])

    def read(row: Row) -> str | None:
        corrected_key, at = key_text([part(row) for part in parts]), moment(row)
        if corrected_key is None or at is None:
            return None
        return event_id(corrected_key, at, "")

    return read


def key_text(values: Sequence[Any]) -> str | None:
    """A record's key as text: one value as it reads, several as a compact JSON list.

    None if a value is missing, is not a scalar, or is the only one and empty.
    """
    if any(value is None or isinstance(value, (list, dict)) for value in values):
        return None
    if len(values) == 1:
        return text(values[0], "the key") or None
    return msgspec.json.encode([_key_part(value) for value in values]).decode()


def _key_part(value: Any) -> Any:
    if isinstance(value, (float, Decimal)):
        return msgspec.Raw(str(text(value, "the key")).encode())
    return value


def _nothing(row: Row) -> None:
    return None


Links = Callable[[Row], list[tuple[str, str, str]]]  # "subject" or "account", first id, other id


def _compile_party(spec: object, field: str, reach: Reach) -> tuple[Read, Links | None]:
    """The reader of a subject or account, and of its other ids if it may have several."""
    if spec is None:
        return _nothing, None
    ids = compile_ids(spec, field, reach)
    if len(ids) == 1:
        return ids[0], None
    return first_of(ids), _links_of(field, ids)


def _links_of(field: str, ids: Sequence[Read]) -> Links:
    def links(row: Row) -> list[tuple[str, str, str]]:
        found = [one for one in (read_id(row) for read_id in ids) if one is not None]
        return [(field, found[0], other) for other in found[1:]]

    return links


def _links(subject: Links | None, account: Links | None) -> Links | None:
    if subject is not None and account is not None:
        return lambda row: subject(row) + account(row)
    return subject or account


def _add_links(
    links: list[tuple[str, str, str]],
    event: EventRecord,
    event_id: Callable[[str, str, str], str],
    made: list[Made],
    *,
    inside_each: bool,
) -> None:
    """Append the links that an event implies, each of them once; or what undoes them."""
    moment = event.occurred_at[:-1]
    unlinks = event.event_type == "identity_unlinked"
    for field, first, other in links:
        pair = f"{first}={other}" if inside_each else other  # elements may link one id to several
        link = EventRecord(
            event_id(event.source_key, moment, f"link:{pair}"),
            "identity_unlinked" if unlinks else "identity_linked",
            event.occurred_at,
            event.source,
            event.source_key,
            event.recorded_at,
            properties={"linked": other},
        )
        setattr(link, field, first)
        if link not in made:
            made.append(link)
