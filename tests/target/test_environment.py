"""The `journeys` command with --config ENV: settings as Meltano puts them into the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from singer_sdk.exceptions import ConfigValidationError

from mapper_journeys.mapper import MapperJourneys
from tap_journeys.tap import TapJourneys
from target_journeys.cli import main
from target_journeys.settings import read_json, read_settings
from target_journeys.target import TargetJourneys
from tests.target.messages import SCHEMA, record, sync

ENV = Path("ENV")


def test_whole_keys_are_json_and_secrets_have_variables_of_their_own(monkeypatch) -> None:
    webhook = {"webhook": {"url": "https://cdp.example/journeys"}}
    monkeypatch.setenv("TARGET_JOURNEYS_DESTINATIONS", json.dumps(webhook))
    monkeypatch.setenv("TARGET_JOURNEYS_DESTINATIONS_WEBHOOK_TOKEN", "from the environment")
    monkeypatch.setenv("TARGET_JOURNEYS_STAGE_MODEL", "model.yml")
    monkeypatch.setenv("TARGET_JOURNEYS_FAIL_ON_REFUSED", "False")
    monkeypatch.setenv("TARGET_JOURNEYS_AS_OF", "")
    settings = read_settings(read_json(ENV))
    told = settings.active_destinations()["webhook"]
    assert told.token.get_secret_value() == "from the environment"
    assert settings.stage_model == "model.yml"
    assert settings.fail_on_refused is False
    assert settings.as_of is None


def test_meltano_writes_dots_and_what_is_not_set(monkeypatch) -> None:
    written = {"webhook.url": "https://cdp.example/journeys", "webhook.token": None}
    written |= {"hubspot.access_token": None}
    monkeypatch.setenv("TARGET_JOURNEYS_DESTINATIONS", json.dumps(written))
    assert [*read_settings(read_json(ENV)).active_destinations()] == ["webhook"]


def test_what_is_not_json_is_named_and_not_shown(monkeypatch) -> None:
    monkeypatch.setenv("TARGET_JOURNEYS_DESTINATIONS", '{"webhook": {"token": "hunter2"')
    with pytest.raises(ConfigValidationError) as raised:
        read_json(ENV)
    (error,) = raised.value.errors
    assert "TARGET_JOURNEYS_DESTINATIONS is not JSON" in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    ("plugin", "name"),
    [
        (TapJourneys, "TAP_JOURNEYS_SOURCES"),
        (MapperJourneys, "MAPPER_JOURNEYS_RULES"),
        (TargetJourneys, "TARGET_JOURNEYS_DESTINATIONS"),
    ],
)
def test_every_plugin_says_so_in_one_line(plugin, name, monkeypatch, caplog) -> None:
    monkeypatch.setenv(name, '{"hubspot": "hunter2')
    with pytest.raises(SystemExit) as ended:
        plugin.cli(["--config", "ENV"])
    assert ended.value.code == 2
    (error,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert "must hold JSON" in error
    assert "hunter2" not in caplog.text


def test_people_ask_the_store_that_the_environment_names(tmp_path: Path, monkeypatch) -> None:
    sync(tmp_path / "journeys.db", SCHEMA, record(1))
    monkeypatch.setenv("TARGET_JOURNEYS_STORE", f"sqlite:///{tmp_path}/journeys.db")
    done = CliRunner().invoke(main, ["explain", "email:ana@acme.test", "--config", "ENV"])
    assert done.exit_code == 0
    assert "Considering" in done.output
