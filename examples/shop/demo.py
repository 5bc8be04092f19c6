"""The sample company at its vendors: what `make demo` runs, without any account.

    python -m examples.shop.demo FOLDER      # a new one, for the store and what Meltano says

HubSpot, Zendesk, BigQuery and Segment are those of the sandbox, on free ports of this machine, and
end with this program. Meltano reads and tells them as it would the real ones, over HTTP.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from examples.shop import show
from tests.sandbox.sample import fill
from tests.sandbox.server import VENDORS, Sandbox

TOP = Path(__file__).parents[2]
FIRST_PORT = 8900  # of the addresses in demo.json: `python -m tests.sandbox --sample --port 8900`
PLAYED = ("hubspot", "zendesk", "bigquery", "segment")
PIPELINE = ("run", "tap-journeys", "standard", "target-journeys")
SAID = re.compile(r"(?:tap|mapper|target)-journeys: [0-9].*")
LEFT = 3  # what `journeys check` ends with: the store is not there yet
ANA, TEAM = "ana.solberg@mail.test", "crm_company:C2001"

Row = dict[str, Any]


def configured(sandbox: Sandbox, store: Path) -> Row:
    """The configuration of demo.json with the addresses that the vendors have this time."""
    text = (Path(__file__).parent / "demo.json").read_text(encoding="utf-8")
    names = list(VENDORS)

    def address(found: re.Match[str]) -> str:
        return sandbox.vendors[names[int(found[1]) - FIRST_PORT]].url

    config: Row = json.loads(re.sub(r"http://127\.0\.0\.1:(\d+)", address, text))
    return config | {"store": f"sqlite:///{store}"}


def ran(command: list[str], *fine: int, **more: str) -> str:
    """What a command said on standard error; an exit code that is not fine ends everything."""
    done = subprocess.run(
        command, cwd=TOP, env=os.environ | more, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, *fine):
        sys.exit(f"{done.stdout}{done.stderr}{Path(command[0]).name} ended with {done.returncode}")
    return done.stderr


def prepare(folder: Path, config: Row) -> None:
    """Create in HubSpot what is told journeys; the sources need no preparation."""
    path = folder / "destinations.json"
    path.write_text(json.dumps({"store": config["store"], "destinations": config["destinations"]}))
    command = [str(Path(sys.executable).parent / "journeys"), "check", "--create", "--yes"]
    said = ran([*command, "--config", str(path)], LEFT)
    say(f"journeys check --create\n  {said.splitlines()[-1]}")


def sync(folder: Path, config: Row) -> None:
    """Meltano, with the project's own meltano.yml; what differs comes from the environment."""
    say(f"meltano {' '.join(PIPELINE)}")
    log = ran(
        [shutil.which("meltano") or "meltano", *PIPELINE],
        TAP_JOURNEYS_SOURCES=json.dumps(config["sources"]),
        TARGET_JOURNEYS_DESTINATIONS=json.dumps(config["destinations"]),
        TARGET_JOURNEYS_STORE=config["store"],
        MELTANO_DATABASE_URI=f"sqlite:///{folder / 'meltano.db'}",
        NO_COLOR="1",
    )
    (folder / "run.log").write_text(log, encoding="utf-8")
    for line in SAID.findall(log):
        say(f"  {line}")


# -- what the destinations hold ------------------------------------------------------------------


def in_hubspot(config: Row) -> Iterator[str]:
    """The custom objects, as HubSpot's own API tells them."""
    settings = config["destinations"]["hubspot"]
    kind = "p_journey_stage"
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {settings['access_token']}"

        def ask(method: str, path: str, body: Row | None = None, **query: str) -> Row:
            url = f"{settings['base_url']}/crm/v3/objects/{path}"
            answer = http.request(method, url, json=body, params=query, timeout=30)
            answer.raise_for_status()
            found: Row = answer.json()
            return found

        total = ask("POST", f"{kind}/search", {"limit": 1})["total"]
        contact = ask("GET", f"contacts/{ANA}", idProperty="email", associations=kind)
        beside = next(iter(contact["associations"].values()))["results"]
        names = ["headline", "product", "stage", "category"]
        asked = {"inputs": [{"id": each["id"]} for each in beside], "properties": names}
        records = ask("POST", f"{kind}/batch/read", asked)["results"]
    yield f"HubSpot holds {total:,} objects `journey_stage`; those of contact {contact['id']}:"
    yield from listed(each["properties"] for each in records)


def in_segment(config: Row) -> Iterator[str]:
    """Traits and events, as the sandbox tells what it was told."""
    url = f"{config['destinations']['segment']['base_url']}/sandbox"
    with requests.Session() as http:

        def ask(path: str) -> Any:
            answer = http.get(f"{url}/{path}", timeout=30)
            answer.raise_for_status()
            return answer.json()

        users, groups, events = ask("users"), ask("groups"), ask("events")
    yield f"Segment holds {len(users):,} users, {len(groups):,} groups and {len(events):,} events"
    yield f"Trait `journeys` of user email:{ANA}:"
    yield from listed(users[f"email:{ANA}"]["journeys"].values())
    yield f"Trait `journeys` of group {TEAM}:"
    for told in groups[TEAM]["journeys"].values():
        yield f"  {told['condition']:<16} {told['product']:<24} {told['stage']}"
    own = (each for each in events if each.get("userId") == f"email:{ANA}")
    last = max(own, key=lambda event: str(event["timestamp"]))
    told = last["properties"]
    yield f"Latest event of the user, `{last['event']}` of {last['timestamp']}:"
    yield f"  {told['product_id']} from {told['previous_stage']} to {told['stage']}"


def listed(journeys: Iterable[Row]) -> Iterator[str]:
    """A line for each journey that has a headline, in the order of `show`."""
    named = [each for each in journeys if each["headline"]]
    for told in sorted(named, key=lambda each: show.HEADLINES.index(each["headline"])):
        yield f"  {told['headline']:<16} {told['product']:<24} {told['stage']}"


def say(text: str) -> None:
    """Print at once: the next step takes its time."""
    sys.stdout.write(f"{text.rstrip()}\n")
    sys.stdout.flush()


def main() -> None:
    """Run everything."""
    os.environ |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1")  # where all of them are
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True)
    store = folder / "journeys.db"
    with Sandbox(*PLAYED) as sandbox:
        fill(sandbox)
        say("The sandbox plays HubSpot, Zendesk, BigQuery and Segment for the sample company")
        config = configured(sandbox, store)
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        prepare(folder, config)
        sync(folder, config)
        with closing(show.opened(store)) as db:
            say(show.everything(db))
        for read_back in (in_segment, in_hubspot):
            say("\n" + "\n".join(read_back(config)))


if __name__ == "__main__":
    main()
