"""Airflow, Dagster and the Kubernetes schema, each in its own environment, run the examples."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pipes import BIN, ROOT

HERE = Path(__file__).parent
EXAMPLES = ROOT / "examples"
SCHEDULERS = ROOT / ".venv-schedulers"
AIRFLOW = ROOT / ".venv-airflow"
VISIT = {"row": 1, "when": "2026-03-02T10:15:00Z", "email": "ana@acme.test", "product": "LAP-14"}
RULES = [
    {
        "name": "visit",
        "streams": ["visits"],
        "event_type": "product_viewed",
        "occurred_at": "$.when",
        "subject": {"email": "$.email"},
        "scopes": [{"grain": "product", "id": "$.product"}],
    }
]
pytestmark = pytest.mark.real


def needs(home: Path) -> pytest.MarkDecorator:
    there = (home / ".installed").exists()
    return pytest.mark.skipif(not there, reason="make test-real installs it")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which sync.sh finds what it needs."""
    shutil.copy(EXAMPLES / "cron/sync.sh", tmp_path)
    streams = [{"name": "visits", "path": "visits.jsonl", "primary_keys": ["row"]}]
    config = {"sources": {"files": {"streams": streams}}, "rules": RULES}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def visits(folder: Path, end: str) -> None:
    (folder / "visits.jsonl").write_text(json.dumps(VISIT) + "\n" + end)


def ran(command: list[str | Path], folder: Path, variables: Mapping[str, str]) -> Any:
    """The JSON that a program printed in its last line."""
    own = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | own | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


@needs(SCHEDULERS)
def test_dagster_runs_the_job_and_tells_left_from_failed(folder: Path) -> None:
    command: list[str | Path] = [SCHEDULERS / "bin/python", HERE / "with_dagster.py"]
    command.append(EXAMPLES / "dagster/journeys.py")
    variables = {"JOURNEYS_FOLDER": str(folder), "DAGSTER_HOME": ""}
    visits(folder, "")
    found = ran(command, folder, variables)
    assert found == {"schedule": "7 * * * *", "success": True, "all_sent": True}
    assert (folder / "state.json").exists()
    visits(folder, "{broken\n")
    assert ran(command, folder, variables)["all_sent"] is False
    (folder / "config.json").write_text('{"unknown": 1}')
    assert ran(command, folder, variables)["success"] is False


@needs(AIRFLOW)
def test_airflow_runs_the_dag_and_lists_what_is_left(folder: Path) -> None:
    variables = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES / "airflow"),
        "AIRFLOW_VAR_JOURNEYS_FOLDER": str(folder),
    }
    subprocess.run(
        [AIRFLOW / "bin/airflow", "db", "migrate"],
        env=os.environ | variables,
        check=True,
        capture_output=True,
    )
    command: list[str | Path] = [AIRFLOW / "bin/python", HERE / "with_airflow.py"]
    command.append(EXAMPLES / "airflow/journeys.py")
    visits(folder, "")
    tasks = ran(command, folder, variables)["tasks"]
    assert tasks == {"sync": "success", "left": "skipped"}
    visits(folder, "{broken\n")
    tasks = ran(command, folder, variables)["tasks"]
    assert tasks == {"sync": "skipped", "left": "success"}


@needs(SCHEDULERS)
def test_kubernetes_would_take_the_cron_job(tmp_path: Path) -> None:
    command = [SCHEDULERS / "bin/kubernetes-validate", "--strict"]
    manifest = EXAMPLES / "kubernetes/cronjob.yaml"
    done = subprocess.run([*command, manifest], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(manifest.read_text().replace("concurrencyPolicy:", "concurrency:"))
    assert subprocess.run([*command, wrong], capture_output=True).returncode != 0
