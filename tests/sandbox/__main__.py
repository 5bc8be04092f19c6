"""The sandbox by hand: python -m tests.sandbox [VENDOR ...] [--sample] [--port 8900].

Starts the vendors, says where they are and what a configuration is told, and runs until Ctrl-C;
then it says how much of each limit was used.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.sandbox.sample import DATA, fill
from tests.sandbox.server import VENDORS, Sandbox

SOURCES = {"bigquery": "ga4"}  # a tap's source that has another name than the vendor


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until the process is asked to end."""
    options = _options().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox(*options.vendors, port=options.port) as sandbox:
        for vendor in sandbox.vendors.values():
            vendor.faults.latency_ms = options.latency_ms
            vendor.faults.seed = options.seed
            vendor.limits.off = options.no_limits
        if folder := DATA if options.sample else options.seed_data:
            fill(sandbox, folder)
        _say(_introduction(sandbox))
        stop.wait()
        _say(_farewell(sandbox))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    parser.add_argument("vendors", nargs="*", metavar="VENDOR", help=f"of {', '.join(VENDORS)}")
    parser.add_argument("--port", type=int, default=0, help="first port; by default free ones")
    parser.add_argument("--latency-ms", type=float, default=0, help="before each answer")
    parser.add_argument("--seed", type=int, default=0, help="of the faults that a test switches on")
    parser.add_argument("--no-limits", action="store_true", help="let every request through")
    content = parser.add_mutually_exclusive_group()
    content.add_argument("--sample", action="store_true", help="hold the sample company")
    content.add_argument(
        "--seed-data",
        type=Path,
        metavar="FOLDER",
        help="hold another company, in files named as those of examples/shop/data",
    )
    return parser


def _introduction(sandbox: Sandbox) -> str:
    lines = []
    sources: dict[str, Any] = {}
    destinations: dict[str, Any] = {}
    for name, vendor in sandbox.vendors.items():
        told = vendor.tap_settings() or vendor.target_settings()
        secrets = "  ".join(f"{key} {value}" for key, value in told.items() if key != "base_url")
        lines.append(f"{name:<12} {vendor.url}  {secrets}")
        if vendor.tap_settings():
            sources[SOURCES.get(name, name)] = vendor.tap_settings()
        if vendor.target_settings():
            destinations[name] = vendor.target_settings()
    config = {"start_date": "2026-01-01T00:00:00Z", "sources": sources}
    config |= {"destinations": destinations}
    return "\n".join([*lines, "", "A configuration is told:", json.dumps(config, indent=2), ""])


def _farewell(sandbox: Sandbox) -> str:
    lines = [""]
    for name, vendor in sandbox.vendors.items():
        for bucket, use in vendor.limits.report().items():
            lines.append(
                f"{name} {bucket}: {use.requests} requests in {use.span_s:.1f} s, "
                f"{use.share:.0%} of what the limit allows, {use.refused} refused"
            )
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
