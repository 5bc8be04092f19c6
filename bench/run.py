"""Measures our three plugins against public peers and raw floors, side by side, as ratios.

Prints one table per block and writes every figure to ``bench/results/latest.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import sources
from measure import Command, ProcessError, Usage, run

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BLOCKS = (
    "mapper",
    "target",
    "pipe",
    "memory",
    "incremental",
    "identity",
    "deliveries",
    "sources",
    "floors",
    "convergence",
    "rates",
)
LINE_BYTES = (560, 630)  # the mean length of a line that the figures are defined for
PER_PERSON = 11  # events of one person in people.py, links included
MEMBERS = 10  # of an account, where identity is measured with buying teams
DELIVERED = (0, 3)  # our target's exit codes: all was sent, or rows are waiting
MB = 1024 * 1024  # bytes
NOISE = 0.1  # share of the start-up that varies from run to run


@dataclass(slots=True)
class Contender:
    """A pipe that is timed, and what it has cost so far."""

    name: str
    commands: Callable[[Path, Path], list[Command]]  # (its own new folder, its input)
    full: Path  # the input
    small: Path  # an input of one record, for the start-up
    stdin: bool = True  # or it opens the input itself
    accept: Collection[int] = (0,)
    runs: list[list[Usage]] = field(default_factory=list)
    starts: list[list[Usage]] = field(default_factory=list)
    error: str | None = None

    def go(self, work: Path, source: Path) -> list[Usage]:
        """One run, in a new folder."""
        with TemporaryDirectory(dir=work) as name:
            folder = Path(name)
            commands = self.commands(folder, source)
            given = source if self.stdin else None
            return run(commands, source=given, folder=folder, accept=self.accept)


def compare(contenders: list[Contender], *, work: Path, repeat: int) -> None:
    """Run the contenders in turn, several times over; one that fails is left out from then on.

    Round 0 only compiles byte code and fills caches; it does not count.
    """
    for round_number in range(repeat + 1):
        for contender in contenders:
            if contender.error is not None:
                continue
            log(f"  round {round_number} of {repeat}: {contender.name}")
            try:
                start = contender.go(work, contender.small)
                if round_number:
                    contender.starts.append(start)
                    contender.runs.append(contender.go(work, contender.full))
            except ProcessError as error:
                contender.error = str(error)


def figures(contender: Contender, records: int) -> dict[str, Any]:
    """The medians of a contender's rounds; net is the whole run less the start-up."""
    if contender.error is not None:
        return {"name": contender.name, "error": contender.error}
    wall_s, start_s = wall(contender.runs), wall(contender.starts)
    cpu_s, start_cpu_s = cpu(contender.runs), cpu(contender.starts)
    net_s = net(wall_s, start_s)
    return {
        "name": contender.name,
        "wall_s": wall_s,
        "start_s": start_s,
        "cpu_s": cpu_s,
        "start_cpu_s": start_cpu_s,
        "rate": records / wall_s,
        "net_rate": records / net_s if net_s else None,
        "net_cpu_s": net(cpu_s, start_cpu_s),
        "runs": [[cost(usage) for usage in usages] for usages in contender.runs],
    }


def net(whole_s: float, start_s: float) -> float | None:
    """What is left without the start-up, or nothing when it drowns in the start-up's noise."""
    return whole_s - start_s if whole_s > start_s * (1 + NOISE) else None


def wall(runs: list[list[Usage]]) -> float:
    """Median seconds until the last process of the pipe ended."""
    return median(max(usage.wall_s for usage in usages) for usages in runs)


def cpu(runs: list[list[Usage]]) -> float:
    """Median CPU seconds of all processes of the pipe together."""
    return median(sum(usage.cpu_s for usage in usages) for usages in runs)


def cost(usage: Usage) -> dict[str, float]:
    """The figures of one process, without what it said."""
    return {"wall_s": usage.wall_s, "cpu_s": usage.cpu_s, "peak_mb": usage.peak_mb}


def divided(above: float | None, below: float | None) -> float | None:
    """The quotient, where both are known."""
    return above / below if above and below else None


