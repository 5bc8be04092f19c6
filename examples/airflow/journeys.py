"""Airflow runs the pipe every hour, and lists what is left when a run ends with code 3.

Copy it into the folder of DAGs. On the worker: the four commands on the `PATH`, and a folder, the
Airflow variable `journeys_folder`, that holds `sync.sh` (of examples/cron) and `config.json`.

`sync` that ends with 3 has finished, but rows are refused or waiting. It is neither run again nor
green: it is skipped, and only then `left` runs and logs them. Any other
code fails it, and it is run again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

LEFT = 3  # exit code of sync.sh
FOLDER = "{{ var.value.journeys_folder }}"

with DAG(
    "journeys",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # a store has one writer
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["journeys"],
) as dag:
    sync = BashOperator(
        task_id="sync",
        cwd=FOLDER,
        bash_command="./sync.sh config.json",
        skip_on_exit_code=LEFT,
    )
    left = BashOperator(
        task_id="left",
        cwd=FOLDER,
        bash_command="journeys refused --config config.json",
        trigger_rule="all_skipped",
    )
    sync >> left
