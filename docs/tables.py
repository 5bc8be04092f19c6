"""Tables of the documentation, made from the code itself; cog writes them between its markers.

What the code cannot say, one sentence per column and field, stands in ``words.yml``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import MISSING, fields
from datetime import timedelta
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import yaml

from journeys import regions as beside
from journeys import vocabulary
from journeys.event import JourneyEvent, Product, Scope
from journeys.model import EventMeaning, StageModel
from journeys.settings import BUILT_IN, TOP_LEVEL
from mapper_journeys.mapper import MapperJourneys
from mapper_journeys.paths import is_path
from mapper_journeys.settings import PRESETS, preset_names
from mapper_journeys.settings import json_schema as mapper_schema
from tap_journeys.settings import json_schema as tap_schema
from tap_journeys.tap import TapJourneys
from target_journeys.cli import main as journeys_command
from target_journeys.destinations import DESTINATIONS
from target_journeys.settings import settings_schema as target_schema
from target_journeys.stage_model import CategorySettings, StageModelSettings, load
from target_journeys.stores import open_store
from target_journeys.target import TargetJourneys

WORDS: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "words.yml").read_text())
READERS = {"tap": tap_schema, "mapper": mapper_schema, "target": target_schema}
COMMANDS: dict[str, click.Command] = {
    "tap-journeys": TapJourneys.cli,
    "mapper-journeys": MapperJourneys.cli,
    "target-journeys": TargetJourneys.cli,
    "journeys": journeys_command,
    **{f"journeys {name}": each for name, each in sorted(journeys_command.commands.items())},
}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, with empty lines around it."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in lines)
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in cells) + "\n"


def code(value: object) -> str:
    """A value as people write it in a configuration."""
    words = {None: "null", True: "true", False: "false"}
    return f"`{words[value] if value is None or isinstance(value, bool) else value}`"


def codes(names: Iterable[object]) -> str:
    """Several of them."""
    return ", ".join(code(name) for name in names)


# -- settings ----------------------------------------------------------------------------------


def kind(schema: Mapping[str, Any]) -> str:
    """The type of a setting in words."""
    if "anyOf" in schema:
        return " or ".join(kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    if schema.get("format") == "password":
        return "secret"
    if schema.get("type") == "array":
        inner = kind(schema.get("items", {}))
        return "list" if inner in ("", "object") else f"list of {inner}"
    found = schema.get("type", "")
    return " or ".join(each for each in found if each != "null") if type(found) is list else found


def default(name: str, schema: Mapping[str, Any], required: Iterable[str]) -> str:
    """What holds when a setting is left out."""
    if name in required:
        return "required"
    return given(schema.get("default"))


def given(value: object) -> str:
    """A default; nothing and empty are "none"."""
    if value in (None, [], {}):
        return "none"
    return code(value).replace("'", '"')


def settings(schema: Mapping[str, Any], front: str = "") -> Iterator[tuple[str, ...]]:
    """Name, type, default and description of all settings of a schema, lists of objects inside."""
    for name, each in schema["properties"].items():
        else_ = default(name, each, schema.get("required", ()))
        yield f"`{front}{name}`", kind(each), else_, each.get("description", "")
        inner = each.get("items", {})
        if "properties" in inner:
            yield from settings(inner, f"{front}{name}[].")


SETTINGS_HEAD = ("setting", "type", "default", "what to put there")


def top_level() -> str:
    """The keys of the one configuration file, and who reads them."""
    schemas = {reader: make() for reader, make in READERS.items()}
    rows = []
    for name in TOP_LEVEL:
        found = {
            reader: schema["properties"][name]
            for reader, schema in schemas.items()
            if name in schema["properties"]
        }
        said = [f"{reader}: {each['description']}" for reader, each in found.items()]
        words = said if len(said) > 1 else [each["description"] for each in found.values()]
        last = list(found)[-1]
        else_ = default(name, found[last], schemas[last].get("required", ()))
        rows.append((f"`{name}`", ", ".join(found), else_, " ".join(words)))
    return table(("key", "read by", "default", "what to put there"), rows)


def members(folder: str) -> dict[str, Mapping[str, Any]]:
    """The schemas of all sources or destinations, by name."""
    if folder == "sources":
        found: dict[str, Mapping[str, Any]] = tap_schema()["properties"]["sources"]["properties"]
        return found
    return {name: each.model_json_schema() for name, each in DESTINATIONS.items()}


def source(name: str) -> str:
    """The settings of one source."""
    return table(SETTINGS_HEAD, settings(members("sources")[name]))


def destination(name: str) -> str:
    """The settings of one destination."""
    return table(SETTINGS_HEAD, settings(members("destinations")[name]))


def connectors(folder: str) -> str:
    """What there is to choose from, each with its page."""
    rows = (
        (f"[`{name}`](docs/reference/{folder}/{name}.md)", each.get("description", ""))
        for name, each in members(folder).items()
    )
    return table((folder.removesuffix("s"), "is"), rows)


def connector_settings(folder: str) -> str:
    """The settings of every source or destination, each under its name."""
    return "".join(
        f"\n### {name}\n{table(SETTINGS_HEAD, settings(each))}More: [{name}]({folder}/{name}.md).\n"
        for name, each in members(folder).items()
    )


def about_people(name: str) -> str:
    """The settings of a top-level key of the target that holds an object."""
    return table(SETTINGS_HEAD, settings(target_schema()["properties"][name]))


def sdk_settings() -> str:
    """The settings that every plugin accepts besides."""
    return f"\n{codes(BUILT_IN)}.\n\n"


def rules_of(preset: str) -> list[dict[str, Any]]:
    """The rules of a preset as they are written."""
    found: list[dict[str, Any]] = yaml.safe_load(preset_text(preset))
    return found


def preset_text(preset: str) -> str:
    """The file of a preset."""
    return (PRESETS / f"{preset}.yml").read_text(encoding="utf-8")


def header(preset: str) -> str:
    """What a preset says of itself: the comment before its first rule."""
    lines = takewhile(lambda line: line.startswith("#"), preset_text(preset).splitlines())
    return "\n".join(line.removeprefix("#").strip() for line in lines)


def presets() -> str:
    """The rule sets that ship with the package."""
    rows = []
    for name in preset_names():
        streams = dict.fromkeys(stream for rule in rules_of(name) for stream in rule["streams"])
        first, *_ = re.split(r"\.(?:\s|$)|\n\n", header(name))
        rows.append((f"[`{name}`](presets.md#{name})", first, codes(streams)))
    return table(("preset", "reads", "streams"), rows)


def made_by(rule: Mapping[str, Any]) -> list[str]:
    """The event types that a rule may make, or `product`."""
    if rule.get("emit") == "product":
        return ["product"]
    found: list[str] = []
    values = [rule["event_type"]]
    while values:
        value = values.pop(0)
        if isinstance(value, Mapping):
            values += value.get("first", []) + list(value.get("map", {}).values())
            values.append(value.get("default"))
        elif value is not None:
            found.append("any type" if is_path(value) else str(value))
    return found


def preset_pages() -> str:
    """Each preset: what it says of itself, and what it makes of each stream."""
    parts = []
    for name in preset_names():
        made: dict[str, dict[str, None]] = {}
        for rule in rules_of(name):
            for stream in rule["streams"]:
                made.setdefault(stream, {}).update(dict.fromkeys(made_by(rule)))
        rows = [(f"`{stream}`", codes(types)) for stream, types in made.items()]
        parts.append(f"\n## {name}\n\n{header(name)}\n{table(('stream', 'makes'), rows)}")
    return "".join(parts)


# -- events ------------------------------------------------------------------------------------


def typed(kind_of: type, key: str) -> str:
    """The fields of a type of the domain, with the sentences of words.yml."""
    rows = []
    for each in fields(kind_of):
        has_default = each.default is not MISSING or each.default_factory is not MISSING
        value = each.default if each.default is not MISSING else None
        else_ = "empty" if value in (None, "", ()) else code(value)
        rows.append((f"`{each.name}`", else_ if has_default else "required", WORDS[key][each.name]))
    return table(("field", "default", "meaning"), rows)


def event_fields() -> str:
    """The fields of an event."""
    return typed(JourneyEvent, "event")


def scope_fields() -> str:
    """The fields of a scope."""
    return typed(Scope, "scope")


def product_fields() -> str:
    """The fields of a product."""
    return typed(Product, "product")


def properties() -> str:
    """The properties that the engine itself reads."""
    said = WORDS["properties"].items()
    rows = ((f"`{name}`", each["of"], each["meaning"]) for name, each in said)
    return table(("property", "of", "meaning"), rows)


def means(name: str, meaning: EventMeaning) -> str:
    """What an event type does, besides entering a stage."""
    said = []
    if meaning.outcome is not None:
        sides = " and ".join(meaning.outcome.sides)
        said.append(f"ends it as `{meaning.outcome.outcome}` ({sides})")
    if meaning.region:
        said.append(f"region `{meaning.region}`")
    flags = {
        "purchase": meaning.is_purchase,
        "renewal": meaning.is_renewal,
        "impression": meaning.is_impression,
        "CRM evidence": meaning.is_crm,
        "opens a case": meaning.opens,
        "fact": meaning.is_fact,
    }
    said += [word for word, holds in flags.items() if holds]
    if name in WORDS["event_types"]:
        said.append(WORDS["event_types"][name])
    return ", ".join(said) or ("" if meaning.stage else "evidence only")


def event_types() -> str:
    """Every event type by family, and what the standard model makes of it."""
    model, found = load("standard"), []
    for family, names in vocabulary.FAMILIES.items():
        rows = []
        for name in names:
            meaning = model.meanings[name]
            stage = f"`{meaning.stage}`" if meaning.stage else ""
            rows.append((f"`{name}`", stage, means(name, meaning)))
        found.append(f"\n### {family}\n{table(('event type', 'enters', 'besides'), rows)}".rstrip())
    return "\n".join(found) + "\n\n"


def derived() -> str:
    """What no rule may emit."""
    return f"\n{codes(vocabulary.DERIVED)}.\n\n"


# -- the stage model ---------------------------------------------------------------------------


def standard() -> Mapping[str, Any]:
    """The file of the standard model, with durations as they are written."""
    text = (files("journeys") / "standard.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def length(value: timedelta | None) -> str:
    """A duration, rounded for people."""
    if value is None:
        return "never"
    days = value / timedelta(days=1)
    return f"{days:.1f} d" if days >= 1 else f"{24 * days:.1f} h"


def stages() -> str:
    """The main line."""
    defaults = standard()["defaults"]["stages"]
    rows = [
        (
            rank,
            f"`{stage['name']}`",
            stage["side"],
            stage["headline"],
            "yes" if stage["name"] in defaults else "no",
            codes(stage["entered_by"]),
        )
        for rank, stage in enumerate(standard()["stages"], start=1)
    ]
    return table(("", "stage", "side", "headline", "by default", "entered by"), rows)


def dwells() -> str:
    """What each stage is expected to take, by default."""
    model: StageModel = load("standard")
    rows = []
    for name, limits in model.defaults.limits.items():
        dwell = standard()["defaults"]["expected"].get(name)
        p50, p90 = (code(dwell["p50"]), code(dwell["p90"])) if dwell else ("none", "none")
        rows.append((f"`{name}`", p50, p90, length(limits.slow), length(limits.stalled)))
    return table(("stage", "p50", "p90", "slow after", "stalled after"), rows)


def outcomes() -> str:
    """What ends a journey."""
    rows = [
        (
            f"`{each['event']}`",
            " and ".join(each["sides"]),
            f"`{each['outcome']}`" + (", or what the reason says" if each.get("by_reason") else ""),
        )
        for each in standard()["outcomes"]
    ]
    return table(("event", "where the journey stands", "outcome"), rows)


def lost_reasons() -> str:
    """Words that tell lost opportunities apart."""
    rows = [(f"`{name}`", codes(words)) for name, words in standard()["lost_reasons"].items()]
    return table(("outcome", "when the reason holds one of"), rows)


def groups() -> str:
    """The lists of event types of the model."""
    names = ("purchases", "renewals", "impressions", "crm_evidence", "opens")
    described = StageModelSettings.model_fields
    rows = ((f"`{name}`", described[name].description, codes(standard()[name])) for name in names)
    return table(("key", "meaning", "standard"), rows)


def regions() -> str:
    """The regions, what moves them, and where a journey starts that begins in one."""
    moved: dict[str, list[str]] = {}
    for event, region in beside.REGION_OF_EVENT.items():
        moved.setdefault(region, []).append(event)
    rows = [
        (
            f"`{region}`",
            codes(WORDS["regions"][region]["states"]),
            codes(moved[region]),
            f"`{beside.OPENS_AT[region]}`",
            WORDS["regions"][region]["meaning"],
        )
        for region in beside.OPENS_AT
    ]
    return table(("region", "states", "moved by", "infers", "how"), rows)


def category_settings() -> str:
    """Every setting of a category, with the default of the standard model."""
    defaults = standard()["defaults"]
    schema = CategorySettings.model_json_schema()
    shown = {
        "stages": codes(defaults["stages"]),
        "expected": "see [times](#times)",
        "pipelines": "see [pipelines](#pipelines)",
    }
    rows = [
        (f"`{name}`", shown.get(name) or given(defaults[name]), each["description"])
        for name, each in schema["properties"].items()
    ]
    return table(("setting", "default", "meaning"), rows)


def model_settings() -> str:
    """Every key of a stage model."""
    rows = (
        (f"`{name}`", each.description) for name, each in StageModelSettings.model_fields.items()
    )
    return table(("key", "meaning"), rows)


def pipelines() -> str:
    """CRM stages that the standard model knows."""
    rows = [
        (f"`{pipeline}`", f"`{theirs}`", f"`{ours}`")
        for pipeline, stage_of in standard()["defaults"]["pipelines"].items()
        for theirs, ours in stage_of.items()
    ]
    return table(("pipeline", "CRM stage", "stage"), rows)


def buying_roles() -> str:
    """The declared buying roles, the names of others for them, and the titles that suggest them."""
    model = standard()
    rows = [
        (
            f"`{role}`",
            codes(name for name, each in model["role_names"].items() if each == role),
            codes(model["role_titles"].get(role, ())),
        )
        for role in model["buying_roles"]
    ]
    return table(("role", "also called", "title holds one of"), rows)


# -- the store ---------------------------------------------------------------------------------


def tables_of_store() -> dict[str, tuple[str, dict[str, str]]]:
    """Table or view → which of the two, and its columns with their types; of a fresh store."""
    with TemporaryDirectory() as folder:
        path = f"{folder}/fresh.db"
        open_store(f"sqlite:///{path}").close()
        with closing(sqlite3.connect(path)) as db:
            made = db.execute(
                "select name, type from sqlite_master where type in ('table', 'view') "
                "and name not like 'sqlite_%' and name not like '\\_%' escape '\\' order by name"
            ).fetchall()
            return {
                name: (
                    what,
                    {
                        row[1]: row[2].lower()
                        for row in db.execute("select * from pragma_table_info(?)", (name,))
                    },
                )
                for name, what in made
            }


def store_overview(group: str = "people") -> str:
    """One line per table and view that people read."""
    found = tables_of_store()
    rows = [
        (f"`{name}`", found[name][0], each["meaning"])
        for name, each in WORDS["store"].items()
        if each["for"] == group
    ]
    return table(("name", "is a", "holds"), rows)


def store(group: str) -> str:
    """Every table and view of a group, column by column."""
    found, parts = tables_of_store(), []
    for name, words in WORDS["store"].items():
        if words["for"] != group:
            continue
        what, columns = found[name]
        rows = [(f"`{each}`", words["columns"][each]) for each in columns]
        lines = table(("column", "holds"), rows).rstrip("\n")
        parts.append(f"\n### {name}\n\nA {what}. {words['meaning']}\n{lines}\n")
    return "".join(parts) + "\n"


# -- commands ----------------------------------------------------------------------------------


def help_of(name: str) -> str:
    """What `--help` says."""
    context = click.Context(COMMANDS[name], info_name=name, terminal_width=80, max_content_width=80)
    return f"\n```text\n{COMMANDS[name].get_help(context)}\n```\n\n"
