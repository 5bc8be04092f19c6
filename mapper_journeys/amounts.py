"""Amounts of money: plain decimals, or the minor units (cents) that some systems count."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from mapper_journeys.errors import BadRuleError, RuleError
from mapper_journeys.paths import Reach, Read, Row
from mapper_journeys.scalars import LONGEST_PLAIN_NUMBER, number
from mapper_journeys.values import compile_text, compile_value

# ISO 4217: how many digits stand behind the point, where it is not two.
DIGITS: Mapping[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
USUAL_DIGITS, MOST_DIGITS = 2, 4
CODE = re.compile("[A-Z]{3}")
MINOR_UNITS = "{minor_units: $.amount, currency: $.currency}"


def is_minor_units(spec: object) -> bool:
    """Whether a `value` counts the smallest units of its currency."""
    return isinstance(spec, Mapping) and "minor_units" in spec


def compile_amount(spec: object, key: str, reach: Reach) -> Read:
    """The reader of a decimal, as plain text: never 1e5, never 1,234.50."""
    if is_minor_units(spec):
        assert isinstance(spec, Mapping)
        return _compile_minor_units(spec, key, reach)
    return _compile_decimal(spec, key, reach)


def _compile_minor_units(spec: Mapping[str, object], key: str, reach: Reach) -> Read:
    """The reader of an amount in minor units: 1999 of EUR is 19.99, of JPY 1999."""
    if not {"minor_units", "currency"} <= set(spec) <= {"minor_units", "currency", "digits"}:
        raise BadRuleError(key, f"must be {MINOR_UNITS}, with `digits` at most beside them.")
    amount = _compile_decimal(spec["minor_units"], f"{key}.minor_units", reach)
    code = compile_text(spec["currency"], f"{key}.currency", reach, str.upper)
    digits = {**DIGITS, **_own_digits(spec.get("digits", {}), f"{key}.digits")}
    read_code, label = code.read, code.label
    if code.constant and not CODE.fullmatch(read_code(()) or ""):
        raise BadRuleError(f"{key}.currency", "must be a code of ISO 4217, such as EUR.")

    def read(row: Row) -> str | None:
        units = amount(row)
        if units is None:
            return None
        currency = read_code(row)
        if currency is None or not CODE.fullmatch(currency):
            raise RuleError(
                f"{label} is no ISO 4217 code, so its minor units mean nothing",
                "Name a field that holds three letters, or write the currency itself.",
            )
        sign, figures, exponent = Decimal(units).as_tuple()
        assert isinstance(exponent, int)  # the amount is finite
        places = exponent - digits.get(currency, USUAL_DIGITS)
        return format(Decimal((sign, figures, places)), "f")

    return read


def _own_digits(spec: object, key: str) -> dict[str, int]:
    """How many digits a vendor counts where it is not what ISO 4217 says."""
    if not isinstance(spec, Mapping) or not all(
        isinstance(code, str)
        and CODE.fullmatch(code)
        and type(digits) is int
        and 0 <= digits <= MOST_DIGITS
        for code, digits in spec.items()
    ):
        raise BadRuleError(key, f"must be a mapping of codes to 0 to {MOST_DIGITS}, {{ISK: 2}}.")
    return dict(spec)


def _compile_decimal(spec: object, key: str, reach: Reach) -> Read:
    value = compile_value(spec, key, reach)
    source, label = value.read, value.label

    def read(row: Row) -> str | None:
        found = source(row)
        if type(found) is Decimal:
            plain = str(found)
            if "E" not in plain and len(plain) < LONGEST_PLAIN_NUMBER:
                return plain
        elif found is None or (type(found) is str and not found.strip()):
            return None
        amount = number(found)
        if amount is None or abs(Decimal(amount).adjusted()) > LONGEST_PLAIN_NUMBER:
            raise RuleError(
                f"{label} is not a decimal number",
                "Write plain digits with a point, without thousands separators or currency signs.",
            )
        return format(amount, "f" if type(amount) is Decimal else "d")

    return read
