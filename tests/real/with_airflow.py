"""Runs examples/airflow in this process, where there is Airflow, and prints how each task ended.

python with_airflow.py JOURNEYS_PY
"""

import json
import runpy
import sys

dag = runpy.run_path(sys.argv[1])["dag"]
run = dag.test()
states = {each.task_id: str(each.state) for each in run.get_task_instances()}
sys.stdout.write("\n" + json.dumps({"run": str(run.state), "tasks": states}))
