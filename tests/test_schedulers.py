"""The examples for schedulers: what sync.sh ends with and keeps, and what the other files say."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mapper_journeys import settings as mapper_settings
from tap_journeys import settings as tap_settings
from target_journeys.settings import read_settings
from tests.pipes import ROOT

EXAMPLES = ROOT / "examples"
SYNC = EXAMPLES / "cron/sync.sh"


def synced(folder: Path, *codes: int, said: str = "", config: tuple[str, ...] = ()) -> int:
    """The exit code of sync.sh with plugins that end as told and keep their arguments."""
    for name, code in zip(("tap", "mapper", "target"), codes, strict=True):
        plugin = folder / f"{name}-journeys"
        text = f"printf %s {shlex.quote(said)}\n" if name == "target" else ""
        plugin.write_text(f'#!/bin/sh\necho "$@" > {name}.arguments\n{text}exit {code}\n')
        plugin.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([SYNC, *config], cwd=folder, env=os.environ | {"PATH": path})
    return done.returncode


@pytest.mark.parametrize(
    ("codes", "ends_with"),
    [
        ((0, 0, 0), 0),
        ((3, 0, 0), 3),  # the tap set lines aside
        ((0, 0, 3), 3),  # rows wait
        ((1, 0, 3), 1),  # a stream failed: not hidden by what waits
        ((2, 0, 0), 2),
        ((141, 141, 1), 1),  # the target failed, which stops the plugins before it
        ((141, 0, 0), 1),
    ],
)
def test_a_run_ends_with_the_code_that_matters_most(
    tmp_path: Path, codes: tuple[int, ...], ends_with: int
) -> None:
    assert synced(tmp_path, *codes) == ends_with


def test_the_state_is_the_last_whole_line_also_of_a_failed_run(tmp_path: Path) -> None:
    assert synced(tmp_path, 0, 0, 1, said='{"n": 1}\n{"n": 2}\n{"n": {"x": 3}') == 1
    assert json.loads((tmp_path / "state.json").read_text()) == {"n": 2}
    assert "--state" not in (tmp_path / "tap.arguments").read_text()
    assert synced(tmp_path, 0, 0, 0) == 0
    assert "--state state.json" in (tmp_path / "tap.arguments").read_text()
    assert json.loads((tmp_path / "state.json").read_text()) == {"n": 2}  # nothing was said


def test_every_plugin_gets_every_configuration(tmp_path: Path) -> None:
    synced(tmp_path, 0, 0, 0, config=("a b.json", "ENV"))
    for name in ("tap", "mapper", "target"):
        said = (tmp_path / f"{name}.arguments").read_text()
        assert said == "--config a b.json --config ENV\n"


@pytest.mark.skipif(not shutil.which("flock"), reason="there is no flock")
def test_the_crontab_runs_the_script_one_at_a_time_and_hides_no_code(tmp_path: Path) -> None:
    line = (EXAMPLES / "cron/crontab").read_text().splitlines()[-1]
    fields = line.split(maxsplit=5)
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields[:5])
    command = fields[5].replace("/srv/journeys", str(tmp_path))
    assert "%" not in command  # cron would end the line there
    script = tmp_path / "sync.sh"
    for code in (0, 3):
        script.write_text(f"#!/bin/sh\necho ran >> ran; exit {code}\n")
        script.chmod(0o755)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.stdout == (f"sync.sh ended with {code}\n" if code else "")
    busy = subprocess.run(
        ["flock", tmp_path / "sync.lock", "bash", "-c", command], capture_output=True, text=True
    )
    assert (busy.returncode, busy.stdout) == (0, "")
    assert (tmp_path / "ran").read_text() == "ran\nran\n"


def test_the_cron_job_configures_the_plugins_and_gives_no_rights() -> None:
    found = {
        each["kind"]: each
        for each in yaml.safe_load_all((EXAMPLES / "kubernetes/cronjob.yaml").read_text())
    }
    config = json.loads(found["ConfigMap"]["data"]["config.json"])
    secret = {name: json.loads(text) for name, text in found["Secret"]["stringData"].items()}
    read_settings(config | {"destinations": secret["TARGET_JOURNEYS_DESTINATIONS"]})
    assert tap_settings.check_sources(secret["TAP_JOURNEYS_SOURCES"])[1] == []
    assert set(config["presets"]) <= set(mapper_settings.preset_names())

    spec = found["CronJob"]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert user
    assert pod["securityContext"]["runAsUser"] == int(user[1])
    assert pod["securityContext"]["runAsNonRoot"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert container["workingDir"] in mounts
    assert set(mounts.values()) == {each["name"] for each in pod["volumes"]}
    for path in (*config["rules_files"], container["args"][0]):
        assert Path(path).name in found["ConfigMap"]["data"]
        assert str(Path(path).parent) in mounts


def test_the_container_is_built_from_the_wheel_and_is_not_root() -> None:
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    steps = [line.split(maxsplit=1) for line in lines]
    known = {"FROM", "ARG", "COPY", "RUN", "USER", "WORKDIR", "ENV", "ENTRYPOINT", "CMD"}
    assert {step for step, _ in steps} == known
    copied = [words.split()[-2] for step, words in steps if step == "COPY"]
    assert copied == ["dist/${WHEEL}", str(SYNC.relative_to(ROOT))]
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.*)"', project, re.MULTILINE)
    assert version
    assert f"ARG WHEEL=product_journeys-{version[1]}-py3-none-any.whl" in lines
    names = [step for step, _ in steps]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert not any(step == "RUN" for step in names[names.index("USER") :])


def test_the_workflow_runs_what_is_there() -> None:
    flow = yaml.safe_load((EXAMPLES / "github-actions/sync.yml").read_text())
    assert flow["concurrency"]["cancel-in-progress"] is False
    job = flow["jobs"]["sync"]
    assert {"TAP_JOURNEYS_SOURCES", "TARGET_JOURNEYS_DESTINATIONS"} == set(job["env"])
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    assert any("../examples/cron/sync.sh" in script for script in scripts)
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script], check=True)


@pytest.mark.parametrize("name", ["airflow", "dagster"])
def test_the_orchestrators_call_the_script_and_know_code_3(name: str) -> None:
    tree = ast.parse((EXAMPLES / name / "journeys.py").read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {3, "./sync.sh"} <= texts or {3, "./sync.sh config.json"} <= texts
