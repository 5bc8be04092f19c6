"""Buying teams in the store: late links, titles and roles reach them; explain shows why."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from target_journeys.cli import main
from tests.target.messages import SCHEMA, record, sync

ANA, CONTACT, ACME = "email:ana@acme.test", "hubspot_contact:7", "crm:acme"
DEAL = [{"grain": "item", "id": "deal:1"}]
AS_OF = "2026-01-10T00:00:00Z"
MODEL = {"defaults": {"required_roles": ["champion", "economic_buyer"]}}


def teams(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(str(path))) as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("select * from buying_teams order by 1, 2, 3")]
    for row in rows:
        row["members"] = {
            member["subject"]: [role["role"] for role in member["roles"]]
            for member in json.loads(row["members"])
        }
    return rows


def viewed(number: int = 1) -> dict[str, Any]:
    return record(number, account=ACME)


def role(number: int = 2, subject: str = CONTACT, **fields: Any) -> dict[str, Any]:
    given = {"subject": subject, "account": ACME, "properties": {"role": "CHAMPION"}}
    return record(number, "contact_role_added", **(given | fields))


def run(path: Path, *messages: dict[str, Any], as_of: str = AS_OF) -> list[dict[str, Any]]:
    sync(path, SCHEMA, *messages, as_of=as_of, stage_model=MODEL)
    return teams(path)


def test_a_link_that_comes_later_makes_one_member_of_two(kept):
    (team,) = run(kept, viewed(), role())
    assert team["members"] == {ANA: [], CONTACT: ["champion"]}
    link = record(3, "identity_linked", scopes=[], properties={"linked": CONTACT})
    (team,) = run(kept, link)
    assert (team["people"], team["members"]) == (1, {ANA: ["champion"]})
    parted = record(4, "identity_unlinked", scopes=[], properties={"linked": CONTACT})
    (team,) = run(kept, parted)
    assert team["members"] == {ANA: [], CONTACT: ["champion"]}


def test_a_title_that_comes_later_and_names_no_account_counts(kept):
    run(kept, viewed())
    title = record(3, "profile_observed", scopes=[], properties={"title": "CFO"})
    (team,) = run(kept, title)
    assert team["members"] == {ANA: ["economic_buyer"]}
    (team,) = run(kept, record(4, "record_corrected", scopes=[], supersedes=f"{3:032x}"))
    assert team["members"] == {ANA: []}


def test_a_role_in_a_deal_that_names_no_account_counts(kept):
    link = record(
        5,
        "scope_linked",
        subject=None,
        account=ACME,
        scopes=[*DEAL, {"grain": "product", "id": "P"}],
    )
    opened = record(6, "opportunity_opened", subject=None, account=ACME, scopes=DEAL)
    assert run(kept, link, opened) == []
    label = {"subject": CONTACT, "scopes": DEAL, "properties": {"role": "Budget Holder"}}
    (team,) = run(kept, record(7, "profile_observed", **label))
    assert (team["scope_id"], team["members"]) == ("P", {CONTACT: ["economic_buyer"]})
    assert json.loads(team["roles_missing"]) == ["champion"]


def test_somebody_in_two_accounts_is_a_member_of_both(kept):
    other = role(3, ANA, account="crm:zeta")
    both = run(kept, viewed(), role(subject=ANA), other)
    assert [(team["subject"], team["people"]) for team in both] == [(ACME, 1), ("crm:zeta", 1)]


def test_time_alone_lets_members_fall_silent(kept):
    (team,) = run(kept, viewed(), role(subject=ANA))
    assert (json.loads(team["silent"]), json.loads(team["new"])) == ([], [ANA])
    (team,) = run(kept, as_of="2026-06-01T00:00:00Z")
    assert (json.loads(team["silent"]), json.loads(team["new"])) == ([ANA], [])


def test_a_team_goes_with_its_account(kept):
    run(kept, viewed())
    merged = record(
        9, "identity_linked", subject=None, account="erp:1", scopes=[], properties={"linked": ACME}
    )
    (team,) = run(kept, merged)
    assert team["subject"] == "erp:1"


def test_records_tell_of_the_team_and_explain_shows_the_evidence(kept, tmp_path):
    run(kept, viewed(), role(subject=ANA))
    with closing(sqlite3.connect(str(kept))) as db:
        found = dict(db.execute("select subject, buying_team from journey_stages").fetchall())
    assert found[ANA] is None
    assert json.loads(found[ACME])["roles_missing"] == ["economic_buyer"]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}"}))
    asked = ["explain", ACME, "P", "--config", str(config)]
    said = CliRunner().invoke(main, asked).output
    assert f"{ANA}: champion; considering, new, last seen 2026-01-01T01:00:00Z" in said
    assert "CHAMPION (deal), by web_events 2 of 2026-01-01T02:00:00Z" in said
    assert "roles missing: economic_buyer; 50% of those required" in said
    (team,) = json.loads(CliRunner().invoke(main, [*asked, "--json"]).output)["teams"]
    (given,) = team["members"][0]["roles"]
    assert given["evidence"]["source_key"] == "2"
