"""Runs examples/dagster in this process, in an environment that has Dagster: prints what happened.

python with_dagster.py JOURNEYS_PY
"""

import json
import runpy
import sys

import dagster as dg

loaded = runpy.run_path(sys.argv[1])
definitions: dg.Definitions = loaded["definitions"]
dg.Definitions.validate_loadable(definitions)
(schedule,) = definitions.schedules or ()
job = definitions.resolve_job_def("journeys")
result = job.execute_in_process(raise_on_error=False)
sys.stdout.write(
    json.dumps(
        {
            "schedule": schedule.cron_schedule,
            "success": result.success,
            "all_sent": result.output_for_node("sync") if result.success else None,
        }
    )
)
