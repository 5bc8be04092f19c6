"""`journeys forget` takes a person's tickets and orders along, and leaves what others own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys.cli import main
from tests.receiver import receiver
from tests.target.messages import SCHEMA, record, sync

ANA, CONTACT, BROWSER = (
    "email:ana.secret@acme.test",
    "crm_contact:501",
    "ga4_client:4711.1767000137",
)
BO, ACME = "email:bo@acme.test", "crm:acme"
TICKET, ORDER, DEAL = "desk_ticket:88004711", "shop_order:99887766", "crm_deal:77665544"
TRACES = [b"ana.secret", b"crm_contact:501", b"4711.1767000137", b"88004711", b"99887766"]
PRODUCT = {"grain": "product", "id": "P"}
PSEUDONYMOUS = {"identity": {"pseudonymous": True, "secret": "a key of thirty-two characters.."}}


def about(item: str) -> dict[str, str]:
    return {"grain": "item", "id": item}


def of(number: int, item: str, *scopes: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A link that says whose an item is, or what it stands for."""
    given = {"subject": None, "scopes": [about(item), *scopes]} | fields
    return record(number, "scope_linked", **given)


def bare(number: int, event_type: str, *items: str, **fields: Any) -> dict[str, Any]:
    """An event that names items and nobody."""
    scopes = [about(item) for item in items]
    return record(number, event_type, subject=None, scopes=scopes, **fields)


HISTORY = [
    SCHEMA,
    SCHEMA | {"stream": "unmapped_records"},
    record(1, subject=BROWSER),
    record(2, "identity_linked", subject=ANA, scopes=[], properties={"linked": BROWSER}),
    record(3, "identity_linked", subject=ANA, scopes=[], properties={"linked": CONTACT}),
    of(4, TICKET, subject=CONTACT),
    of(5, TICKET, PRODUCT),
    record(6, "ticket_opened", subject=CONTACT, scopes=[about(TICKET)]),
    bare(7, "ticket_escalated", TICKET, properties={"ticket": TICKET}),
    bare(8, "ticket_solved", TICKET),
    record(9, "order_placed", subject=ANA, scopes=[PRODUCT, about(ORDER)]),
    bare(10, "payment_failed", ORDER),
    of(11, DEAL, PRODUCT, subject=CONTACT, account=ACME),
    bare(12, "opportunity_opened", DEAL),
    record(
        13,
        "contact_role_added",
        subject=CONTACT,
        scopes=[about(DEAL)],
        properties={"role": "champion"},
    ),
    record(14, subject=BO, account=ACME, properties={"after": TICKET, "id": "99887766"}),
    {
        "type": "RECORD",
        "stream": "unmapped_records",
        "record": {"stream": "tickets", "rule": "*", "key": '["88004711"]', "reason": "no date"},
    },
]


@pytest.fixture
def told():
    with receiver() as found:
        yield found


