"""How near sources come to the rate that vendors document, beside singer-io's taps.

Every contender reads a sandbox of its own, a process with 150 ms before each answer and the
documented limits at full size, all of them at the same time. As a program, ``sources.py VENDOR
ROWS_OF_A_PAGE`` is that process: it says what a tap is told, and how its limits were used once its
input ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
LATENCY_MS = 150.0
TIMEOUT_S = 170.0  # for a tap; the figures are of what it has asked for by then
PAST = datetime(2026, 1, 5, tzinfo=UTC)
HUBSPOT, ZENDESK = "https://api.hubapi.com", "https://acme.zendesk.com"
ACCESS_TOKEN = "bench-access-token"  # the one way that tap-zendesk discovers with
ZENDESK_STREAMS = ("tickets", "ticket_metrics", "users", "satisfaction_ratings")


# -- the sandbox, a process of its own -----------------------------------------------------------


def _at(number: int) -> str:
    return f"{PAST + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}"


def fill_hubspot(vendor: Any) -> None:
    """People with deals and their lines: long lists, and what is read beside them."""
    world = vendor.world
    for number in range(12_000):
        person = world.add("contacts", {"email": f"{number}@acme.test"}, at=_at(number // 2))
        if number % 3 == 0:
            deal = world.add("deals", {"dealname": f"D{number}"}, at=_at(number))
            world.associate("deals", deal, "contacts", person)


def fill_zendesk(vendor: Any) -> None:
    """Exports of a few pages, and answers to surveys."""
    vendor.access_tokens[ACCESS_TOKEN] = None
    world = vendor.world
    world.add("ticket_fields", {"title": "Product"}, _at(0))
    for number in range(1000):
        organization = world.add("organizations", {"name": f"O{number}"}, _at(number))["id"]
        user = {"email": f"u{number}@acme.test", "organization_id": organization}
        ticket = {"requester_id": world.add("users", user, _at(number))["id"]}
        made = world.add("tickets", ticket, _at(number))["id"]
        world.update("tickets", made, {"status": "solved"}, at=_at(9000 + number))
        world.rate(made, "good", at=_at(20_000 + 600 * number))


def fill_bigquery(vendor: Any) -> None:
    """Some days of events, in small pages."""
    from tests.sandbox.bigquery_world import event

    export = vendor.add_export("7")
    for day in range(15):
        at = PAST + timedelta(days=day)
        vendor.clock.set(at)
        export.stream(
            *(
                event(at + timedelta(seconds=n), "page_view", user_pseudo_id="1.1")
                for n in range(1500)
            )
        )
        vendor.clock.set(at + timedelta(hours=23))
        export.close_day(f"{at:%Y%m%d}")
    vendor.clock.run()


FILL: dict[str, Callable[[Any], None]] = {
    "hubspot": fill_hubspot,
    "zendesk": fill_zendesk,
    "bigquery": fill_bigquery,
}


def serve(name: str, page_rows: int) -> None:
    """Be the vendor until the input ends."""
    sys.path.insert(0, str(ROOT))
    from tests.sandbox.server import Sandbox

    with Sandbox(name) as sandbox:
        vendor = sandbox.vendors[name]
        FILL[name](vendor)
        vendor.page_cap = vendor.page_rows = page_rows or None
        vendor.faults.latency_ms = LATENCY_MS
        _say({"url": vendor.url, "settings": vendor.tap_settings()})
        sys.stdin.read()
        used = [each for each in vendor.limits.buckets.values() if each.first_at is not None]
        _say(
            {
                "refused": sum(each.refused for each in used),
                "span_s": max([e.last_at or 0.0 for e in used], default=0.0)
                - min([e.first_at or 0.0 for e in used], default=0.0),
                # one window's requests may go at once, and again when the next one begins
                "least_s": max([(e.requests - 1) // e.limit * e.window_s for e in used], default=0),
                "buckets": {each.name: each.requests for each in used},
            }
        )


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


# -- the contenders ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """A tap and the vendor that it reads."""

    name: str
    vendor: str
    command: Callable[[Path, dict[str, Any]], list[str]]  # (its folder, what the vendor says)
    hosts: str | None = None  # the host that is written in its code
    page_rows: int = 0  # at most; small pages make as many requests of fewer rows


def ours(tap: Path, source: str) -> Callable[[Path, dict[str, Any]], list[str]]:
    def command(folder: Path, said: dict[str, Any]) -> list[str]:
        plan = {"plan": "enterprise"} if source == "zendesk" else {}
        settings = {"sources": {source: said["settings"] | plan}}
        (folder / "config.json").write_text(json.dumps(settings))
        return [str(tap), "--config", "config.json"]

    return command


def _catalog(*streams: str) -> dict[str, Any]:
    """What discovery would say of these streams, with few fields: it asks for more than we have."""
    chosen = {"selected": True, "inclusion": "available", "table-key-properties": ["id"]}
    fields = ("id", "property_email")
    places = [[], *(["properties", name] for name in fields)]
    return {
        "streams": [
            {
                "stream": name,
                "tap_stream_id": name,
                "key_properties": ["id"],
                "schema": {"type": "object", "properties": {field: {} for field in fields}},
                "metadata": [{"breadcrumb": place, "metadata": chosen} for place in places],
            }
            for name in streams
        ]
    }


def tap_hubspot(python: Path) -> Callable[[Path, dict[str, Any]], list[str]]:
    """Its contacts; its deals and companies are asked for where the sandbox has nothing."""

    def command(folder: Path, said: dict[str, Any]) -> list[str]:
        token = said["settings"]["access_token"]
        config = {"api_key": token, "start_date": "2026-01-01T00:00:00Z"}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "catalog.json").write_text(json.dumps(_catalog("contacts")))
        tap = str(python.parent / "tap-hubspot")
        return [tap, "--config", "config.json", "--properties", "catalog.json"]

    return command


def tap_zendesk(python: Path) -> Callable[[Path, dict[str, Any]], list[str]]:
    """The streams that it shares with ours and that need no request for each ticket."""

    def command(folder: Path, said: dict[str, Any]) -> list[str]:
        config = {"access_token": ACCESS_TOKEN, "subdomain": "acme"}
        config["start_date"] = "2026-01-01T00:00:00Z"
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "catalog.json").write_text(json.dumps(_catalog(*ZENDESK_STREAMS)))
        tap = str(python.parent / "tap-zendesk")
        return [tap, "--config", "config.json", "--catalog", "catalog.json"]

    return command


def _environment(hosts: dict[str, str]) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(BENCH / "hosts"), "BENCH_HOSTS": json.dumps(hosts)}


def readers(bin_of_ours: Path, peers: Path) -> list[Reader]:
    """All of them; ``peers`` is the folder that holds the peers' environments."""
    tap = bin_of_ours / "tap-journeys"
    hubspot, zendesk = (
        peers / f".venv-bench-tap-{name}/bin/python" for name in ("hubspot", "zendesk")
    )
    return [
        Reader("hubspot", "hubspot", ours(tap, "hubspot")),
        Reader("tap-hubspot (contacts)", "hubspot", tap_hubspot(hubspot), HUBSPOT),
        Reader("zendesk", "zendesk", ours(tap, "zendesk"), page_rows=350),
        Reader("tap-zendesk", "zendesk", tap_zendesk(zendesk), ZENDESK, page_rows=90),
        Reader("ga4 (BigQuery)", "bigquery", ours(tap, "ga4"), page_rows=20),
    ]


