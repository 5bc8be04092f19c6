"""The sample company at its vendors: the same journeys as from its files, told and read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples.shop import demo, show
from tests.pipes import Pipe
from tests.sandbox.sample import fill
from tests.sandbox.server import VENDORS, Sandbox
from tests.test_pipeline import CONFIG, TOP, copied, run

CONFIGURED = TOP / "examples/shop/demo.json"
Row = dict[str, Any]


@dataclass
class Demo:
    """A run that is over, and the sandbox as it left it."""

    sandbox: Sandbox
    pipe: Pipe
    config: Row


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = copied(tmp_path_factory.mktemp("demo"))
    with Sandbox(*demo.PLAYED) as sandbox:
        fill(sandbox)
        config = demo.configured(sandbox, folder / "journeys.db")
        demo.prepare(folder, config)
        pipe = Pipe(folder, **config)
        pipe.run()
        yield Demo(sandbox, pipe, config)


def journeys(pipe: Pipe) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """(who by an e-mail address if there is one, scope, episode) → where the journey stands."""
    names = {}
    for subject, ids in pipe.ask("select subject, ids from customers"):
        mails = (name for name in json.loads(ids) if name.startswith("email:"))
        names[subject] = next(mails, subject)
    rows = pipe.ask(
        "select subject, scope_grain, scope_id, episode, stage, headline, condition, outcome "
        "from journey_stages"
    )
    return {(names[row[0]], *row[1:4]): row[4:] for row in rows}


def test_the_vendors_tell_what_the_files_tell(done: Demo, tmp_path: Path) -> None:
    alone = copied(tmp_path)
    run(alone)
    files, vendors = journeys(Pipe(alone)), journeys(done.pipe)
    assert set(files) <= set(vendors)
    # A deal is also its first contact's in HubSpot, and what a list of GA4 shows is in the event.
    firsts = {
        f"email:{deal['contacts'][0]['email'].lower()}"
        for path in (alone / "examples/shop/data").glob("crm_deals*.jsonl")
        for deal in map(json.loads, path.read_text().splitlines())
    }
    moved = {key[0] for key in files if files[key] != vendors[key]}
    assert moved <= firsts
    more = {key: stood for key, stood in vendors.items() if key not in files}
    callers = [key[2] for key in more if key[0].startswith("zendesk_user:")]
    assert callers == ["PRN-LASERA-10"]  # the file names no sender of that ticket, Zendesk does
    others = {key[0] for key, stood in more.items() if stood[0] != "aware"}
    assert {who for who in others if not who.startswith("zendesk_user:")} <= firsts


def test_what_is_shown_is_what_is_promised(done: Demo) -> None:
    with show.opened(done.pipe.store) as db:
        said = show.everything(db)
    db.close()
    for headline in show.HEADLINES:
        assert f"\n  {headline:<16} " in said
    assert "Nordhavn Freight         Ledger Flow      evaluating, team of 5, stalled since" in said
    assert "Haugen Logistics buys Stockroom, and its people stand 3 stages apart" in said
    assert "No decision: budget frozen until next year" in said
    assert "Jonas Wik                Strato 16 Laptop considering, last seen 2026-02-12" in said


def test_a_number_to_four_vendors_is_one_person(done: Demo) -> None:
    ((ids,),) = done.pipe.ask("select ids from customers where ids like '%P9001%'")
    found = {name.partition(":")[0] for name in json.loads(ids)}
    assert found >= {"crm_contact", "hubspot_contact", "ga4_client", "segment", "zendesk_user"}


def test_both_destinations_hold_every_journey(done: Demo) -> None:
    rows = done.pipe.ask(
        "select j.subject, j.scope_grain, j.scope_id, j.episode, j.stage, coalesce(j.headline, ''),"
        " c.kind from journey_stages j join customers c using (subject)"
    )
    world = done.sandbox.hubspot.world
    objects = [each.properties for each in world.listed(world.kind("p_journey_stage"))]
    assert {each["journey_key"]: (each["stage"], each["headline"]) for each in objects} == {
        "|".join(map(str, row[:4])): row[4:6] for row in rows
    }
    segment = done.sandbox.segment
    assert segment.dropped == []
    traits = {"people": segment.users, "accounts": segment.groups}
    for subject, grain, scope, episode, stage, headline, kind in rows:
        name = scope if grain == "product" else f"{grain}:{scope}"
        told = traits[kind][subject]["journeys"][name]
        if told["episode"] == episode:
            assert (told["stage"], told["headline"] or "") == (stage, headline)
    ((entered,),) = done.pipe.ask("select count(*) from stage_visits where retracted_at is null")
    assert len(segment.events) >= entered


def test_they_are_read_back(done: Demo) -> None:
    for read_back in (demo.in_hubspot, demo.in_segment):
        said = list(read_back(done.config))
        shown = [line.split()[0] for line in said if line.startswith("  ")]
        assert shown[:5] == ["Considering", "Buying", "Using", "Returning", "Seeking"]
    assert "  stalled          SW-LEDGER                evaluating" in said


def test_again_there_is_nothing_to_tell(done: Demo) -> None:
    for vendor in done.sandbox.vendors.values():
        vendor.forget_requests()
    assert "(0 new), 0 stages changed, 0 sent" in done.pipe.run()
    assert not list(done.sandbox.segment.requests())


def test_a_failure_ends_it_with_the_words_of_the_command(tmp_path: Path) -> None:
    broken = tmp_path / "meltano"
    broken.write_text("#!/bin/sh\necho 'no project here' >&2\nexit 7\n")
    broken.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo", str(tmp_path / "out")],
        cwd=TOP,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr == "no project here\nmeltano ended with 7\n"
    assert "Ana Solberg" not in ended.stdout


# -- the configuration -------------------------------------------------------------------------


def test_the_configuration_fits_a_sandbox_that_is_started_by_hand() -> None:
    sandbox = Sandbox()
    for port, name in enumerate(VENDORS, start=demo.FIRST_PORT):
        sandbox.vendors[name].url = f"http://127.0.0.1:{port}"
    fill(sandbox)
    config = json.loads(CONFIGURED.read_text(encoding="utf-8"))
    sources, told = config["sources"], config["destinations"]
    assert sources["hubspot"] == sandbox.hubspot.tap_settings()
    assert sources["ga4"] == sandbox.bigquery.tap_settings()
    assert sources["zendesk"].items() >= sandbox.zendesk.tap_settings().items()
    assert told["hubspot"] == sandbox.hubspot.target_settings()
    assert told["segment"].items() >= sandbox.segment.target_settings().items()


def test_it_differs_from_the_sample_in_sources_and_destinations_alone() -> None:
    theirs, sample = (json.loads(p.read_text()) for p in (CONFIGURED, TOP / CONFIG))
    differ = {name for name in theirs.keys() | sample if theirs.get(name) != sample.get(name)}
    assert differ == {"sources", "destinations"}
    streams = {each["name"]: each for each in sample["sources"]["files"]["streams"]}
    own = {each["name"]: each for each in theirs["sources"]["files"]["streams"]}
    assert own.pop("web_accounts")
    assert own.items() <= streams.items()
