"""The public peers: a tap and a target as the SDK's documentation writes them, nothing tuned.

The third peer, meltano-map-transform, is a package of its own. Runs in the peers' environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from records import SCHEMA, STREAM
from singer_sdk import BatchSink, Stream, Tap, Target
from singer_sdk import typing as th

PATH_SETTING = th.PropertiesList(th.Property("path", th.StringType, required=True)).to_dict()


class Deals(Stream):
    """The deals of a JSON lines file."""

    name = STREAM
    primary_keys = ("id",)
    schema = SCHEMA

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        with Path(self.config["path"]).open() as lines:
            for line in lines:
                yield json.loads(line)


class StockTap(Tap):
    name = "tap-stock"
    config_jsonschema = PATH_SETTING

    def discover_streams(self) -> list[Stream]:
        return [Deals(self)]


class JSONLines(BatchSink):
    """Appends each batch to a file."""

    def process_batch(self, context: dict[str, Any]) -> None:
        with Path(self.config["path"]).open("a") as lines:
            lines.writelines(json.dumps(row, default=str) + "\n" for row in context["records"])


class StockTarget(Target):
    name = "target-stock"
    config_jsonschema = PATH_SETTING
    default_sink_class = JSONLines


if __name__ == "__main__":
    {"tap": StockTap, "target": StockTarget}[sys.argv.pop(1)].cli()
