"""What is documented is tested: nothing is missing, nothing is stale, every example loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from journeys.settings import TOP_LEVEL
from journeys.vocabulary import DERIVED, EVENT_TYPES
from mapper_journeys import settings as mapper_settings
from mapper_journeys.language import parse_rules
from tap_journeys import settings as tap_settings
from tap_journeys.sources import SOURCES
from target_journeys.cli import main as journeys_command
from target_journeys.destinations import DESTINATIONS
from target_journeys.settings import settings_schema
from target_journeys.stage_model import CategorySettings, StageModelSettings, load

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"
REFERENCE = DOCS / "reference"
PAGES = [
    *(TOP / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
]
PAGES += sorted(DOCS.rglob("*.md"))
COG = ["-I", "docs", "README.md", *(str(page.relative_to(TOP)) for page in DOCS.rglob("*.md"))]
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "extractors": tap_settings.json_schema(),
    "mappers": mapper_settings.json_schema(),
    "loaders": settings_schema(),
}
KINDS = {"string": "string", "boolean": "boolean", "array": "array", "object": "object"}

with mock.patch.object(sys, "path", [str(DOCS), *sys.path]):
    import tables


def names(page: Path) -> set[str]:
    """What a page has in code font."""
    return set(re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")))


def lacking(wanted: Iterator[str] | list[str] | set[str], *pages: str) -> list[str]:
    """What none of these pages has in code font; pages are named from the top."""
    found = set().union(*(names(TOP / page) for page in pages))
    return sorted(set(wanted) - found)


# -- nothing is missing ------------------------------------------------------------------------


def test_the_readme_names_every_key_and_connector() -> None:
    assert not lacking([*TOP_LEVEL, *SOURCES, *DESTINATIONS], "README.md")


def test_every_setting_is_documented() -> None:
    wanted = list(TOP_LEVEL)
    for source in tap_settings.json_schema()["properties"]["sources"]["properties"].values():
        wanted += [row[0].strip("`") for row in tables.settings(source)]
    for destination in DESTINATIONS.values():
        wanted += list(destination.model_fields)
    assert not lacking(wanted, "docs/reference/settings.md")


@pytest.mark.parametrize(
    ("folder", "members"), [("sources", SOURCES), ("destinations", DESTINATIONS)]
)
def test_every_connector_has_its_page(folder: str, members: Mapping[str, Any]) -> None:
    pages = {page.stem for page in (REFERENCE / folder).glob("*.md")}
    assert pages == set(members)
    for name in members:
        text = (REFERENCE / folder / f"{name}.md").read_text(encoding="utf-8")
        headings = re.findall("^## (.*)$", text, re.MULTILINE)
        assert {"Settings", "Limits", "Oddities"} <= set(headings)
        assert f"### {name}\n" in (REFERENCE / "settings.md").read_text(encoding="utf-8")


def test_every_event_type_is_documented() -> None:
    assert not lacking(EVENT_TYPES | set(DERIVED), "docs/reference/events.md")


def test_every_property_that_the_engine_reads_is_documented() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (TOP / "journeys").glob("*.py"))
    found = set(re.findall(r'properties\.get\("(\w+)"', code))
    assert found == set(tables.WORDS["properties"])
    assert not lacking(found, "docs/reference/events.md")


def test_every_stage_and_setting_of_the_model_is_documented() -> None:
    model = load("standard")
    wanted = {stage.name for stage in model.stages}
    wanted |= {each.outcome.outcome for each in model.meanings.values() if each.outcome}
    wanted |= {*model.lost_reasons, *CategorySettings.model_fields}
    wanted |= {*StageModelSettings.model_fields, "no_decision", "won"}
    wanted |= {each.region for each in model.meanings.values() if each.region}
    assert not lacking(wanted, "docs/reference/stage-model.md")


def test_every_preset_is_documented() -> None:
    assert not lacking(mapper_settings.preset_names(), "docs/reference/settings.md")


def test_every_command_is_documented() -> None:
    commands = {f"journeys {name}" for name in journeys_command.commands}
    headings = re.findall(
        "^#+ (.*)$", (REFERENCE / "commands.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    plugins = {"tap-journeys", "mapper-journeys", "target-journeys", "journeys"}
    assert commands | plugins <= set(headings)
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in readme for name in commands)


def test_every_table_and_column_of_the_store_is_documented() -> None:
    found = tables.tables_of_store()
    words = {name: set(each["columns"]) for name, each in tables.WORDS["store"].items()}
    assert {name: set(columns) for name, (_, columns) in found.items()} == words
    for_people = [name for name, each in tables.WORDS["store"].items() if each["for"] == "people"]
    assert not lacking(for_people, "README.md")
    headings = (REFERENCE / "store.md").read_text(encoding="utf-8")
    assert all(f"\n### {name}\n" in headings for name in found)


def test_every_key_of_a_rule_is_documented() -> None:
    rule = mapper_settings.Rule.__args__[0]
    assert not lacking(set(rule.model_fields), "docs/reference/rules.md")


# -- nothing is stale --------------------------------------------------------------------------


def test_what_is_generated_is_fresh() -> None:
    command = [sys.executable, "-m", "cogapp", "--check", *COG]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    write = "cog -r -I docs README.md $(find docs -name '*.md')"
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nWrite it anew: {write}"


def relative_links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", link):
                yield page, link


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`, as the usual Markdown hosts make it of headings."""
    headings = re.findall("^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_every_link_leads_somewhere() -> None:
    dead = []
    for page, link in relative_links():
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(f"{page.relative_to(TOP)}: {link}")
    assert not dead


def test_every_page_can_be_reached() -> None:
    reached = {(page.parent / link.partition("#")[0]).resolve() for page, link in relative_links()}
    lost = [page for page in PAGES if page not in reached and page.name != "README.md"]
    assert not lost


# -- every example loads -----------------------------------------------------------------------


def blocks(language: str) -> Iterator[Any]:
    """The code blocks of a language, also those inside a list."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, (indent, block) in enumerate(
            re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
        ):
            lines = [line.removeprefix(indent) for line in block.splitlines(keepends=True)]
            name = f"{page.relative_to(TOP)}-{number}"
            yield pytest.param("".join(lines), id=name)


@pytest.mark.parametrize("block", list(blocks("json")))
def test_json_is_json(block: str) -> None:
    found = json.loads(block)
    if {"sources", "destinations", "stage_model"} & set(found):
        assert set(found) <= set(TOP_LEVEL)
        if "sources" in found:
            assert tap_settings.check_sources(found["sources"])[1] == []
        for name, settings in found.get("destinations", {}).items():
            DESTINATIONS[name].model_validate(settings)


@pytest.mark.parametrize("block", list(blocks("yaml")))
def test_yaml_is_yaml_and_loads(block: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yml"
    path.write_text(block, encoding="utf-8")
    keys = set(re.findall(r"^(\w+):", block, re.MULTILINE))
    if re.match(r"- name: ", block):
        found, wrong = parse_rules(yaml.safe_load(block), "the example")
        assert not wrong
        assert found
        own = {"event_types": {}}
        mapper_settings.load({"rules_files": [str(path)], "stage_model": own})
    elif keys & {"categories", "event_types", "personas", "source_rank"}:
        StageModelSettings.model_validate(yaml.safe_load(block))
        load(str(path))
    else:
        # several ways to write one key may stand below each other: each must be YAML by itself
        for part in re.split(r"^(?=\w)", block, flags=re.MULTILINE):
            yaml.safe_load(part)


# -- the sample configuration and Meltano ------------------------------------------------------


def test_the_sample_has_known_keys_only() -> None:
    sample = json.loads((TOP / "config.sample.json").read_text(encoding="utf-8"))
    known = {name for schema in SCHEMAS.values() for name in schema["properties"]}
    assert set(sample) <= known & set(TOP_LEVEL)
    assert not lacking(set(sample), "README.md")


def test_every_top_level_key_has_a_reader() -> None:
    assert {name for schema in SCHEMAS.values() for name in schema["properties"]} == set(TOP_LEVEL)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_meltano_declares_what_the_plugin_reads(kind: str) -> None:
    plugins = yaml.safe_load((TOP / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    (plugin,) = plugins[kind]
    declared = {each["name"]: each for each in plugin["settings"]}
    read = SCHEMAS[kind]["properties"]
    assert {name.partition(".")[0] for name in declared} == set(read)
    for name, schema in read.items():
        types = schema.get("type") or [each["type"] for each in schema["anyOf"]]
        types = {types} if isinstance(types, str) else set(types)
        types -= {"null"}
        if len(types) > 1:
            continue  # Meltano has no kind for "text or object"
        formats = {schema.get("format"), *(each.get("format") for each in schema.get("anyOf", []))}
        dated = "date-time" in formats or name.endswith("_date")
        assert declared[name]["kind"] == ("date_iso8601" if dated else KINDS[types.pop()]), name
        assert declared[name]["description"], name


def test_meltano_runs_commands_that_exist() -> None:
    plugins = yaml.safe_load((TOP / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    (plugin,) = plugins["loaders"]
    for name, each in plugin["commands"].items():
        assert each["args"] == f"{name} --config ENV"
        assert name in journeys_command.commands
        assert each["description"]


def test_meltano_hides_the_secrets_of_destinations() -> None:
    plugins = yaml.safe_load((TOP / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    (plugin,) = plugins["loaders"]
    sensitive = {each["name"] for each in plugin["settings"] if each.get("sensitive")}
    for name, destination in DESTINATIONS.items():
        for field, schema in destination.model_json_schema()["properties"].items():
            if tables.kind(schema) == "secret":
                assert f"destinations.{name}.{field}" in sensitive


def secrets(schema: Mapping[str, Any], front: str = "") -> Iterator[str]:
    """The full names of all secrets in a schema."""
    for name, each in schema.get("properties", {}).items():
        kinds = [each, *each.get("anyOf", [])]
        if any(kind.get("format") == "password" for kind in kinds):
            yield front + name
        for kind in kinds:
            yield from secrets(kind, f"{front}{name}.")


def test_every_secret_is_hidden_by_meltano_and_has_its_variable() -> None:
    plugins = yaml.safe_load((TOP / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    variables = []
    for kind, schema in SCHEMAS.items():
        (plugin,) = plugins[kind]
        found = list(secrets(schema))
        assert set(found) <= {each["name"] for each in plugin["settings"] if each.get("sensitive")}
        names = [f"{plugin['namespace']}_{name}".upper().replace(".", "_") for name in found]
        variables += names
    written = (TOP / ".env.example").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^(\w+)=$", written, re.MULTILINE)) == sorted(variables)


def test_the_readme_names_the_extras() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install = (TOP / "README.md").read_text(encoding="utf-8").partition("## Install")[2]
    named = set(re.findall(r"\[(\w+)\]", install.partition("\n## ")[0]))
    assert named - {"meltano"} == set(project["optional-dependencies"])


# -- nothing of the machine --------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, DOCS / "tables.py", DOCS / "words.yml"], ids=str)
def test_no_path_of_a_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])/(?:home|root|Users|tmp|work|opt)/\S*", text)
