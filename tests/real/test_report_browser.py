"""The report in a real browser: fast, searchable, without barriers, asking for nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipes import ROOT

DRIVER = ROOT / ".venv-browser/bin/python"
AXE = ROOT / ".axe/node_modules/axe-core/axe.min.js"
NEEDED = {"chromium": shutil.which("chromium"), "selenium": DRIVER.exists(), "axe": AXE.exists()}
MISSING = [name for name, there in NEEDED.items() if not there]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(MISSING), reason=f"make test-real installs {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the sample company."""
    folder = tmp_path_factory.mktemp("report")
    settings = json.loads((ROOT / "config.sample.json").read_text(encoding="utf-8"))
    settings |= {"store": f"sqlite:///{folder}/journeys.db", "destinations": {}}
    config, page = folder / "config.json", folder / "report.html"
    config.write_text(json.dumps(settings), encoding="utf-8")
    lines = None
    for command in ("tap-journeys", "mapper-journeys", "target-journeys"):
        run = [str(ROOT / ".venv/bin" / command), "--config", str(config)]
        lines = subprocess.run(run, input=lines, capture_output=True, check=True, cwd=ROOT).stdout
    write = [str(ROOT / ".venv/bin/journeys"), "report", "--config", str(config)]
    subprocess.run([*write, "--out", str(page)], check=True, cwd=ROOT)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_finds_everything_and_meets_no_barrier(report, scheme):
    script = ROOT / "tests/real/browser.py"
    run = [DRIVER, script, report, AXE, "toothp", scheme]
    asked = subprocess.run(run, capture_output=True, check=True, text=True)
    found: dict[str, Any] = json.loads(asked.stdout)
    assert found["title"] == "Customer journeys"
    assert found["seconds"] < 2
    before, searched, after = found["rows"]
    assert before == after > len(searched) >= 3  # the category and its products
    assert all("toothpaste" in row.lower() for row in searched)
    assert found["said"] == f"{len(searched)} found"
    assert found["steps"]
    assert found["barriers"] == []
    assert found["console"] == []
    assert found["requests"] == []
