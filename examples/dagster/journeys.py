"""Dagster runs the pipe every hour, and warns when a run ends with code 3.

`dagster dev -f journeys.py`. The folder, `JOURNEYS_FOLDER`, holds `sync.sh` (of examples/cron) and
`config.json`; the four commands are on the `PATH`. A store has one writer: let the queue run one
job at a time, `concurrency: {runs: {tag_concurrency_limits: [{key: journeys, limit: 1}]}}`.
"""

import os
import subprocess

import dagster as dg

LEFT = 3  # exit codes of sync.sh: finished, but rows are refused or waiting
CONFIGURATION = 2  # running it again would not help


class Pipe(dg.ConfigurableResource):
    """Where the pipe runs."""

    folder: str

    def sync(self) -> int:
        """One run; its exit code."""
        return subprocess.run(["./sync.sh", "config.json"], cwd=self.folder, check=False).returncode


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2, delay=300))
def sync(context: dg.OpExecutionContext, pipe: Pipe) -> bool:
    """Whether all went out; nothing is lost when it did not."""
    code = pipe.sync()
    if code not in (0, LEFT):
        raise dg.Failure(f"sync.sh ended with {code}", allow_retries=code != CONFIGURATION)
    if code == LEFT:
        context.log.warning("Finished, but rows are refused or waiting: see `journeys refused`.")
    context.add_output_metadata({"exit code": code})
    return code == 0


@dg.job(tags={"journeys": "store"})
def journeys() -> None:
    """Read, map, keep, send."""
    sync()


definitions = dg.Definitions(
    jobs=[journeys],
    schedules=[dg.ScheduleDefinition(job=journeys, cron_schedule="7 * * * *")],
    resources={"pipe": Pipe(folder=os.environ.get("JOURNEYS_FOLDER", "."))},
)
