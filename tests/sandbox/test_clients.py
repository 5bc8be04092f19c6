"""The vendors' own clients find in the sandbox what was put there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipes import ROOT
from tests.sandbox.hubspot import HubSpot
from tests.sandbox.zendesk import Zendesk

PYTHON = ROOT / ".venv-sandbox" / "bin" / "python"
CLIENTS = Path(__file__).parent / "clients"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs `make .venv-sandbox/.installed`"),
]
PAST = "2026-01-05T00:00:00Z"


def ask(script: str, *arguments: str) -> dict[str, Any]:
    """What a client says."""
    done = subprocess.run(
        [str(PYTHON), str(CLIENTS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("limited", [False, True], ids=["", "limited"])
def test_hubspot_api_client(limited: bool, hubspot: HubSpot) -> None:
    hubspot.limits.off = not limited
    hubspot.limits["burst"].limit = 6  # in a second: the client is refused, and waits
    hubspot.limits.rate_factor = 10
    hubspot.retry_after = limited
    world = hubspot.world
    people = [world.add("contacts", {"email": f"contact{n}@x.test"}, at=PAST) for n in range(250)]
    world.archive("contacts", people[7])
    deal = world.add("deals", {"dealname": "X1", "dealstage": "qualifiedtobuy"}, at=PAST)
    world.update("deals", deal, {"dealstage": "closedwon"}, at="2026-02-01T00:00:00Z")
    others = [world.add("deals", {"dealname": n, "dealstage": "x"}, at=PAST) for n in range(60)]
    world.associate("deals", deal, "contacts", people[0], label="Champion")
    items = [world.add("line_items", {"hs_sku": "X1"}, at=PAST) for _ in range(230)]
    for item in items:
        world.associate("deals", deal, "line_items", item)
    world.add_owner("rep@us.test")
    world.add_form("f-1", "Contact us")

    found = ask("with_hubspot_client.py", hubspot.url, hubspot.token, hubspot.refresh_token)

    first = [deal, "X1", ["closedwon", "qualifiedtobuy"]]
    contact, label = people[0], people[0]
    assert found["deals"][0] == [*first, [contact, label], "2026-02-01T00:00:00+00:00"]
    assert [each[0] for each in found["deals"]] == [deal, *others]
    assert found["archived"] == [people[7]]
    assert found["total"] == 249
    assert found["searched"] == [f"contact{n}@x.test" for n in range(250) if n != 7]
    assert found["read"] == [[deal, *others], 1, "OBJECT_NOT_FOUND"]
    assert found["line_items"] == items
    assert found["stages"][-2:] == ["closedwon", "closedlost"]
    assert (found["owners"], found["forms"]) == (["rep@us.test"], ["f-1"])
    assert found["property"] == "journey_stage"
    assert found["property again"] == [409, "OBJECT_ALREADY_EXISTS"]
    assert found["upserted"] == [["t-0", False], ["t-1", True]]
    assert found["not upserted"] == [{"objectWriteTraceId": ["t-2"]}]
    assert world.blocked == {"new@x.test"}
    assert found["schema"] == "journey_stage"
    assert (found["token"], found["with it"]) == (["bearer", 1800], 61)
    assert found["scopes"] is True
    assert (hubspot.limits.use("burst").refused > 0) is limited


@pytest.mark.parametrize("limited", [False, True], ids=["", "limited"])
def test_zenpy(limited: bool, zendesk: Zendesk) -> None:
    zendesk.limits.off = not limited
    zendesk.limits.rate_factor = 60  # ten exports a second
    zendesk.limits["incremental"].limit = 6
    zendesk.link_host = "https://acme.zendesk.com"
    world = zendesk.world
    ana = world.add("users", {"name": "Ana", "email": "ana@x.test"}, at=PAST)["id"]
    world.add("organizations", {"name": "Acme"}, at=PAST)
    world.add("ticket_fields", {"title": "Product"}, at=PAST)
    tickets = [
        world.add("tickets", {"subject": f"t{n}", "requester_id": ana}, at=PAST)["id"]
        for n in range(150)
    ]
    world.update("tickets", 1, {"status": "solved"}, at="2026-01-06T00:00:00Z")
    world.update("tickets", 1, {"status": "open"}, at="2026-01-07T00:00:00Z")
    world.rate(1, "good", at="2026-01-08T00:00:00Z")
    world.delete("tickets", 2, at="2026-01-09T00:00:00Z")

    found = ask("with_zenpy.py", zendesk.url, zendesk.email, zendesk.api_token)

    assert sorted(each[0] for each in found["tickets"]) == tickets
    assert found["tickets"][-2:] == [
        [1, "open", "t0", "2026-01-08T00:00:00Z"],
        [2, "deleted", "t1", "2026-01-09T00:00:00Z"],
    ]
    assert found["tickets by time"] == tickets
    assert (found["users"], found["organizations"]) == (["ana@x.test"], ["Acme"])
    assert found["events"][1:3] == [[["Change", "solved"]], [["Change", "open"]]]
    listed = [each for each in tickets if each != 2]
    assert (found["listed"], found["by number"]) == (listed, listed)
    assert found["audits"][1:3] == [1, 1]
    assert found["ratings"] == [["good", 1]]
    assert (found["fields"], found["metrics"], found["deleted"]) == (["Product"], 1, [2])
    assert found["me"] == zendesk.email
    assert (zendesk.limits.use("incremental").refused > 0) is limited
