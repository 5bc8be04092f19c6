"""Salesforce as a destination, against the sandbox: an outcome per row, jobs that outlive a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from target_journeys import sending
from target_journeys.cli import main
from target_journeys.destinations.salesforce import Salesforce as Destination
from tests.sandbox.salesforce import Salesforce
from tests.sandbox.server import Sandbox
from tests.target.messages import SCHEMA, lines, record, sync
from tests.target.salesforce_metadata import OBJECT, deploy
from tests.target.vendors import storm

ANA = "email:ana@acme.test"
LOAD = {"bulk_from": 20}


@pytest.fixture
def bare() -> Iterator[Salesforce]:
    with Sandbox("salesforce") as sandbox:
        yield sandbox.salesforce


@pytest.fixture
def salesforce(bare: Salesforce) -> Salesforce:
    deploy(bare.world)
    return bare


def settings(salesforce: Salesforce, **more: Any) -> dict[str, Any]:
    client, secret = next(iter(salesforce.clients.items()))
    login = {"client_id": client, "client_secret": secret, "base_url": salesforce.url}
    return {"salesforce": login | more}


def viewed(number: int, name: str, **more: Any) -> dict[str, Any]:
    return record(number, scopes=[{"grain": "product", "id": name}], **more)


def many(count: int) -> list[dict[str, Any]]:
    return [viewed(n, f"P{n:03}") for n in range(count)]


def journeys(salesforce: Salesforce) -> dict[str, dict[str, Any]]:
    return {row["Journey_Key__c"]: row for row in salesforce.world.visible(OBJECT)}


def lacking(salesforce: Salesforce, folder: Any, *options: str) -> str:
    """What `journeys check` says of the destination."""
    path = folder / "config.json"
    config = {"store": f"sqlite:///{folder}/j.db", "destinations": settings(salesforce)}
    path.write_text(json.dumps(config))
    done = CliRunner().invoke(main, ["check", *options, "--config", str(path)])
    return "\n".join(line for line in done.output.splitlines() if "salesforce: " in line)


def test_what_is_missing_is_said_with_the_command_that_deploys_it(bare, tmp_path):
    said = lacking(bare, tmp_path, "--create", "--yes")  # which cannot
    assert f"lacks object '{OBJECT}' with" in said and "sf project deploy start" in said
    deploy(bare.world)
    assert lacking(bare, tmp_path) == ""
    bare.world.hide_field(OBJECT, "Stage__c")
    assert f"lacks field 'Stage__c' of '{OBJECT}'" in lacking(bare, tmp_path)


def test_a_journey_is_a_row_of_its_contact_and_account(salesforce, kept):
    account = salesforce.world.add("Account", Name="Acme")
    contact = salesforce.world.add("Contact", LastName="Solberg", AccountId=account)
    link = {"linked": f"salesforce_contact:{contact}"}
    events = [
        record(1, "order_placed", account=f"salesforce_account:{account}"),
        record(2, "identity_linked", scopes=[], properties=link),
        record(3, subject="email:b@x.test"),
    ]
    target = sync(kept, SCHEMA, *events, destinations=settings(salesforce))
    assert target.sent.summary() == "3 sent, 0 waiting, 0 refused"  # two people, one account
    found = journeys(salesforce)
    row = found[f"{ANA}|product|P|1"]
    assert (row["Stage__c"], row["Is_Correction__c"]) == ("receiving", False)
    assert (row["Linked_Contact__c"], row["Linked_Account__c"]) == (contact, account)
    own = found[f"salesforce_account:{account}|product|P|1"]
    assert (own["Linked_Contact__c"], own["Linked_Account__c"]) == (None, account)
    assert (own["Team_Members__c"], own["Team_Roles_Missing__c"]) == (1.0, None)
    requests = len(salesforce.log)
    assert sync(kept, SCHEMA, *events, destinations=settings(salesforce)).sent.sent == 0
    assert len(salesforce.log) == requests


def test_a_person_is_found_by_an_external_id_of_your_own(salesforce, kept):
    salesforce.world.add_field("Contact", "Customer_Key__c", external_id=True)
    contact = salesforce.world.add("Contact", LastName="Solberg", Customer_Key__c="C-9")
    keys = {"customer": "Contact.Customer_Key__c"}
    event = record(1, subject="customer:C-9")
    sync(kept, SCHEMA, event, destinations=settings(salesforce, external_ids=keys, bulk="never"))
    assert journeys(salesforce)["customer:C-9|product|P|1"]["Linked_Contact__c"] == contact


def test_one_bad_row_is_refused_in_the_vendors_words_and_the_others_are_written(salesforce, kept):
    def rule(_: str, before: Any, row: dict[str, Any]) -> str | None:
        return "not this one" if row.get("Scope_Id__c") == "two" else None

    salesforce.validation_rules.append(rule)
    messages = [viewed(n, name) for n, name in enumerate(("one", "two", "three"))]
    target = sync(kept, SCHEMA, *messages, destinations=settings(salesforce))
    assert (target.sent.sent, target.sent.refused) == (2, 1)
    ((key, answer),) = kept.ask("select record_key, answer from outbox where status = 'refused'")
    assert "two" in key and answer == "FIELD_CUSTOM_VALIDATION_EXCEPTION: not this one"
    assert len(list(salesforce.requests("composite"))) == 1


def test_a_locked_row_waits_and_is_written_later(salesforce, kept, watch):
    salesforce.row_locks[f"{ANA}|product|P001|1"] = 2
    target = sync(kept, SCHEMA, *many(3), destinations=settings(salesforce))
    assert (target.sent.sent, target.sent.waiting) == (3, 0)
    assert kept.ask("select max(attempts) from outbox") == [(3,)]


def test_an_organisation_without_the_object_stops_the_sending_and_says_why(bare, kept, caplog):
    target = sync(kept, SCHEMA, *many(5), destinations=settings(bare))
    assert (target.sent.waiting, target.exit_code) == (5, 3)
    assert "HTTP 404 NOT_FOUND; `journeys check` says" in caplog.text
    assert len(list(bare.requests("composite"))) == 1


def test_what_ceases_to_exist_is_deleted_once_and_twice_is_no_harm(salesforce, kept):
    sync(kept, SCHEMA, record(1), destinations=settings(salesforce))
    correction = record(2, "record_corrected", supersedes=f"{1:032x}")
    assert sync(kept, SCHEMA, correction, destinations=settings(salesforce)).sent.sent == 1
    assert journeys(salesforce) == {}
    sync(kept, SCHEMA, record(3), destinations=settings(salesforce))
    (row,) = journeys(salesforce).values()
    salesforce.world.delete(OBJECT, row["Id"])  # by somebody else
    again = record(4, "record_corrected", supersedes=f"{3:032x}")
    assert (
        sync(kept, SCHEMA, again, destinations=settings(salesforce))
        .sent.summary()
        .startswith("1 sent, 0 waiting")
    )


def test_the_daily_limit_stops_for_later_runs_too(salesforce, kept, watch):
    salesforce.faults.daily_limit_reached = True
    target = sync(kept, SCHEMA, record(1), destinations=settings(salesforce))
    assert (target.sent.waiting, watch.slept_s) == (1, 0)
    salesforce.faults.daily_limit_reached = False
    assert sync(kept, destinations=settings(salesforce)).sent.waiting == 1
    watch.sleep(3601)
    assert sync(kept, destinations=settings(salesforce)).sent.sent == 1
    assert kept.ask("select attempts from outbox") == [(1,)]


def test_a_session_that_ends_is_renewed_and_a_login_that_fails_stops(salesforce, kept, caplog):
    salesforce.faults.at_request(2, salesforce.expire_sessions)
    assert sync(kept, SCHEMA, record(1), destinations=settings(salesforce)).sent.sent == 1
    assert len(list(salesforce.requests("oauth2"))) == 2
    wrong = settings(salesforce, client_secret="planted-secret")
    target = sync(kept, SCHEMA, record(2, "order_placed"), destinations=wrong)
    assert target.sent.waiting == 1
    assert "the login was answered HTTP 400 invalid_client; renew" in caplog.text
    pasted = {"access_token": "planted-session", "base_url": salesforce.url}
    assert sync(kept, destinations={"salesforce": pasted}).sent.waiting == 1
    assert "HTTP 401 INVALID_SESSION_ID; renew" in caplog.text
    assert "planted" not in caplog.text and "ana@" not in caplog.text


def merged(salesforce: Salesforce) -> tuple[str, str]:
    """A contact that is gone for good, and the one that it was merged into."""
    ids = [salesforce.world.add("Contact", LastName=name) for name in ("Loser", "Winner")]
    salesforce.world.purge("Contact", ids[0])
    return ids[0], ids[1]


@pytest.mark.parametrize("load", [{"bulk": "never"}, {"bulk": "always"}], ids=["rows", "job"])
def test_a_person_of_a_merged_contact_is_related_to_the_one_that_is_left(
    salesforce, kept, watch, load
):
    loser, winner = merged(salesforce)
    account = salesforce.world.add("Account", Name="Acme")
    join = [
        record(n, "identity_linked", scopes=[], properties={"linked": f"salesforce_contact:{each}"})
        for n, each in enumerate((loser, winner))
    ]
    event = record(3, account=f"salesforce_account:{account}")
    target = sync(kept, SCHEMA, *join, event, destinations=settings(salesforce, **load))
    assert target.sent.summary() == "2 sent, 0 waiting, 0 refused"
    row = journeys(salesforce)[f"{ANA}|product|P|1"]
    assert (row["Linked_Contact__c"], row["Linked_Account__c"]) == (winner, account)


def test_a_row_is_written_and_refused_where_nobody_is_left_to_relate_it_to(salesforce, kept):
    loser, _ = merged(salesforce)
    link = {"linked": f"salesforce_contact:{loser}"}
    events = [record(1, "identity_linked", scopes=[], properties=link), record(2)]
    target = sync(kept, SCHEMA, *events, destinations=settings(salesforce))
    assert (target.sent.refused, target.exit_code) == (1, 3)
    assert journeys(salesforce)[f"{ANA}|product|P|1"]["Stage__c"] == "considering"
    ((answer,),) = kept.ask("select answer from outbox")
    assert answer.startswith("written, but not related: INVALID_CROSS_REFERENCE_KEY")


# -- jobs ------------------------------------------------------------------------------------------


def test_a_first_load_is_one_job_and_each_of_its_rows_has_its_outcome(salesforce, kept, watch):
    salesforce.validation_rules.append(
        lambda _, before, row: "not this one" if row.get("Scope_Id__c") == "P007" else None
    )
    salesforce.row_locks[f"{ANA}|product|P009|1"] = 1
    salesforce.job_polls = 2
    target = sync(kept, SCHEMA, *many(30), destinations=settings(salesforce, **LOAD))
    assert (target.sent.sent, target.sent.waiting, target.sent.refused) == (29, 0, 1)
    assert len([each for each in salesforce.requests("jobs/ingest") if each.method == "PUT"]) == 1
    assert len(list(salesforce.requests("composite"))) == 1  # the one that was locked
    found = journeys(salesforce)
    assert len(found) == 29
    one = found[f"{ANA}|product|P008|1"]
    assert (one["Outcome__c"], one["Disagreement__c"]) == (None, False)
    assert one["Stage_Entered_At__c"].isoformat() == "2026-01-01T08:00:00+00:00"
    ((key, answer),) = kept.ask("select record_key, answer from outbox where status = 'refused'")
    assert "P007" in key and answer.startswith("FIELD_CUSTOM_VALIDATION_EXCEPTION: not this one")


def test_what_changes_while_a_job_has_it_is_told_when_the_job_is_done(salesforce, kept, watch):
    salesforce.job_polls = 10_000
    own = settings(salesforce, **LOAD)
    assert sync(kept, SCHEMA, *many(20), destinations=own).sent.waiting == 20
    changed = viewed(40, "P003", event_type="order_placed")
    assert sync(kept, SCHEMA, changed, destinations=own).sent.waiting == 20
    for job in salesforce.jobs.values():
        job.polls = 0
    watch.sleep(60)
    assert sync(kept, destinations=own).sent.waiting == 0
    assert journeys(salesforce)[f"{ANA}|product|P003|1"]["Stage__c"] == "receiving"
    assert len([each for each in salesforce.requests("jobs/ingest") if each.method == "PUT"]) == 1


def test_a_job_that_fails_for_good_refuses_its_rows_and_one_that_is_gone_tells_them_again(
    salesforce, kept, watch
):
    own = settings(salesforce, **LOAD)
    salesforce.job_failures.append("InvalidBatch : Field name not found : Stage__c")
    target = sync(kept, SCHEMA, *many(20), destinations=own)
    assert target.sent.refused == 20
    assert kept.ask("select distinct answer from outbox") == [
        ("InvalidBatch : Field name not found : Stage__c",)
    ]
    salesforce.job_polls = 10_000
    later = [viewed(50 + n, f"Q{n}") for n in range(20)]
    assert sync(kept, SCHEMA, *later, destinations=own).sent.waiting == 20
    salesforce.jobs.clear()
    salesforce.job_polls = 0
    watch.sleep(60)
    assert sync(kept, destinations=own).sent.waiting == 0
    assert len(journeys(salesforce)) == 20


def test_jobs_converge_although_three_requests_of_ten_fail(salesforce, kept, watch, monkeypatch):
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    storm(salesforce, seed=1, slow_ms=600)
    salesforce.faults.expired_share = 0.1
    own = settings(salesforce, **LOAD)
    target = sync(kept, SCHEMA, *many(200), destinations=own)
    later = [viewed(300 + n, f"P{n:03}", event_type="order_placed") for n in range(100)]
    target = sync(kept, SCHEMA, *later, destinations=own)
    for _ in range(20):
        if target.sent.left:
            watch.sleep(600)
            target = sync(kept, destinations=own)
    assert target.sent.left == 0
    found = {row["Scope_Id__c"]: row["Stage__c"] for row in journeys(salesforce).values()}
    assert found == dict(kept.ask("select scope_id, stage from journey_stages"))
    assert any(each.method == "PUT" for each in salesforce.requests("jobs/ingest"))


@pytest.mark.parametrize(
    ("killed_at", "accepted", "uploads"), [(3, False, 2), (5, True, 1)], ids=["upload", "begin"]
)
def test_a_run_that_is_killed_within_a_job_loses_nothing(
    salesforce, kept, tmp_path, watch, killed_at, accepted, uploads
):
    own = settings(salesforce, **LOAD)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"store": f"sqlite:///{kept}", "destinations": own}))
    code = "from target_journeys.target import TargetJourneys; TargetJourneys.cli()"
    run = subprocess.Popen(
        [sys.executable, "-c", code, "--config", str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    # 1 login, 2 the job is opened, 3 its rows, 4 it is asked for, 5 it begins
    salesforce.faults.at_request(killed_at, run.kill)
    run.communicate(lines(SCHEMA, *many(20)))
    assert run.returncode == -signal.SIGKILL
    assert kept.ask("select distinct status, job is not null from outbox") == [("leased", accepted)]
    watch.sleep(400 * 24 * 3600)  # past the lease, which the run took by the real clock
    assert sync(kept, destinations=own).sent.summary() == "20 sent, 0 waiting, 0 refused"
    assert len(journeys(salesforce)) == 20
    puts = [each for each in salesforce.requests("jobs/ingest") if each.method == "PUT"]
    assert len(puts) == uploads


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"access_token": "t"},
        {"client_id": "c"},
        {"client_id": "c", "client_secret": "s"},
        {"access_token": "t", "base_url": "https://x.test", "rows": "both"},
        {"access_token": "t", "base_url": "https://x.test", "external_ids": {"a": "Case.X__c"}},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError):
        Destination.model_validate(wrong)
