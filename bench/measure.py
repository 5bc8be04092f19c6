"""Runs a pipe of processes and says what each cost, as the kernel counted it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import perf_counter
from typing import IO

TIMEOUT_S = 2 * 3600  # for a process that hangs
TAIL = 1500  # characters of a failed process's standard error that are shown

Command = Sequence[str]


class ProcessError(Exception):
    """A process could not start or did not end well; the message is one line."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process cost."""

    wall_s: float  # from the start of the pipe to the end of this process
    cpu_s: float  # user and system
    peak_mb: float  # largest resident set
    last_line: str  # of its standard error


def run(
    commands: Sequence[Command],
    *,
    source: Path | None = None,
    sink: Path | None = None,
    folder: Path | None = None,
    accept: Collection[int] = (0,),
) -> list[Usage]:
    """The usage of each command of ``source | command | … | sink``; ProcessError when one failed.

    The commands run in ``folder``, because a target may write files where it is started.
    A child's ``ru_maxrss`` starts at the resident set of this process, so this one stays small.
    """
    with ExitStack() as stack:
        first = stack.enter_context((source or Path(os.devnull)).open("rb"))
        last = stack.enter_context((sink or Path(os.devnull)).open("wb"))
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        began = perf_counter()
        processes: list[subprocess.Popen[bytes]] = []
        previous: IO[bytes] = first
        for number, (command, log) in enumerate(zip(commands, logs, strict=True), start=1):
            output = last if number == len(commands) else subprocess.PIPE
            try:
                process = subprocess.Popen(
                    command, stdin=previous, stdout=output, stderr=log, cwd=folder
                )
            except FileNotFoundError as error:
                _kill(processes)
                program = Path(command[0])
                where = program.parent.parent.name
                raise ProcessError(f"{program.name} is missing in {where}") from error
            if previous is not first:
                previous.close()  # so that a process hears when its reader is gone
            previous = process.stdout or first
            processes.append(process)
        watchdog = Timer(TIMEOUT_S, _kill, [processes])
        watchdog.start()
        try:
            usages = [
                _wait(process, log, began) for process, log in zip(processes, logs, strict=True)
            ]
        finally:
            watchdog.cancel()
        failures = []
        for command, process, log in zip(commands, processes, logs, strict=True):
            if process.returncode not in accept:
                failures.append(f"{_name(command)} ended with {process.returncode}")
                sys.stderr.write(f"{failures[-1]}: …{_text(log)[-TAIL:]}\n")
        if failures:
            raise ProcessError(", ".join(failures))
        return usages


def _wait(process: subprocess.Popen[bytes], log: IO[bytes], began: float) -> Usage:
    _, status, used = os.wait4(process.pid, 0)
    wall_s = perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = used.ru_utime + used.ru_stime
    last_line = _text(log).rpartition("\n")[2]
    return Usage(wall_s, cpu_s, used.ru_maxrss / 1024, last_line)


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace").strip()


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()


def _name(command: Command) -> str:
    """``mapper-journeys``, or ``peers.py tap`` for a script."""
    program, *arguments = (Path(part).name for part in command)
    return " ".join(arguments[:2]) if program.startswith("python") else program
