"""A destination's receiver in a process of its own; the receivers are those of the tests.

Run as a script it serves until its input ends, and answers each line with what it has seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SLOW_MS = 10_500  # longer than a request is waited for


class Running:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.settings: dict[str, Any] = self._read()

    def seen(self) -> dict[str, Any]:
        """Journeys, requests, faults and the use of each limit so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def vendor(name: str, *options: str) -> Iterator[Running]:
    """The receiver of a destination."""
    command = [sys.executable, __file__, name, *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield Running(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def digest(journeys: Iterable[list[str]]) -> str:
    """A short text for [subject, product, stage, since] of all journeys, in any order."""
    lines = sorted(json.dumps(each) for each in journeys)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--storm", action="store_true", help="three requests of ten fail")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--limit", type=int, help="requests a second, in place of the documented")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.target.vendors import receiving, storm  # not for the process that measures

    with receiving(options.name) as kit:
        vendor = kit.vendor
        if options.storm:
            storm(vendor, seed=1, slow_ms=SLOW_MS)
            vendor.faults.error_share, vendor.faults.slow_share = 0.14, 0.01
        vendor.faults.latency_ms = options.latency_ms
        if options.limit:
            bucket = next(iter(vendor.limits.buckets.values()))
            bucket.limit, bucket.window_s = options.limit, 1.0
        say(kit.settings())
        for _ in sys.stdin:
            journeys = kit.journeys()
            say(
                {
                    "journeys": len(journeys),
                    "digest": digest([*key, *seen[:2]] for key, seen in journeys.items()),
                    "requests": len(vendor.log),
                    "refused": vendor.count(429),
                    "faults": dict(vendor.faults.happened),
                    "limits": {
                        name: {
                            "requests": use.requests,
                            "limit": vendor.limits[name].limit,
                            "window_s": vendor.limits[name].window_s,
                        }
                        for name, use in vendor.limits.report().items()
                    },
                    "span_s": vendor.log[-1].at - vendor.log[0].at if vendor.log else 0.0,
                }
            )


def say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
