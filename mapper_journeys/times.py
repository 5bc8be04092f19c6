"""Moments: what a record says, as ISO 8601 text in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from journeys.event import EARLIEST_YEAR, LATEST_YEAR
from mapper_journeys.errors import BadRuleError, RuleError, closest
from mapper_journeys.paths import Reach, Read, Row
from mapper_journeys.scalars import number, refuse_many, text
from mapper_journeys.values import compile_value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)  # stands for any moment beyond the calendar
UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}  # microseconds
PROBE = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)  # must survive a date_format
CACHED_TIMES = 4096  # neighbours often share their time, and strptime is slow

Parse = Callable[[str], datetime]


def compile_time(
    spec: object, key: str, reach: Reach, *, date_format: str | None, timezone: str | None
) -> Read:
    """The reader of a moment: ``2026-01-02T03:04:05[.ffffff]`` in UTC, or None if there is none.

    The zone is left out, because the event writes ``Z`` and its id ``+00:00``.
    """
    value = compile_value(spec, key, reach)
    if value.constant:
        raise BadRuleError(key, "must be a path such as $.created_at.")
    source, label = value.read, value.label
    zone = compile_zone(timezone)
    if date_format in UNITS:
        return _epoch_reader(source, label, unit=UNITS[date_format])
    parse = _pattern_parser(date_format) if date_format else _parse_iso

    @lru_cache(CACHED_TIMES)
    def moment(written: str) -> str:
        return _in_utc(written, label, parse, zone=zone)

    def read_written(row: Row) -> str | None:
        found = source(row)
        if found is None or found == "":
            return None
        if type(found) is not str:
            if date_format is None:
                raise _unreadable(label, "an ISO 8601 time")
            found = text(found, label) or ""
        written = found.strip()
        return moment(written) if written else None

    def read_iso(row: Row) -> str | None:
        found = source(row)
        if type(found) is str and found[4::3] == "--T::Z":  # what stands between the digits
            try:
                datetime.fromisoformat(found)
            except ValueError:
                return read_written(row)
            if "1900" <= found < "2200" and found[11:13] != "24":
                return found[:19]
        return read_written(row)

    return read_written if date_format else read_iso


def compile_zone(name: str | None) -> ZoneInfo | None:
    """The time zone of times without one; None: such times are refused."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = closest(name, available_timezones())
        problem = f"is '{name}', which is no IANA time zone such as Europe/London{hint}."
        raise BadRuleError("timezone", problem) from None


def _pattern_parser(pattern: str) -> Parse:
    try:
        survived = datetime.strptime(PROBE.strftime(pattern), pattern)  # noqa: DTZ007  # a trial
    except ValueError:
        survived = None
    if "%" not in pattern or survived is None or survived.year != PROBE.year:
        raise BadRuleError(
            "date_format",
            "must be epoch_s, epoch_ms, epoch_us or a strptime pattern with a year, "
            "such as %d/%m/%Y %H:%M; ISO 8601 needs none.",
        )

    def parse(written: str) -> datetime:
        return datetime.strptime(written, pattern)  # noqa: DTZ007  # _in_utc asks for the zone

    return parse


def _parse_iso(written: str) -> datetime:
    if written.isdigit() and len(written) != len("20260102"):
        raise ValueError  # a count of seconds that happens to read as a date
    return datetime.fromisoformat(written)


def _in_utc(written: str, label: str, parse: Parse, *, zone: ZoneInfo | None) -> str:
    try:
        moment = parse(written)
    except ValueError:
        expected = "an ISO 8601 time" if parse is _parse_iso else "a time as `date_format` says"
        raise _unreadable(label, expected) from None
    if moment.tzinfo is None:
        if zone is None:
            raise RuleError(f"{label} has no time zone", "State `timezone` in the rule.")
        moment = moment.replace(tzinfo=zone)
    return _iso(moment, label)


def _iso(moment: datetime, label: str) -> str:
    try:
        written = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    except OverflowError:
        written = "0000"
    _check_year(written, label)
    return written


def _check_year(written: str, label: str) -> None:
    if not EARLIEST_YEAR <= int(written[:4]) <= LATEST_YEAR:
        raise RuleError(
            f"{label} lies outside the years {EARLIEST_YEAR} to {LATEST_YEAR}",
            "Add a `when` that leaves such place-holders out.",
        )


def _epoch_reader(source: Read, label: str, *, unit: int) -> Read:
    def read(row: Row) -> str | None:
        found = source(row)
        if isinstance(found, str):
            found = found.strip()
        if found is None or found == "":
            return None
        if isinstance(found, (list, dict)):
            refuse_many(label)
        count = number(found)
        if count is None:
            raise _unreadable(label, "a count as `date_format` says")
        return _iso(_after_epoch(count, unit), label)

    return read


def _after_epoch(count: Any, unit: int) -> datetime:
    if abs(count) > 10**18:  # beyond any calendar, in microseconds too
        return LAST
    microseconds = int((Decimal(count) * unit).to_integral_value())
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return LAST


def _unreadable(label: str, expected: str) -> RuleError:
    return RuleError(f"{label} is not {expected}", "Correct `date_format`, or name another field.")
