"""What a destination is told of one row: only who was forgotten is erased, by no other's ids."""

from __future__ import annotations

from target_journeys.deliveries import describe
from target_journeys.destinations.webhook import Webhook
from target_journeys.forgotten import entry
from target_journeys.stores.sqlite import SQLiteStore
from tests.target.messages import SCHEMA, record, sync
from tests.target.watch import START

SALT = b"salt of a store"
WEBHOOK = Webhook.model_validate({"url": "https://cdp.test/", "dry_run": True})


def test_who_is_not_forgotten_is_never_erased_there_although_a_journey_goes(
    kept, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where a dry run writes
    events = [record(1), record(2, subject="email:bo@acme.test"), record(3, account="crm:acme")]
    own = {"url": "https://cdp.test/", "dry_run": True}
    sync(kept, SCHEMA, *events, destinations={"webhook": own})
    store = SQLiteStore(str(kept))
    store.begin()
    store.keep_note("forgotten salt", SALT.hex())
    store.erasure.remember([entry(SALT, "email:ana@acme.test")])
    everybody = '["people",["email:ana@acme.test","crm_contact:7"]]'
    store.connection.execute("update outbox set op = 'erase', about = ?", (everybody,))
    store.connection.execute("delete from customers where subject = 'email:ana@acme.test'")
    store.commit()
    rows = list(store.outbox.waiting("webhook"))
    told = {
        each.delivery.data["subject"]: each.delivery
        for each in describe(store, "webhook", WEBHOOK, rows, START)
    }
    store.close()
    assert {name: each.erased for name, each in told.items()} == {
        "email:ana@acme.test": True,
        "email:bo@acme.test": False,
        "crm:acme": False,
    }
    assert {each.op for each in told.values()} == {"delete"}
    # crm_contact:7 was one of the ids once, and is somebody else's by now
    assert told["email:ana@acme.test"].ids == ("email:ana@acme.test",)
