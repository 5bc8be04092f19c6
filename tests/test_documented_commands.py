"""Every command in the documentation is run: the tutorial as it stands, the pages on the sample."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mapper_journeys.mapper import MapperJourneys
from tap_journeys.tap import TapJourneys
from target_journeys.cli import main
from target_journeys.target import TargetJourneys

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"
PAGES = [TOP / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PLUGINS: dict[str, click.Command] = {
    "tap-journeys": TapJourneys.cli,
    "mapper-journeys": MapperJourneys.cli,
    "target-journeys": TargetJourneys.cli,
}
OTHERS = {  # programs that are not ours; what the shell itself knows is in SHELL
    "bash",
    "flock",
    "hatchling",
    "make",
    "meltano",
    "pip",
    "podman",
    "python3",
    "sf",
    "sqlite3",
    "tap-shopify",
    "tap-stripe",
}
SHELL = {"cd", "else", "exit", "export", "fi", "grep", "head", "if", "mv", "set", "tail", "then"}
SHELL |= {"cp", "rm", "touch", "true"}
MUTATES = {"forget", "review", "act", "deliver"}
UNKNOWN = 1  # the exit code where a page names somebody or a gap that the sample does not have


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of a page's code blocks, in order."""
    for indent, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        lines = [line.removeprefix(indent) for line in text.splitlines(keepends=True)]
        yield language, "".join(lines)


def commands(page: Path) -> Iterator[list[str]]:
    """Every simple command of a page's shell blocks, as words; redirections are left out."""
    for language, text in blocks(page):
        if language != "sh":
            continue
        for line in text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if set(word) <= set("|&;"):
                    if words and not words[0].startswith("#!"):
                        yield words
                    words = []
                else:
                    words.append(word)


def arguments(words: list[str]) -> list[str]:
    """What a command is given, without redirections and the state of a cron script."""
    cut = next((n for n, word in enumerate(words) if set(word) <= set("<>")), len(words))
    return [word for word in words[1:cut] if word != "${state[@]}"]


ALL = [(page, words) for page in PAGES for words in commands(page)]
OURS = {
    " ".join(arguments(words)): arguments(words)
    for page, words in ALL
    if Path(words[0]).name == "journeys" and page.name != "tutorial.md"
}


def test_every_program_is_known() -> None:
    known = {"journeys", *PLUGINS, *OTHERS, *SHELL}
    found = {Path(words[0]).name for _, words in ALL if "=" not in words[0]}
    assert found <= known


@pytest.mark.parametrize(
    ("command", "given"),
    [
        pytest.param(PLUGINS[words[0]], arguments(words), id=f"{page.name}: {' '.join(words)}")
        for page, words in ALL
        if words[0] in PLUGINS
    ],
)
def test_every_option_of_a_plugin_exists(command: click.Command, given: list[str]) -> None:
    options = {name for each in command.params for name in each.opts}
    assert {word for word in given if word.startswith("-")} <= options


# -- on the sample -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the sample company was read."""
    folder = tmp_path_factory.mktemp("sample")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TOP / "examples" / "shop", folder / "examples" / "shop", ignore=ignored)
    shutil.copy(TOP / "config.sample.json", folder / "config.json")
    shutil.copy(TOP / "config.sample.json", folder / "c.json")
    run = next(text for kind, text in blocks(TOP / "README.md") if "tap-journeys --config" in text)
    shell(folder, run)
    return folder


@pytest.mark.parametrize("given", list(OURS.values()), ids=OURS)
def test_commands_of_the_pages_run_on_the_sample(
    given: list[str], sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample)
    if MUTATES & set(given):
        folder = tmp_path / "copy"
        shutil.copytree(sample, folder)
        monkeypatch.chdir(folder)
    if "--config" in given:  # the demo's own, which lies elsewhere
        given = [*given, "--config", "config.json"]
    done = CliRunner().invoke(main, given)
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    if done.exit_code not in (0, 3):
        named = any(word.count("@") or re.fullmatch("[0-9a-f]{12}", word) for word in given)
        assert (done.exit_code, named) == (UNKNOWN, True), done.output
    assert done.output.strip()


# -- whole scripts -------------------------------------------------------------------------------


ORDER = {
    "id": 1,
    "financial_status": "paid",
    "processed_at": "2026-01-02T10:15:00Z",
    "cancelled_at": "2026-01-03T11:20:00Z",
    "email": "a@b.test",
    "customer": {"id": 7},
    "line_items": [{"sku": "S1"}],
    "total_price": "9.90",
    "currency": "EUR",
}
LAMP = {
    "id": 2,
    "handle": "lamp",
    "title": "Lamp",
    "product_type": "lights",
    "variants": [{"sku": "S1"}],
}


def test_the_rules_for_an_existing_tap_do_what_the_page_says(tmp_path: Path) -> None:
    tap = tmp_path / "tap-shopify"
    with (tmp_path / "messages").open("w") as messages:
        for stream, content in (("orders", ORDER), ("products", LAMP)):
            schema = {"schema": {"properties": {}}, "key_properties": ["id"]}
            for message in ({"type": "SCHEMA"} | schema, {"type": "RECORD", "record": content}):
                messages.write(json.dumps(message | {"stream": stream}) + "\n")
    tap.write_text("#!/bin/sh\ncat messages\n")
    tap.chmod(0o755)
    found = list(blocks(DOCS / "how-to" / "map-a-third-party-tap.md"))
    rules = next(text for kind, text in found if kind == "yaml" and "- name: order line" in text)
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "config.json").write_text('{"rules_files": ["rules.yml"]}')
    scripts = [text for kind, text in found if kind == "sh" and "tap-shopify" in text]
    said = "".join(shell(tmp_path, f"PATH=.:$PATH\n{text}") for text in scripts)
    assert "2 records, 4 events, 1 products, 0 set aside" in said
    explained = shell(tmp_path, "journeys explain email:a@b.test lamp")
    assert "Lamp (lamp), lights, episode 1: order_cancelled" in explained


# -- the tutorial --------------------------------------------------------------------------------


def shell(folder: Path, script: str) -> str:
    """Everything that a script says; it must not fail."""
    beside = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    files = {"csv": "visits.csv", "yaml": "rules.yml", "json": "config.json"}
    said: list[str] = []
    for language, text in blocks(DOCS / "tutorial.md"):
        if language in files:
            with (tmp_path / files[language]).open("a") as file:
                file.write(text)
        elif language == "sh":
            said = shell(tmp_path, text).splitlines()
        elif language == "text":
            missing = [line for line in text.splitlines() if line and line not in said]
            assert not missing, "\n".join(said)
    for name in ("report.html", "ana.html"):
        assert "ana@acme.test" in (tmp_path / name).read_text()
