"""`journeys check`: one line per finding, an exit code for schedulers, and nothing changed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.target.messages import SCHEMA, record, sync

TOP = Path(__file__).parents[2]


def said(config: Path) -> tuple[int, list[tuple[str, str]]]:
    done = CliRunner().invoke(main, ["check", "--config", str(config), "--json"])
    return done.exit_code, [(each["level"], each["text"]) for each in json.loads(done.stdout)]


def written(folder: Path, **config: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({"store": f"sqlite:///{folder}/journeys.db"} | config))
    return path


def test_the_sample_configuration_is_checked_offline(monkeypatch, tmp_path):
    monkeypatch.chdir(TOP)
    config = json.loads((TOP / "config.sample.json").read_text())
    code, findings = said(written(tmp_path, **config | {"store": f"sqlite:///{tmp_path}/new.db"}))
    assert ("ok", "mapper-journeys: settings") in findings
    assert ("ok", "tap-journeys: settings") in findings
    assert ("ok", "target: destinations: webhook") in findings
    assert code == 3
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"rules": [{"name": "x", "streams": ["a"]}]}, "mapper-journeys: Rule 'x' of `rules`"),
        ({"presets": ["hubspott"]}, "mapper-journeys: "),
        ({"sources": {"fils": {}}}, "tap-journeys: sources.fils: unknown source"),
        ({"destinations": {"webhook": {"url": "ftp://x"}}}, "target: destinations.webhook.url"),
    ],
)
def test_what_would_fail_is_an_error_that_names_it(config, sentence, tmp_path):
    code, findings = said(written(tmp_path, **config))
    assert code == 1
    assert any(level == "error" and text.startswith(sentence) for level, text in findings)


def test_what_could_not_be_attributed_is_a_warning(kept, tmp_path):
    sync(kept, SCHEMA, record(1, subject=None))
    code, findings = said(written(tmp_path, store=f"sqlite:///{kept}"))
    assert any(
        level == "warning"
        and text.startswith("web_events: no customer (1 of 1 events); name an id")
        for level, text in findings
    )
    assert code == 3


def test_a_plugin_that_is_not_installed_here_is_said_to_be_unchecked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    _, findings = said(written(tmp_path, presets=["touchpoints"]))
    assert findings[0] == (
        "warning",
        "mapper-journeys: not found on the PATH; its part is not checked",
    )
