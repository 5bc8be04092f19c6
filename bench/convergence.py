"""Do all destinations end up with what the store says, while three requests of ten fail?

The target runs again and again, as a scheduler would run it, until it has nothing left to send.
Progress goes to standard error, whose last line is the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import run
from vendor import ROOT, digest, vendor

TARGET = [str(Path(sys.executable).parent / "target-journeys"), "--config"]
MOST_RUNS = 100
BETWEEN_S = 5  # runs of the scheduler
DONE, LEFT = 0, 3  # the target's exit codes


def filled(folder: Path, people: int) -> Path:
    """A store with a journey of each of so many people, of which nobody was told."""
    store, source = folder / "store.db", folder / "events.singer"
    schema = {"type": "SCHEMA", "stream": "journey_events", "key_properties": ["event_id"]}
    schema["schema"] = {"type": "object", "properties": {"event_id": {"type": "string"}}}
    with source.open("w") as out:
        out.write(json.dumps(schema) + "\n")
        for number in range(people):
            out.write(json.dumps(event(number)) + "\n")
    run([[*TARGET, config(folder, store, {})]], source=source, folder=folder)
    source.unlink()
    return store


def event(number: int) -> dict[str, Any]:
    """A RECORD: somebody looked at a product."""
    record = {
        "event_id": f"{number:032x}",
        "event_type": "product_viewed",
        "occurred_at": f"2026-01-{1 + number % 28:02}T{number % 24:02}:00:00Z",
        "source": "web_events",
        "source_key": str(number),
        "subject": f"email:p{number}@x.test",
        "scopes": [{"grain": "product", "id": f"P{number % 200}"}],
    }
    return {"type": "RECORD", "stream": "journey_events", "record": record}


def config(folder: Path, store: Path, destinations: dict[str, Any]) -> str:
    """The path of the target's settings."""
    path = folder / "config.json"
    settings = {"store": f"sqlite:///{store}", "as_of": "2026-03-01T00:00:00Z"}
    path.write_text(json.dumps(settings | {"destinations": destinations}))
    return str(path)


def converge(name: str, filled_store: Path, folder: Path) -> dict[str, Any]:
    """Deliver to one destination until nothing is left; what that took."""
    store = folder / f"{name}.db"
    shutil.copy(filled_store, store)
    with vendor(name, "--storm") as receiver:
        settings = config(folder, store, {name: receiver.settings})
        began, runs = time.perf_counter(), []
        while len(runs) < MOST_RUNS:
            runs.append(run([[*TARGET, settings]], folder=folder, accept=(DONE, LEFT))[0])
            log(f"  {name}, run {len(runs)}: {runs[-1].last_line}")
            if ", 0 waiting, 0 refused" in runs[-1].last_line:
                break
            time.sleep(BETWEEN_S)
        wall_s = time.perf_counter() - began
        seen = receiver.seen()
    connection = sqlite3.connect(store)
    known = connection.execute(
        "select subject, scope_id, stage, stage_entered_at from journey_stages"
    ).fetchall()
    states = dict(connection.execute("select status, count(*) from outbox group by 1").fetchall())
    connection.close()
    store.unlink()
    return {
        "destination": name,
        "runs": len(runs),
        "wall_s": wall_s,
        "cpu_s": sum(each.cpu_s for each in runs),
        "peak_mb": max(each.peak_mb for each in runs),
        "states": states,
        "same": seen["digest"] == digest(map(list, known)),
        **seen,
    }


def log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000, help="people with a journey each")
    parser.add_argument("--only", help="one destination")
    parser.add_argument("--folder", type=Path, default=ROOT / "bench/data")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.target.vendors import KITS

    options.folder.mkdir(parents=True, exist_ok=True)
    found = []
    with TemporaryDirectory(dir=options.folder) as name:
        store = filled(Path(name), options.records)
        for each in [options.only] if options.only else sorted(KITS):
            found.append(converge(each, store, Path(name)))
    log(json.dumps(found))


if __name__ == "__main__":
    main()
