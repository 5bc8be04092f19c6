"""Meltano runs the sample from a clean copy of the project: from its files, and the demo."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_pipeline import BIN, TOP, copied, run, stages

pytestmark = pytest.mark.real

PIPELINE = ("run", "tap-journeys", "standard", "target-journeys")


def environment() -> Mapping[str, str]:
    """Our commands first on the PATH; no hub or index can be reached, and none is needed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MELTANO")}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    return own | nowhere | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}


def meltano(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Meltano command that ended well; its log is on standard error."""
    own = TOP / ".venv-meltano/bin/meltano"
    command = str(own) if own.exists() else shutil.which("meltano")
    assert command, "Meltano is not installed: run `make test-real`."
    done = subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = copied(tmp_path)
    shutil.copy(TOP / "meltano.yml", folder)
    return folder


def test_the_second_run_has_nothing_to_do(project: Path, tmp_path_factory) -> None:
    first = meltano(project, *PIPELINE).stderr
    assert "0 refused" in first
    found = stages(project)
    second = meltano(project, *PIPELINE).stderr
    assert "tap-journeys: 0 records of 13 streams" in second
    assert "target-journeys: 0 events (0 new), 0 stages changed" in second
    assert stages(project) == found

    alone = copied(tmp_path_factory.mktemp("alone"))
    run(alone)
    assert stages(alone) == found


def test_the_job_runs_and_is_scheduled(project: Path) -> None:
    listed = json.loads(meltano(project, "schedule", "list", "--format=json").stdout)
    (schedule,) = listed["schedules"]["job"]
    assert schedule["name"] == "journeys-hourly"
    assert schedule["job"]["name"] == "sync-journeys"
    meltano(project, "run", "sync-journeys")
    with closing(sqlite3.connect(project / "journeys.db")) as db:
        assert db.execute("select count(*) from journey_stages").fetchone()[0] > 500


def test_people_ask_through_meltano_with_the_settings_of_the_project(project: Path) -> None:
    meltano(project, *PIPELINE)
    ana = ["email:ana.solberg@mail.test", "CARE-MINT-75"]
    assert "CARE-MINT-75" in meltano(project, "invoke", "target-journeys:explain", *ana).stdout
    meltano(project, "invoke", "target-journeys:report", "--out", "page.html")
    assert "ana.solberg@mail.test" in (project / "page.html").read_text(encoding="utf-8")
    assert meltano(project, "invoke", "target-journeys:gaps").stdout
    assert meltano(project, "invoke", "target-journeys:map").stdout
    meltano(project, "invoke", "target-journeys:refused")
    meltano(project, "invoke", "target-journeys:deliver")


def test_a_state_for_each_mapping(project: Path) -> None:
    """The mapping is no part of the name of the state: without a suffix they would share one."""
    meltano(project, *PIPELINE)
    other = meltano(project, PIPELINE[0], "--state-id-suffix=other", *PIPELINE[1:])
    assert "tap-journeys: 0 records" not in other.stderr
    listed = meltano(project, "state", "list").stdout.split()
    assert {"dev:tap-journeys-to-target-journeys", "dev:tap-journeys-to-target-journeys:other"} <= {
        *listed
    }


def test_the_demonstration_ends_with_what_the_destinations_hold(project: Path) -> None:
    shutil.copytree(TOP / "tests/sandbox", project / "tests/sandbox")
    meltano_beside = os.pathsep.join((str(TOP / ".venv-meltano/bin"), environment()["PATH"]))
    done = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo", "out"],
        cwd=project,
        env=environment() | {"PATH": meltano_beside},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "0 waiting, 0 refused" in done.stdout
    with closing(sqlite3.connect(project / "out/journeys.db")) as db:
        (journeys,) = db.execute("select count(*) from journey_stages").fetchone()
        sources = {name for (name,) in db.execute("select distinct source from events")}
    assert sources >= {"hubspot_deals", "zendesk_tickets", "ga4_events", "orders"}
    assert not sources & {"crm_deals", "tickets", "web_events"}  # of meltano.yml
    assert f"HubSpot holds {journeys:,} objects `journey_stage`" in done.stdout
    last = done.stdout[done.stdout.index("Segment holds") :]
    assert last.count("Seeking support  PRN-INKWELL-200") == 2
