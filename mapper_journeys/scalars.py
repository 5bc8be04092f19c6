"""Single values of a record: text, numbers, and whether they are there."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NoReturn

from mapper_journeys.errors import RuleError

LONGEST_PLAIN_NUMBER = 40  # digits; a larger exponent is a mistake, not an id or an amount
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
SCALARS = (str, bool, int, float, Decimal, type(None))  # the SDK reads JSON numbers as Decimal


def is_there(value: Any) -> bool:
    """Whether a record says something: not null, not empty text, not a list of such."""
    if isinstance(value, list):
        return any(is_there(item) for item in value)
    return value is not None and value != ""


def refuse_many(label: str) -> NoReturn:
    """Say that one value was expected where the record has a list or an object."""
    raise RuleError(
        f"{label} is a list or an object where one value is needed",
        "Name one field of it, or use `each`.",
    )


def text(value: Any, label: str) -> str | None:
    """A scalar as text: 17850 and 17850.0 are "17850", true is "true"; text stays as it is."""
    if type(value) is str or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if isinstance(value, (float, Decimal)):
        return _number_text(Decimal(str(value)))
    return refuse_many(label)


def _number_text(number: Decimal) -> str:
    if not number.is_finite() or abs(number.adjusted()) > LONGEST_PLAIN_NUMBER:
        return str(number)
    whole = number.to_integral_value()
    return str(int(whole)) if whole == number else format(number, "f")


def number(value: Any) -> Decimal | int | None:
    """A number, or text that is one; None for anything else."""
    kind = type(value)
    if kind is int or kind is Decimal:
        return value  # type: ignore[no-any-return]  # narrowed by the line above
    if kind is float:
        value = str(value)
    if isinstance(value, str):
        written = value.strip()
        return Decimal(written) if NUMBER.fullmatch(written) else None
    return None
