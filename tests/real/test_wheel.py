"""What is released works outside the checkout: a wheel, made from the source distribution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from mapper_journeys.settings import preset_names
from tests.pipes import ROOT

HOME = ROOT / ".venv-wheel"
PIP = ("-m", "pip", "--disable-pip-version-check")
COMMANDS = ("tap-journeys", "mapper-journeys", "target-journeys", "journeys")
VISITS = """row,when,email,action,product
1,2026-03-02 10:15,ana@acme.test,viewed,LAP-14
2,2026-03-04 18:40,ana@acme.test,bought,LAP-14
"""
RULES = """
- name: shop row
  streams: [visits]
  event_type: {from: $.action, map: {viewed: product_viewed, bought: order_placed}}
  occurred_at: $.when
  timezone: Europe/London
  subject: {email: $.email}
  scopes: [{grain: product, id: $.product}]
"""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (HOME / ".installed").exists(), reason="make test-real installs it"),
]


def said(command: Sequence[str | Path], folder: Path, given: str = "") -> str:
    """Standard output of a command that ended well, with nothing of the checkout in sight."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=own,
        input=given,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands, after sdist → wheel → pip, without git and without an index."""
    folder = tmp_path_factory.mktemp("release")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", folder / "dist", "-t"]
    said([*hatchling, "sdist"], ROOT)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    said([*hatchling, "wheel"], source)
    (wheel,) = (folder / "dist").glob("*.whl")
    python = HOME / "bin/python"
    said([python, *PIP, "install", "--quiet", "--no-deps", "--force-reinstall", wheel], folder)
    said([python, *PIP, "check"], folder)  # what the wheel says it needs is all there
    return HOME / "bin"


def test_nothing_of_it_comes_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    names = "journeys, tap_journeys, mapper_journeys, target_journeys"
    code = f"import {names}\nfor each in ({names}): print(each.__file__)"
    for line in said([installed / "python", "-c", code], tmp_path).splitlines():
        assert Path(line).is_relative_to(HOME)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_knows_its_version(installed: Path, tmp_path: Path, command: str) -> None:
    code = "from importlib.metadata import version; print(version('product-journeys'))"
    version = said([installed / "python", "-c", code], tmp_path).strip()
    assert version in said([installed / command, "--version"], tmp_path)


def test_the_plugins_describe_themselves(installed: Path, tmp_path: Path) -> None:
    for command in COMMANDS[:3]:
        about = json.loads(said([installed / command, "--about", "--format=json"], tmp_path))
        assert about["name"] == command


def test_every_preset_is_inside(installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    for name in preset_names():
        config.write_text(json.dumps({"presets": [name]}))
        said([installed / "mapper-journeys", "--config", config], tmp_path)


def test_a_file_becomes_a_report(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "visits.csv").write_text(VISITS)
    (tmp_path / "rules.yml").write_text(RULES)
    streams = [{"name": "visits", "path": "visits.csv", "primary_keys": ["row"]}]
    (tmp_path / "config.json").write_text(
        json.dumps({"sources": {"files": {"streams": streams}}, "rules_files": ["rules.yml"]})
    )
    messages = ""
    for command in COMMANDS[:3]:
        messages = said([installed / command, "--config", "config.json"], tmp_path, messages)
    said([installed / "journeys", "report", "--config", "config.json"], tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "ana@acme.test" in page
    assert "<style>" in page
