"""How much of a destination's rate is used, how often it is overdrawn, and in how much memory.

Each receiver enforces a limit: the documented one of its vendor, and one of our own choice.
Progress goes to standard error, whose last line is the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convergence import DONE, LEFT, TARGET, config, filled, log
from measure import run
from vendor import ROOT, vendor

OWN = 20  # requests a second
SMALL = 10  # the small store has a tenth of the records, for the memory


def paced(name: str, store: Path, folder: Path, *, own: bool, latency_ms: int) -> dict[str, Any]:
    """One run of the target with a store of which nobody was told."""
    copy = folder / "copy.db"
    shutil.copy(store, copy)
    options = ["--latency-ms", str(latency_ms), *(["--limit", str(OWN)] if own else [])]
    with vendor(name, *options) as receiver:
        more = {"max_requests_per_s": OWN} if own else {}
        settings = config(folder, copy, {name: receiver.settings | more})
        usage = run([[*TARGET, settings]], folder=folder, accept=(DONE, LEFT))[0]
        seen = receiver.seen()
    copy.unlink()
    log(f"  {name}{', own limit' if own else ''}: {usage.last_line}")
    return {
        "destination": name,
        "own": own,
        "share": share(seen),
        "overdrawn": seen["refused"] / seen["requests"],
        "peak_mb": usage.peak_mb,
        "wall_s": usage.wall_s,
        "cpu_s": usage.cpu_s,
        **seen,
    }


def share(seen: Mapping[str, Any]) -> float | None:
    """The least time that the requests can take within the limit, of the time that they took.

    None if they are too few to meet the limit.
    """
    least_s = max(
        (each["requests"] - 1) // each["limit"] * each["window_s"]
        for each in seen["limits"].values()
    )
    return least_s / seen["span_s"] if least_s else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000, help="people with a journey each")
    parser.add_argument("--latency-ms", type=int, default=100, help="what an answer takes")
    parser.add_argument("--only", help="one destination")
    parser.add_argument("--folder", type=Path, default=ROOT / "bench/data")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.target.vendors import KITS

    options.folder.mkdir(parents=True, exist_ok=True)
    found = []
    with TemporaryDirectory(dir=options.folder) as name:
        folders = [Path(name) / each for each in ("small", "large")]
        for folder in folders:
            folder.mkdir()
        small = filled(folders[0], options.records // SMALL)
        large = filled(folders[1], options.records)
        for each in [options.only] if options.only else sorted(KITS):
            at = {"latency_ms": options.latency_ms}
            first = paced(each, small, folders[0], own=False, **at)
            larger = paced(each, large, folders[1], own=False, **at)
            found.append(larger | {"small_mb": first["peak_mb"]})
            found.append(paced(each, large, folders[1], own=True, **at))
    log(json.dumps(found))


if __name__ == "__main__":
    main()
