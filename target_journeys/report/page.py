"""One self-contained HTML file from the views: style and script inside, every value escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from target_journeys.report.swimlanes import words


@cache
def environment() -> Environment:
    """Templates that escape everything that comes from data."""
    found = Environment(
        loader=PackageLoader("target_journeys.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["words"] = words
    found.filters["count"] = lambda number: f"{number:,}"
    found.filters["percent"] = lambda share: "" if share is None else f"{share:.0%}"
    found.filters["day"] = lambda text: "" if text is None else str(text)[:10]
    return found


def render(values: Mapping[str, Any]) -> str:
    """The page; ``values`` as ``page.html`` names them."""
    return environment().get_template("page.html").render(values)