@pytest.fixture(params=["as they are", "pseudonymous"])
def settings(request, kept, tmp_path, told, monkeypatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    webhook = {"webhook": {"url": told.url, "rows": "both"}}
    mode = PSEUDONYMOUS if request.param == "pseudonymous" else {}
    found: dict[str, Any] = {"destinations": webhook, "as_of": "2026-03-01T00:00:00Z"} | mode
    (tmp_path / "config.json").write_text(json.dumps({"store": f"sqlite:///{kept}"} | found))
    return found


def forget(name: str = ANA) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["forget", name, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def held(folder: Path) -> bytes:
    files = [path for path in folder.iterdir() if path.name != "config.json"]
    return b"".join(path.read_bytes() for path in files).lower()


def everything(kept) -> dict[str, list[Any]]:
    names = kept.ask("select name from sqlite_master where type = 'table' and name not glob '_*'")
    return {name: kept.ask(f'select * from "{name}"') for (name,) in names if name != "deliveries"}


def types(kept, item: str) -> list[str]:
    found = kept.ask("select event_type from events where scopes like ? order by 1", f"%{item}%")
    return [name for (name,) in found]


def test_items_go_with_their_owner_and_do_not_come_back(
    kept, tmp_path, told, settings, caplog, capsys
):
    sync(kept, *HISTORY, **settings)
    pseudonyms = [] if "identity" not in settings else kept.ask("select id from identities")
    traces = TRACES + [name.encode() for (name,) in pseudonyms]
    assert types(kept, TICKET) == [
        "scope_linked",
        "scope_linked",
        "ticket_escalated",
        "ticket_opened",
        "ticket_solved",
    ]
    receipt = forget()
    assert (receipt["ids"], receipt["items"]) == (3, 2)
    assert set(receipt["found"].values()) == {0}
    assert not [trace for trace in traces if trace in held(tmp_path)]
    before = everything(kept)
    run = sync(kept, *HISTORY, **settings)
    assert everything(kept) == before
    later = (bare(30, "ticket_reopened", TICKET), bare(31, "payment_failed", ORDER))
    sync(kept, SCHEMA, *later, **settings)
    assert everything(kept) == before
    said = (run.summary() + caplog.text + "".join(capsys.readouterr())).lower().encode()
    assert not [trace for trace in traces if trace in held(tmp_path) + said]


def test_a_companys_deal_stays_the_companys_without_the_person(kept, tmp_path, told, settings):
    sync(kept, *HISTORY, **settings)
    counted = "select scope_id, event_count from journey_stages where subject = ?"
    assert kept.ask(counted, ACME) == [("P", 2)]
    forget()
    assert types(kept, DEAL) == ["opportunity_opened", "scope_linked"]
    assert kept.ask(counted, ACME) == [("P", 2)]
    assert ACME in told.subjects()
    moved = bare(30, "opportunity_stage_changed", DEAL, properties={"stage": "proposal"})
    sync(kept, *HISTORY, moved, **settings)
    assert kept.ask(counted, ACME) == [("P", 3)]
    assert kept.ask("select subject, account from events where event_type = 'scope_linked'") == [
        (None, ACME)
    ]


def test_a_team_no_longer_names_who_was_forgotten(kept, tmp_path, settings):
    sync(kept, *HISTORY, **settings)
    team = "select people, members, roles_present from buying_teams"
    ((people, members, roles),) = kept.ask(team)
    assert (people, json.loads(roles)) == (2, ["champion"])
    ((ana,),) = kept.ask("select canonical from identities limit 1")
    assert ana in members
    forget()
    ((people, members, roles),) = kept.ask(team)
    assert (people, json.loads(roles)) == (1, [])
    assert ana not in members


@pytest.fixture
def plain(kept, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"store": f"sqlite:///{kept}"}))


def test_of_two_people_who_own_an_item_the_other_keeps_it(kept, plain):
    """As with the two contacts of a deal, each by a record of its own."""
    links = (of(1, DEAL, PRODUCT, subject=BO), of(2, DEAL, subject=ANA))
    sync(kept, SCHEMA, *links, bare(3, "opportunity_opened", DEAL))
    assert kept.ask("select subject from journey_stages") == [(ANA,)]
    assert forget()["items"] == 0
    assert kept.ask("select subject, event_count from journey_stages") == [(BO, 1)]


def test_an_item_that_was_handed_over_is_its_last_owners(kept, plain):
    """Of one record the latest link counts: the requester of a ticket was changed."""
    handed = (
        of(1, TICKET, subject=BO, source_key="t"),
        of(2, TICKET, PRODUCT, subject=ANA, source_key="t"),
    )
    sync(kept, SCHEMA, *handed, bare(3, "ticket_escalated", TICKET))
    assert forget(BO)["items"] == 0
    assert kept.ask("select subject from journey_stages") == [(ANA,)]
    assert forget(ANA)["items"] == 1
    assert kept.ask("select * from event_log") == []


def test_who_took_part_keeps_the_own_events(kept, plain, tmp_path):
    reply = record(2, "message_sent", subject=BO, scopes=[about(TICKET), PRODUCT])
    sync(kept, SCHEMA, of(1, TICKET, subject=ANA), reply, bare(3, "ticket_solved", TICKET))
    receipt = forget()
    assert (receipt["items"], set(receipt["found"].values())) == (1, {0})
    assert kept.ask("select subject, event_type from events") == [(BO, "message_sent")]
    assert b"ana.secret" not in held(tmp_path)


