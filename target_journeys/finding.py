"""One line of a check."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the check: "ok", "warning" or "error", and what was found."""

    level: str
    text: str
