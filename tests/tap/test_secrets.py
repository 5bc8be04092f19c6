"""Every source: what is planted in the settings is said nowhere, whatever goes wrong."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_fixed

from tap_journeys.settings import check_sources
from tap_journeys.sources import SOURCES, patience
from tests.tap.running import command

TOKEN, EMAIL = "planted-7h3-t0k3n", "planted.person@acme.test"
CLIENT = {"client_id": EMAIL, "client_secret": TOKEN, "refresh_token": TOKEN}
ROWS = {"name": "rows", "path": "rows", "primary_keys": ["id"], "params": {"of": EMAIL}}
VISITS = {"name": "visits", "path": "visits.csv", "primary_keys": ["id"]}
SETTINGS: dict[str, list[dict[str, Any]]] = {  # ways to log in, but for the address
    "files": [{"streams": [VISITS]}],
    "ga4": [
        {"property_id": "7", "project_id": EMAIL, "access_token": TOKEN},
        {"property_id": "7", "project_id": "p", **CLIENT},
    ],
    "hubspot": [{"access_token": TOKEN}, CLIENT],
    "rest": [
        {"streams": [ROWS], "username": EMAIL, "password": TOKEN, "headers": {"X-Key": TOKEN}},
        {"streams": [ROWS], "api_key": TOKEN, "api_key_in": "query", "access_token": TOKEN},
        {"streams": [ROWS], "client_id": EMAIL, "client_secret": TOKEN},
    ],
    "salesforce": [{"access_token": TOKEN}, CLIENT],
    "zendesk": [{"email": EMAIL, "api_token": TOKEN}, {**CLIENT, "token_file": "token.json"}],
}
WAYS = [(name, given) for name, ways in SETTINGS.items() for given in ways]
ways = pytest.mark.parametrize(("name", "given"), WAYS, ids=[name for name, _ in WAYS])
WRONG: tuple[Any, ...] = (TOKEN, EMAIL, [TOKEN], {EMAIL.partition("@")[0]: TOKEN}, 7, None)


@pytest.fixture(autouse=True)
def everything_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("TAP_JOURNEYS_LOGLEVEL", "DEBUG")
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(patience, "wait_random_exponential", lambda **_: wait_fixed(0.001))


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def config(name: str, given: dict[str, Any], address: str) -> dict[str, Any]:
    there = {} if name == "files" else {"base_url": address}
    if name == "rest" and "client_id" in given:
        there["token_url"] = address
    return {"sources": {name: given | there}}


def planted(*texts: str) -> list[str]:
    return [word for word in (TOKEN, EMAIL) for text in texts if word in text]


def test_every_source_is_tried() -> None:
    assert SETTINGS.keys() == SOURCES.keys()


@ways
@pytest.mark.parametrize(
    "options",
    [("--about",), ("--about", "--format=json"), ("--discover",), ("--test",), ()],
    ids=" ".join,
)
def test_a_run_that_reads_nothing_says_nothing_of_its_settings(
    name: str,
    given: dict[str, Any],
    options: tuple[str, ...],
    nobody: str,
    tmp_path: Path,
    caplog: Any,
) -> None:
    (tmp_path / "visits.csv").write_text(f'id,note\n1,"never closed, of {EMAIL} and {TOKEN}\n')
    done = command(tmp_path, *options, config=config(name, given, nobody))
    assert planted(done.stdout, done.stderr, caplog.text) == []
    assert done.returncode != 2
    if not options:
        assert done.returncode != 0
        assert "Stream '" in done.stderr


@ways
@pytest.mark.parametrize("address", [TOKEN, f"http://{EMAIL}:{TOKEN}@127.0.0.1:1", f"x://{TOKEN}"])
def test_an_address_that_is_none_is_not_said(
    name: str, given: dict[str, Any], address: str, tmp_path: Path, caplog: Any
) -> None:
    done = command(tmp_path, config=config(name, given, address))
    assert planted(done.stdout, done.stderr, caplog.text) == []


@pytest.mark.parametrize("name", ["hubspot", "rest", "salesforce", "zendesk"])
@pytest.mark.parametrize("end", ["\n", "…"])
def test_a_token_that_no_header_can_hold_is_not_said(
    name: str, end: str, nobody: str, tmp_path: Path, caplog: Any
) -> None:
    login = {"access_token": TOKEN + end} | ({"streams": [ROWS]} if name == "rest" else {})
    done = command(tmp_path, config=config(name, login, nobody))
    assert (done.returncode, planted(done.stdout, done.stderr, caplog.text)) == (1, [])


@pytest.mark.parametrize("name", SOURCES)
def test_wrong_settings_are_told_by_their_place_alone(
    name: str, nobody: str, tmp_path: Path, caplog: Any
) -> None:
    errors: list[str] = []
    for given in SETTINGS[name]:
        good = config(name, given, nobody)["sources"][name]
        fields = {each.alias or key: each for key, each in SOURCES[name].model_fields.items()}
        for field in (*fields, "unknown"):
            for value in WRONG:
                errors += check_sources({name: good | {field: value}})[1]
    assert len(errors) > len(SOURCES[name].model_fields)
    assert planted(*errors) == []
    for value in WRONG:
        wrong = {"sources": {name: dict.fromkeys(fields, value) | {"unknown": TOKEN}}}
        done = command(tmp_path, config=wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert planted(done.stderr, caplog.text) == []
