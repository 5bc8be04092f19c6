"""With pseudonyms, store and destinations know people by keyed hashes only."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from singer_sdk.exceptions import ConfigValidationError

from target_journeys.cli import main
from target_journeys.settings import read_settings
from tests.receiver import receiver
from tests.target.messages import SCHEMA, record, sync

ANA, BROWSER = "email:ana.secret@acme.test", "ga4_client:4711.1767000137"
SECRET = "a key of thirty-two characters.."
KEPT = {"identity": {"pseudonymous": True, "secret": SECRET}}
TRACES = [b"ana.secret", b"4711.1767000137", b"info@", SECRET.encode()]


def events() -> list[dict]:
    said = {"note": "Ana.Secret@acme.test asked", "who": ANA}
    seen = {"client": BROWSER, "ids": ["4711.1767000137", 7]}
    link = {"linked": BROWSER}
    desk = {"linked": "email:info@acme.test"}
    return [
        SCHEMA,
        record(1, subject=BROWSER, properties=seen),
        record(2, "identity_linked", subject=ANA, scopes=[], properties=link),
        record(3, "cart_added", subject=ANA, properties=said, source_key="ana.secret@acme.test"),
        record(4, "identity_linked", subject=ANA, scopes=[], properties=desk),
        record(5, "order_placed", subject=ANA, account="crm:acme"),
    ]


def test_no_id_is_kept_or_sent(kept, tmp_path):
    with receiver() as told:
        sync(kept, *events(), destinations={"webhook": {"url": told.url}}, **KEPT)
        sent = json.dumps(told.lines).lower().encode()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir()).lower()
    assert not [trace for trace in TRACES if trace in held or trace in sent]


def test_journeys_and_links_are_the_same_as_with_plain_ids(kept, tmp_path):
    plain = type(kept)(tmp_path / "plain.db")
    sync(plain, *events())
    sync(kept, *events(), **KEPT)
    what = "select scope_id, stage, event_count, path from journey_stages order by 1, 3"
    assert kept.ask(what) == plain.ask(what)
    states = "select state, reason, count(*) from links group by 1, 2 order by 1"
    assert kept.ask(states) == plain.ask(states)  # info@ joins nobody, also as a hash
    people = kept.ask("select subject from customers where kind = 'people'")
    assert [subject.partition(":")[0] for (subject,) in people] == ["email"]


def test_an_id_inside_an_event_is_the_same_hash_everywhere(kept):
    sync(kept, *events(), **KEPT)
    ((properties, key),) = kept.ask(
        "select properties, source_key from events where event_type = 'cart_added'"
    )
    ((ana,),) = kept.ask("select subject from events where event_type = 'cart_added'")
    ((browser,),) = kept.ask("select subject from events where event_type = 'product_viewed'")
    said = json.loads(properties)
    assert said["who"] == ana
    assert said["note"] == f"{ana.partition(':')[2]} asked"
    assert key == ana.partition(":")[2]
    assert browser.startswith("ga4_client:")
    assert (
        browser
        == json.loads(kept.ask("select properties from events where source_key = '2'")[0][0])[
            "linked"
        ]
    )


def test_people_ask_by_the_plain_id(kept, tmp_path):
    sync(kept, *events(), **KEPT)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}"} | KEPT))
    for name in (ANA, BROWSER, kept.ask("select subject from events limit 1")[0][0]):
        done = CliRunner().invoke(main, ["explain", name, "--config", str(config)])
        assert (done.exit_code, "Buying" in done.output) == (0, True)
    done = CliRunner().invoke(main, ["forget", ANA, "--json", "--config", str(config)])
    assert json.loads(done.output)["ids"] == 2
    sync(kept, *events(), **KEPT)
    assert kept.ask("select * from customers where kind = 'people'") == []


@pytest.mark.parametrize("other", [{}, {"identity": {"pseudonymous": True, "secret": "x" * 16}}])
def test_a_store_is_not_filled_in_two_ways(kept, other):
    sync(kept, *events(), **KEPT)
    with pytest.raises(ConfigValidationError) as caught:
        sync(kept, *events(), **other)
    assert "filled with another secret" in caught.value.errors[0]
    assert SECRET not in str(caught.value.errors)
    sync(kept, *events(), **KEPT)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"identity": {"pseudonymous": True}}, "needs a secret of 16 characters"),
        ({"identity": {"pseudonymous": True, "secret": "short"}}, "needs a secret of 16"),
        (KEPT | {"accounts": {"email_domain": True}}, "accounts.email_domain needs the addresses"),
    ],
)
def test_settings_that_cannot_work_are_refused(config, message):
    with pytest.raises(ConfigValidationError) as caught:
        read_settings(config)
    assert message in caught.value.errors[0]
    assert "short" not in str(caught.value.errors).replace("shorter", "")