class Bench:
    """The inputs, made once, and one method per block."""

    def __init__(self, options: argparse.Namespace, work: Path, receiver: str) -> None:
        self.options = options
        self.work = work
        self.receiver = receiver  # the URL that takes every request
        self.ours: Path = options.ours.absolute()
        self.peers: Path = options.peers.absolute()
        self.python = str(self.peers / "python")
        self._stores: dict[int, list[Usage]] = {}

    def mapper(self) -> dict[str, Any]:
        """Records to events, output discarded."""
        full, small = self.deals("singer"), self.deals("singer", records=1)
        contenders = [
            Contender("mapper-journeys", self.our_mapper, full, small),
            *(
                Contender(
                    f"meltano-map-transform, {name}",
                    partial(self.stock_mapper, maps),
                    full,
                    small,
                )
                for name, maps in stream_maps().items()
            ),
            Contender("floor: msgspec decode + encode", self.recode_floor, full, small),
        ]
        result = self.block("mapper", contenders, self.options.records)
        if contenders[0].error is None:
            with self.events(self.options.records).open("rb") as lines:
                result["events"] = sum(b'"RECORD"' in line for line in lines)
            show(f"\n{result['events']:,} events from {self.options.records:,} records.")
        return result

    def target(self) -> dict[str, Any]:
        """Events into a store, with journeys and an outbox; the peer writes a file."""
        full, small = self.events(self.options.records), self.events(1)
        contenders = [
            Contender("target-journeys", self.our_target, full, small, accept=DELIVERED),
            Contender(
                "stock BatchSink, deals to JSON lines",
                self.stock_target,
                self.deals("singer"),
                self.deals("singer", records=1),
            ),
            Contender("floor: typed decode + sqlite3 upsert", self.upsert_floor, full, small),
        ]
        return self.block("target", contenders, self.options.records)

    def pipe(self) -> dict[str, Any]:
        """A file of records through tap, mapper and target, three processes side by side."""
        full, small = self.deals("jsonl"), self.deals("jsonl", records=1)
        contenders = [
            Contender("ours", self.our_pipe, full, small, stdin=False, accept=DELIVERED),
            *(
                Contender(
                    f"stock tap | meltano-map-transform, {name} | stock BatchSink",
                    partial(self.stock_pipe, maps),
                    full,
                    small,
                    stdin=False,
                )
                for name, maps in stream_maps().items()
                if maps
            ),
        ]
        result = self.block("pipe", contenders, self.options.records)
        rows = [
            [contender.name, *(f"{usage.cpu_s:.1f}" for usage in contender.runs[-1])]
            for contender in contenders
            if contender.error is None
        ]
        show("\nCPU seconds of each process, last round:\n")
        show(table(["pipe", "tap", "mapper", "target"], rows))
        return result

    def memory(self) -> dict[str, Any]:
        """Peak memory of our processes as the input grows."""
        records = self.options.records
        sizes = (1, records, records * self.options.growth)
        peaks = [[usage.peak_mb for usage in self.store(size)] for size in sizes]
        names = ("tap-journeys", "mapper-journeys", "target-journeys")
        result = [
            {"name": name, "start_mb": start, "mb": once, "grown_mb": grown, "growth": grown / once}
            for name, start, once, grown in zip(names, *peaks, strict=True)
        ]
        show("\n## memory\n\nPeak resident MB of each process of our pipe.\n")
        rows = [
            [
                row["name"],
                *(f"{row[key]:.0f}" for key in ("start_mb", "mb", "grown_mb")),
                times(row["growth"]),
            ]
            for row in result
        ]
        columns = ["process", "1 event", *(f"{size:,} events" for size in sizes[1:]), "growth"]
        show(table(columns, rows))
        return {"sizes": sizes, "processes": result}

    def incremental(self) -> dict[str, Any]:
        """A few new events into a small and a large store, both copied afresh for each run."""
        sizes = self.options.stores
        fresh = min(self.options.new, sizes[0] // 10)
        contenders = [self.late_events(size, fresh) for size in sizes]
        for round_number in range(1, self.options.repeat + 1):
            for size, contender in zip(sizes, contenders, strict=True):
                log(f"  round {round_number} of {self.options.repeat}: {contender.name}")
                with TemporaryDirectory(dir=self.work) as name:
                    folder = Path(name)
                    shutil.copytree(self.store_folder(size), folder, dirs_exist_ok=True)
                    os.sync()  # what the copy left to write must not count as the target's time
                    commands = contender.commands(folder, contender.full)
                    for source, usages in (
                        (contender.full, contender.runs),
                        (None, contender.starts),
                    ):
                        usages.append(run(commands, source=source, folder=folder, accept=DELIVERED))
        result = [figures(contender, fresh) for contender in contenders]
        rows = [
            [
                row["name"],
                *(f"{row[key]:.2f}" for key in ("wall_s", "cpu_s", "start_s")),
                times(row["wall_s"] / result[0]["wall_s"]),
                times(row["cpu_s"] / result[0]["cpu_s"]),
                times(divided(row["net_cpu_s"], result[0]["net_cpu_s"])),
            ]
            for row in result
        ]
        show(f"\n## incremental\n\n{fresh:,} new events, each of another known customer.\n")
        columns = ["store", "wall s", "CPU s", "start-up s"]
        against = ["wall, x small", "CPU, x small", "net CPU, x small"]
        show(table([*columns, *against], rows))
        return {"new": fresh, "stores": result}

    def late_events(self, size: int, fresh: int) -> Contender:
        """New events for the store of that size, which is filled first."""
        self.store(size)
        stored = sum(file.stat().st_size for file in self.store_folder(size).iterdir())
        name = f"{size:,} events, {stored / MB:.0f} MB"
        late = self.events(size, late=fresh)
        return Contender(name, partial(self.our_target, send=True), late, late, accept=DELIVERED)

    def identity(self) -> dict[str, Any]:
        """Who is whom, and who buys together: their share of a run, and one new link."""
        found = {members: self.people(members) for members in (0, MEMBERS)}
        show("\n## identity\n\nOne run each; the median of 50 new links, each in its own commit.\n")
        columns = ["store", "run s", "identity", "teams", "a link's identity ms", "teams ms"]
        rows = [
            [
                f"{each['people']:,} people, {3 * each['people']:,} ids, {each['events']:,} events"
                + (f", {each['teams']:,} teams" if members else ""),
                f"{each['run_s']:.1f}",
                f"{each['identity_s'] / each['run_s']:.0%}",
                f"{each['teams_s'] / each['run_s']:.0%}",
                f"{1000 * one['identity_s']:.2f}",
                f"{1000 * one['teams_s']:.2f}",
                f"{1000 * one['whole_s']:.2f}",
            ]
            for members, result in found.items()
            for each, one in zip(result["runs"], result["links"], strict=True)
        ]
        show(table([*columns, "its commit ms"], rows))
        return {"alone": found[0], "in accounts": found[MEMBERS]}

    def people(self, members: int) -> dict[str, Any]:
        """What people.py measures with so many people to an account."""
        sizes = [max(size // PER_PERSON, 100) for size in self.options.stores]
        script = [str(self.ours / "python"), str(BENCH / "people.py"), "--members", str(members)]
        with TemporaryDirectory(dir=self.work) as folder:
            command = [*script, "--people", *map(str, sizes), "--folder", folder]
            found: dict[str, Any] = json.loads(run([command])[0].last_line)
        return found

    def deliveries(self) -> dict[str, Any]:
        """Reading, and a destination that is up, beside one that is down."""
        script = [str(self.ours / "python"), str(BENCH / "deliveries.py")]
        given = ["--deals", str(self.deals("jsonl")), "--ours", str(self.ours)]
        with TemporaryDirectory(dir=self.work) as folder:
            command = [*script, *given, "--repeat", str(self.options.repeat), "--folder", folder]
            found: dict[str, Any] = json.loads(run([command])[0].last_line)
        measured, speed = found["medians"], found["speed"]
        rows = [
            [
                name,
                *(f"{each[clock]:.1f}" for clock in each),
                *(f"{speed[name][clock]:.2f}" for clock in each),
            ]
            for name, each in measured.items()
        ]
        told = f"{self.options.records:,} records, {found['lines']:,} lines to the webhook"
        show(f"\n## deliveries\n\n{told}, median of {self.options.repeat} rounds.\n")
        clocks = ("read", "delivered", "run", "CPU")
        against = (f"{clock}: this / one down" for clock in clocks)
        show(table(["beside the webhook", *(f"{each} s" for each in clocks), *against], rows))
        return found

    def sources(self) -> list[dict[str, Any]]:
        """Taps at the rates that vendors document, in a sandbox with latency."""
        with TemporaryDirectory(dir=self.work) as folder:
            found = sources.measure(self.ours, self.peers.parent.parent, Path(folder))
        rows = [
            [each["name"], f"not measured: {each['error']}", *[""] * 5]
            if "span_s" not in each
            else [
                each["name"] + (f" ({each['error']})" if "error" in each else ""),
                f"{each['records']:,}",
                ", ".join(f"{name} {count:,}" for name, count in each["buckets"].items()),
                f"{each['span_s']:.1f}",
                f"{each['least_s']:.0f}",
                f"{each['reached']:.0%}" if each["reached"] is not None else "-",
                f"{each['refused']:,}",
            ]
            for each in found
        ]
        show(
            f"\n## sources\n\n{sources.LATENCY_MS:.0f} ms before each answer, all at once. "
            "Salesforce documents no rate by the second, so there is nothing to reach.\n"
        )
        columns = ["tap", "records", "requests by limit", "s", "s by the limits", "reached", "429s"]
        show(table(columns, rows))
        return found

    def floors(self) -> dict[str, Any]:
        """Single operations on lines in memory."""
        rounds = []
        for _ in range(self.options.repeat):
            with TemporaryDirectory(dir=self.work) as folder:
                script = [self.python, str(BENCH / "floors.py"), "raw"]
                command = [*script, str(self.deals("singer")), f"{folder}/floor.db"]
                rounds.append(json.loads(run([command])[0].last_line))
        rates = {name: median(each[name] for each in rounds) for name in rounds[0]}
        show("\n## floors\n")
        rows = [[name, f"{rate:,.0f}"] for name, rate in rates.items()]
        show(table(["operation, one process, lines in memory", "records/s"], rows))
        return rates

    def convergence(self) -> list[dict[str, Any]]:
        """Every destination with a receiver that fails three requests of ten."""
        found = self.script("convergence.py", self.options.records // 2)
        rows = [
            [
                row["destination"],
                f"{row['journeys']:,}",
                "yes" if row["same"] and set(row["states"]) == {"sent"} else "NO",
                *(f"{row[key]:,}" for key in ("runs", "requests")),
                f"{sum(row['faults'].values()) / row['requests']:.0%}",
                *(f"{row[key]:.0f}" for key in ("wall_s", "cpu_s", "peak_mb")),
            ]
            for row in found
        ]
        show("\n## convergence\n\nThe target is run again until nothing is left.\n")
        columns = ["destination", "journeys", "all told", "runs", "requests", "faults"]
        show(table([*columns, "wall s", "CPU s", "peak MB"], rows))
        return found

    def rates(self) -> list[dict[str, Any]]:
        """Every destination with a receiver that enforces a limit."""
        found = self.script("rates.py", self.options.records // 4)
        rows = [
            [
                f"{row['destination']}, {'own' if row['own'] else 'documented'} limit",
                "not met" if row["share"] is None else f"{row['share']:.1%}",
                f"{row['overdrawn']:.2%}",
                f"{row['requests'] / row['span_s']:.1f}",
                f"{row['peak_mb']:.0f}",
                times(divided(row["peak_mb"], row.get("small_mb"))),
            ]
            for row in found
        ]
        show("\n## rates\n\nAnswers take 100 ms; the own limit is 20 requests a second.\n")
        columns = ["destination", "share of the limit", "answered 429", "requests/s"]
        show(table([*columns, "peak MB", "x a tenth of the records"], rows))
        return found

    def script(self, name: str, records: int) -> list[dict[str, Any]]:
        """What one of our own scripts measures."""
        command = [str(self.ours / "python"), str(BENCH / name)]
        options = ["--records", str(records), "--folder", str(self.work)]
        found: list[dict[str, Any]] = json.loads(run([[*command, *options]])[0].last_line)
        return found

    # our commands

    def our_config(self, folder: Path, deals: Path, *, send: bool = False) -> str:
        """The filled template; unless changes are sent, the requests are written to a file."""
        values = {"bench": BENCH, "folder": folder, "deals": deals, "receiver": self.receiver}
        template = Template((BENCH / "config.json").read_text())
        config = folder / "config.json"
        config.write_text(template.substitute(values, dry_run=json.dumps(not send)))
        return str(config)

    def our_mapper(self, folder: Path, source: Path) -> list[Command]:
        return [[str(self.ours / "mapper-journeys"), "--config", self.our_config(folder, source)]]

    def our_target(self, folder: Path, source: Path, *, send: bool = False) -> list[Command]:
        config = self.our_config(folder, source, send=send)
        return [[str(self.ours / "target-journeys"), "--config", config]]

    def our_pipe(self, folder: Path, source: Path, *, send: bool = False) -> list[Command]:
        config = self.our_config(folder, source, send=send)
        names = ("tap-journeys", "mapper-journeys", "target-journeys")
        return [[str(self.ours / name), "--config", config] for name in names]

    # the peers' commands and the floors

    def stock_mapper(self, maps: dict[str, Any], folder: Path, source: Path) -> list[Command]:
        config = folder / "maps.json"
        config.write_text(json.dumps({"stream_maps": maps}))
        return [[str(self.peers / "meltano-map-transform"), "--config", str(config)]]

    def stock_target(self, folder: Path, source: Path) -> list[Command]:
        return [self.stock("target", folder, folder / "out.jsonl")]

    def stock_pipe(self, maps: dict[str, Any], folder: Path, source: Path) -> list[Command]:
        tap = self.stock("tap", folder, source)
        return [tap, *self.stock_mapper(maps, folder, source), *self.stock_target(folder, source)]

    def stock(self, plugin: str, folder: Path, path: Path) -> Command:
        config = folder / f"{plugin}.json"
        config.write_text(json.dumps({"path": str(path)}))
        return [self.python, str(BENCH / "peers.py"), plugin, "--config", str(config)]

    def recode_floor(self, folder: Path, source: Path) -> list[Command]:
        return [[self.python, str(BENCH / "floors.py"), "recode"]]

    def upsert_floor(self, folder: Path, source: Path) -> list[Command]:
        return [[self.python, str(BENCH / "floors.py"), "upsert", str(folder / "floor.db")]]

    # inputs, made when first asked for

    def deals(self, form: str, *, records: int | None = None, late: int | None = None) -> Path:
        """The file of deals, as Singer messages or bare; ``late`` ones come after those records."""
        records = self.options.records if records is None else records
        path = self.work / f"deals-{records}{f'-late-{late}' if late else ''}.{form}"
        if not path.exists():
            log(f"  writing {path.name}")
            script = [sys.executable, str(BENCH / "records.py")]
            command = [*script, "--records", str(records), "--format", form]
            run([command + (["--late", str(late)] if late else [])], sink=path)
            length = path.stat().st_size / records
            if form == "singer" and records > 1000 and not late:
                assert LINE_BYTES[0] <= length <= LINE_BYTES[1], f"{length:.0f} bytes per line"
        return path

    def events(self, records: int, *, late: int | None = None) -> Path:
        """What our mapper makes of those deals."""
        path = self.work / f"events-{records}{f'-late-{late}' if late else ''}.singer"
        if not path.exists():
            source = self.deals("singer", records=records, late=late)
            unfinished = path.with_suffix(".unfinished")
            run(self.our_mapper(self.work, source), source=source, sink=unfinished)
            unfinished.rename(path)
        return path

    def store_folder(self, records: int) -> Path:
        return self.work / f"store-{records}"

    def store(self, records: int) -> list[Usage]:
        """What our pipe cost when it filled the store of that size, which stays for others."""
        if records not in self._stores:
            log(f"  filling a store with {records:,} events")
            folder = self.store_folder(records)
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            folder.mkdir()
            source = self.deals("jsonl", records=records)
            commands = self.our_pipe(folder, source, send=True)
            self._stores[records] = run(commands, folder=folder, accept=DELIVERED)
        return self._stores[records]

    # tables

    def block(self, title: str, contenders: list[Contender], records: int) -> dict[str, Any]:
        """Run, print and return one block; the first contender is ours."""
        compare(contenders, work=self.work, repeat=self.options.repeat)
        measured = [figures(contender, records) for contender in contenders]
        show(f"\n## {title}\n\n{records:,} records, median of {self.options.repeat} rounds.\n")
        ours = measured[0]
        columns = ["process", "records/s", "net of start-up", "wall s", "CPU s", "start-up s"]
        against = ["ours x, whole process", "ours x, net of start-up", "ours x, net CPU"]
        show(table([*columns, *against], [row_of(each, ours) for each in measured]))
        for contender, each in zip(contenders, measured, strict=True):
            if contender.name.startswith("floor") and contender.error is None:
                loops = [json.loads(usages[0].last_line)["loop_s"] for usages in contender.runs]
                each["loop_rate"] = records / median(loops)
                show(f"\nInner loop of the {contender.name}: {each['loop_rate']:,.0f} records/s.")
        if contenders[0].error is None:
            for usage in contenders[0].runs[-1]:
                show(f"\nOurs said: {usage.last_line or 'nothing'}")
        return {"contenders": measured}

    def machine(self) -> str:
        """One line about what the figures were measured on."""
        here = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        load = f"load {os.getloadavg()[0]:.1f} at the start"
        ours, peers = versions(self.ours), versions(self.peers)
        return f"{here}, {load}. Ours: {ours}. Peers and floors: {peers}."


@contextmanager
def receiver() -> Iterator[str]:
    """The URL of a webhook in a process of its own."""
    command = [sys.executable, str(BENCH / "receiver.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def stream_maps() -> dict[str, dict[str, Any]]:
    """The peer mapper's work: the same six expressions twice, and none."""
    expressions = json.loads((BENCH / "stream_maps.json").read_text())
    only = {"__else__": None, "__key_properties__": ["event_id"]}
    return {
        "6 expressions beside the record": {"deals": expressions},
        "6 expressions, other fields dropped": {"deals": {**expressions, **only}},
        "empty map": {},
    }


def versions(environment: Path) -> str:
    """Python and the packages that matter in an environment, or that it is missing."""
    names = ("singer-sdk", "msgspec", "meltano-map-transform", "orjson", "sqlite-utils", "pydantic")
    script = (
        "import platform, sqlite3, sys\n"
        "from importlib.metadata import distributions\n"
        "found = {d.metadata['Name'].lower(): d.version for d in distributions()}\n"
        f"packages = [f'{{name}} {{found[name]}}' for name in {names!r} if name in found]\n"
        "versions = [f'Python {platform.python_version()}', f'SQLite {sqlite3.sqlite_version}']\n"
        "print(*versions, *packages, sep=', ', file=sys.stderr)"
    )
    try:
        return run([[str(environment / "python"), "-c", script]])[0].last_line
    except ProcessError:
        return f"no {environment.parent.name}"


def row_of(each: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """A contender's line of the table; the last columns say how many times as fast ours is."""
    if "error" in each:
        return [each["name"], f"not measured: {each['error']}", *[""] * 7]
    row = [
        each["name"],
        f"{each['rate']:,.0f}",
        f"{each['net_rate']:,.0f}" if each["net_rate"] else "-",
        *(f"{each[key]:.2f}" for key in ("wall_s", "cpu_s", "start_s")),
    ]
    if "error" in ours:
        return [*row, "", "", ""]
    return [
        *row,
        times(ours["rate"] / each["rate"]),
        times(divided(ours["net_rate"], each["net_rate"])),
        times(divided(each["net_cpu_s"], ours["net_cpu_s"])),
    ]


def times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def table(columns: list[str], rows: Iterable[list[str]]) -> str:
    """A markdown table, figures to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def block_names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in BLOCKS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(BLOCKS)}")
    return names


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000, help="records of a run")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--only", type=block_names, default=list(BLOCKS), help=", ".join(BLOCKS))
    parser.add_argument("--growth", type=int, default=10, help="memory: how much more, second time")
    parser.add_argument(
        "--stores", type=int, nargs=2, metavar=("SMALL", "LARGE"), help="incremental: events stored"
    )
    parser.add_argument("--new", type=int, default=1000, help="incremental: new events")
    parser.add_argument("--work", type=Path, default=BENCH / "data", help="folder for inputs")
    parser.add_argument("--ours", type=Path, default=ROOT / ".venv-ours/bin", help="our commands")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-bench/bin", help="the peers'")
    options = parser.parse_args()
    options.stores = options.stores or [options.records // 10, options.records * options.growth]
    return options


def main() -> int:
    options = arguments()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=work) as folder, receiver() as url:
        # What the shell says of buffers and byte code must not count, nor what an installer
        # left uncompiled.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.pop("PYTHONUNBUFFERED", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        bench = Bench(options, Path(folder), url)
        machine = bench.machine()
        show(machine)
        results: dict[str, Any] = {"machine": machine, "records": options.records}
        for block in options.only:
            log(block)
            try:
                results[block] = getattr(bench, block)()
            except ProcessError as error:
                results[block] = {"error": str(error)}
                show(f"\n## {block}\n\nNot measured: {error}.")
    (BENCH / "results").mkdir(exist_ok=True)
    text = json.dumps(results, indent=2)
    (BENCH / "results/latest.json").write_text(text + "\n")
    return 1 if '"error":' in text else 0


if __name__ == "__main__":
    sys.exit(main())