class Running:
    """One contender and its vendor, both under way."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        folder.mkdir()
        self.error: str | None = None
        self.vendor = subprocess.Popen(
            [sys.executable, str(BENCH / "sources.py"), reader.vendor, str(reader.page_rows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tap: subprocess.Popen[bytes] | None = None
        self.ends_at = 0.0

    def start(self) -> None:
        assert self.vendor.stdout is not None
        said = json.loads(self.vendor.stdout.readline())
        self.ends_at = monotonic() + TIMEOUT_S
        hosts = {self.reader.hosts: said["url"]} if self.reader.hosts else {}
        try:
            command = self.reader.command(self.folder, said)
            with (self.folder / "log").open("wb") as log, (self.folder / "out").open("wb") as out:
                self.tap = subprocess.Popen(
                    command, cwd=self.folder, env=_environment(hosts), stdout=out, stderr=log
                )
        except (OSError, subprocess.SubprocessError) as error:
            self.error = f"did not start ({type(error).__name__})"

    def finish(self) -> dict[str, Any]:
        """The figures, when the tap has ended or has had its time."""
        try:
            if self.tap is not None and self.tap.wait(max(0.1, self.ends_at - monotonic())) != 0:
                self.error = f"ended with {self.tap.returncode}"
        except subprocess.TimeoutExpired:
            self.tap.kill()
            self.tap.wait()
            self.error = f"stopped after {TIMEOUT_S:.0f} s"
        used, _ = self.vendor.communicate("")
        name = {"name": self.reader.name}
        if self.tap is None or not used.strip():
            return name | {"error": self.error or "was not read"}
        found = name | json.loads(used)
        written = (self.folder / "out").read_bytes()
        found["records"] = sum(written.count(b'"type":' + s + b'"RECORD"') for s in (b"", b" "))
        found["reached"] = found["least_s"] / found["span_s"] if found["span_s"] else None
        return found | ({"error": self.error} if self.error else {})


def measure(bin_of_ours: Path, peers: Path, work: Path) -> list[dict[str, Any]]:
    """What every contender reached, all of them side by side."""
    running = [
        Running(reader, work / f"sources-{number}")
        for number, reader in enumerate(readers(bin_of_ours, peers))
    ]
    for each in running:
        each.start()
    return [each.finish() for each in running]


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