def test_an_order_that_another_persons_events_name_is_not_one_persons(kept, plain):
    both = [
        record(n, "order_placed", subject=n_, scopes=[about(ORDER)])
        for n, n_ in ((1, ANA), (2, BO))
    ]
    sync(kept, SCHEMA, *both, bare(3, "payment_failed", ORDER))
    assert forget()["items"] == 0
    assert types(kept, ORDER) == ["order_placed", "payment_failed"]


def test_of_an_event_about_several_items_only_the_rest_is_kept(kept, plain, tmp_path):
    other = "desk_ticket:55005500"
    merged = bare(3, "ticket_solved", TICKET, other)
    sync(kept, SCHEMA, of(1, TICKET, subject=ANA), of(2, other, PRODUCT, subject=BO), merged)
    assert forget()["events_redacted"] == 1
    assert b"88004711" not in held(tmp_path)
    sync(kept, SCHEMA, merged)
    assert json.loads(kept.ask("select scopes from events where source_key = '3'")[0][0]) == [
        about(other) | {"role": "primary"}
    ]


def test_journeys_of_an_account_with_the_item_go_too(kept, tmp_path, told, monkeypatch):
    """A member's own laptop: with journeys per item the company has one of it."""
    monkeypatch.chdir(tmp_path)
    settings = {
        "destinations": {"webhook": {"url": told.url, "rows": "both"}},
        "stage_model": {"defaults": {"grain_after_purchase": "item"}},
    }
    (tmp_path / "config.json").write_text(json.dumps({"store": f"sqlite:///{kept}"} | settings))
    sync(
        kept,
        SCHEMA,
        record(1, "account_joined", subject=ANA, account=ACME, scopes=[]),
        of(2, TICKET, PRODUCT, subject=ANA),
        bare(3, "order_delivered", TICKET),
        record(4, subject=BO, account=ACME),
        **settings,
    )
    assert sorted(json.loads(key)[0] for key in told.records) == [ACME, ACME, ANA, BO]
    receipt = forget()
    assert receipt["deletes"] == {"webhook": 2}
    assert sorted(json.loads(key)[0] for key in told.records) == [ACME, BO]
    assert b"88004711" not in held(tmp_path)


def test_an_id_that_begins_like_another_is_not_mistaken_for_it(kept, plain):
    longer = [record(1, subject=CONTACT), record(2, subject=f"{CONTACT}2")]
    sync(kept, SCHEMA, *longer)
    assert set(forget(CONTACT)["found"].values()) == {0}
    assert kept.ask("select subject from events") == [(f"{CONTACT}2",)]


@pytest.mark.parametrize(
    ("said", "kept_of_it"),
    [
        ("https://a.test/?from=ana.secret@acme.test&n=1", "https://a.test/?from=[forgotten]&n=1"),
        ("https://a.test/?cid=4711.1767000137", "https://a.test/?cid=[forgotten]"),
        ('["crm_contact:501","77"]', '["[forgotten]","77"]'),
        ("Call crm_contact:501. Not crm_contact:5012", "Call [forgotten]. Not crm_contact:5012"),
        ("see desk_ticket:88004711, 88004711!", "see [forgotten], [forgotten]!"),
        ("not88004711 880047112", "not88004711 880047112"),
    ],
)
def test_ids_inside_what_others_say_are_blotted_out(said, kept_of_it, kept, plain):
    note = record(9, subject=BO, properties={"note": said}, source_key=said)
    sync(kept, *HISTORY[:7], note)
    assert set(forget()["found"].values()) == {0}
    what = "select json_extract(properties, '$.note'), source_key from events where subject = ?"
    assert kept.ask(what, BO) == [(kept_of_it, kept_of_it)]


def test_what_is_left_is_found(kept, plain, tmp_path, monkeypatch):
    """The proof is worth nothing unless it fails where something stays."""
    monkeypatch.setattr("target_journeys.forgotten.ADDRESS", __import__("re").compile("(?!)"))
    note = {"note": "ask ana.secret@acme.test."}
    sync(kept, SCHEMA, record(1, subject=ANA), record(2, subject=BO, properties=note))
    done = CliRunner().invoke(main, ["forget", ANA])
    assert (done.exit_code, "journeys.db: still holds an id" in done.output) == (1, True)
