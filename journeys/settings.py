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
    "identity",
    "accounts",
    "consent",
    "experience",
    "start_date",
    "as_of",
    "fail_on_refused",
)

# What the SDK adds to every plugin; Meltano hands them over with the rest.
BUILT_IN: tuple[str, ...] = (
    "add_record_metadata",
    "batch_config",
    "batch_size_rows",
    "faker_config",
    "flattening_enabled",
    "flattening_key_separator",
    "flattening_max_depth",
    "flattening_max_key_length",
    "flattening_separator",
    "load_method",
    "stream_map_config",
    "stream_maps",
    "validate_records",
)
