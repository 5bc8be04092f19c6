"""The top-level names of the one configuration file that tap, mapper and target share."""

from __future__ import annotations

TOP_LEVEL: tuple[str, ...] = (
    "sources",
    "presets",
    "rules",
    "rules_files",
    "stage_model",
    "store",
    "destinations",
    "start_date",
    "as_of",
    "fail_on_refused",
)
