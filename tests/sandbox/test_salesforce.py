"""The sandbox's Salesforce behaves as the contract says: logins, SOQL, pages, limits, writes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests

from tests.pipes import SHARED
from tests.sandbox.salesforce import JWT, Salesforce
from tests.sandbox.salesforce_api import VERSION, Api
from tests.sandbox.salesforce_objects import OBJECTS

WINDOW = {"start": "2026-02-01T00:00:00+00:00", "end": "2026-03-02T00:00:00+00:00"}
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-client-secret"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "sandbox-salesforce-refresh"} | CLIENT


@pytest.fixture
def three(salesforce: Salesforce) -> list[str]:
    """Three accounts, changed on three days."""
    ids = []
    for day, name in enumerate(("O'Neill", "Acme", "Über AG"), 1):
        stamp = f"2026-01-0{day}T10:00:00Z"
        salaries: Any = {"AnnualRevenue": 1000.0 * day} if day > 1 else {}
        ids.append(
            salesforce.world.add("Account", Name=name, SystemModstamp=stamp, Type="X", **salaries)
        )
    return ids


# -- logins --------------------------------------------------------------------------------------


def assertion(**changed: Any) -> str:
    claims = {"iss": "sandbox-client", "sub": "admin@sandbox.test", "aud": "x", "exp": 4e9}
    parts = [{"alg": "RS256"}, claims | changed]
    coded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*coded, "c2ln"])


@pytest.mark.parametrize(
    "form",
    [REFRESH, {"grant_type": "client_credentials"} | CLIENT, {"grant_type": JWT, "assertion": ""}],
    ids=["refresh", "client credentials", "jwt"],
)
def test_every_login_opens_a_session_at_the_sandbox(salesforce: Salesforce, form: Any) -> None:
    form = form | ({"assertion": assertion()} if "assertion" in form else {})
    said = requests.post(f"{salesforce.url}/services/oauth2/token", data=form).json()
    assert said["instance_url"] == salesforce.url and "refresh_token" not in said
    head = {"Authorization": f"Bearer {said['access_token']}"}
    answer = requests.get(f"{said['instance_url']}{VERSION}/limits", headers=head)
    assert answer.json()["DailyApiRequests"]["Max"] == 100_000
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/100000"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (REFRESH | {"refresh_token": "old"}, "invalid_grant"),
        (REFRESH | {"client_id": "other"}, "invalid_client_id"),
        (REFRESH | {"client_secret": "other"}, "invalid_client"),
        (CLIENT | {"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": JWT, "assertion": assertion(exp=1)}, "invalid_grant"),
        ({"grant_type": JWT, "assertion": assertion(iss="other")}, "invalid_grant"),
        ({"grant_type": JWT, "assertion": "not.a.token"}, "invalid_grant"),
    ],
)
def test_a_wrong_login_is_refused_in_oauth_words(
    salesforce: Salesforce, form: Any, error: str
) -> None:
    answer = requests.post(f"{salesforce.url}/services/oauth2/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_rotated_refresh_token_ends_the_old_one(salesforce: Salesforce) -> None:
    salesforce.rotates = True
    url = f"{salesforce.url}/services/oauth2/token"
    fresh = requests.post(url, data=REFRESH).json()["refresh_token"]
    assert requests.post(url, data=REFRESH).json()["error"] == "invalid_grant"
    assert requests.post(url, data=REFRESH | {"refresh_token": fresh}).ok


def test_a_session_ends_by_the_clock_or_at_once(salesforce: Salesforce, api: Api) -> None:
    salesforce.session_s = 900
    api.http.headers["Authorization"] = f"Bearer {salesforce.new_session()}"
    assert api.send("GET", "limits").ok
    salesforce.clock.advance(900)
    answer = api.send("GET", "limits")
    assert answer.status_code == 401 and answer.json()[0]["errorCode"] == "INVALID_SESSION_ID"
    salesforce.expire_sessions()
    api.http.headers["Authorization"] = "Bearer sandbox-salesforce-session"
    assert api.send("GET", "limits").status_code == 401


# -- describe ------------------------------------------------------------------------------------


def test_describe_knows_standard_and_custom_fields(salesforce: Salesforce, api: Api) -> None:
    salesforce.world.add_field("Opportunity", "Product__c>Product2")
    salesforce.world.add_object("Journey_Stage__c", "Stage__c!")
    salesforce.world.add_field("Journey_Stage__c", "Journey_Key__c", external_id=True)
    names = [one["name"] for one in api.send("GET", "sobjects").json()["sobjects"]]
    assert {"Lead", "OpportunityHistory", "Journey_Stage__c"} <= set(names)
    deal = api.send("GET", "sobjects/Opportunity/describe").json()
    fields = {field["name"]: field for field in deal["fields"]}
    assert fields["Amount"]["type"] == "currency" and fields["CloseDate"]["type"] == "date"
    assert fields["Product__c"]["relationshipName"] == "Product__r"
    stage = api.send("GET", "sobjects/Journey_Stage__c/describe").json()["fields"]
    (key,) = [field for field in stage if field["externalId"]]
    assert key["name"] == "Journey_Key__c" and not fields["Name"]["nillable"]
    assert api.send("GET", "sobjects/Nothing/describe").json()[0]["errorCode"] == "NOT_FOUND"


@pytest.mark.parametrize("name", ["Account", "Contact"])
def test_describe_is_shaped_as_recorded(api: Api, name: str) -> None:
    recorded = sorted((SHARED / "fixtures/salesforce").glob(f"*/GET_*-{name}-describe_200.json"))
    if not recorded:
        pytest.skip("needs the recorded answers")
    theirs = json.loads(recorded[0].read_text())[0]["response"]
    ours = api.send("GET", f"sobjects/{name}/describe").json()
    assert not theirs.keys() - ours.keys()
    assert all(field.keys() == theirs["fields"][0].keys() for field in ours["fields"])
    listed = {field["name"]: field for field in theirs["fields"]}
    of_our_own = {word.split(":")[0].split(">")[0].rstrip("!") for word in OBJECTS[name].split()}
    for field in ours["fields"]:
        if field["name"] in of_our_own & listed.keys():
            for key in ("type", "soapType", "referenceTo", "relationshipName"):
                assert field[key] == listed[field["name"]][key], field["name"]


def test_an_object_without_permission_is_not_there(salesforce: Salesforce, api: Api) -> None:
    salesforce.faults.missing_scopes = {"Case"}
    assert "Case" not in [one["name"] for one in api.send("GET", "sobjects").json()["sobjects"]]
    assert api.query("SELECT Id FROM Case").json()[0]["errorCode"] == "INVALID_TYPE"
    assert api.send("GET", "sobjects/Case/describe").status_code == 404


# -- SOQL ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (r"Name = 'O\'Neill'", ["O'Neill"]),
        ("name = 'ACME'", ["Acme"]),
        ("Name != 'Acme'", ["O'Neill", "Über AG"]),
        ("AnnualRevenue != 2000", ["O'Neill", "Über AG"]),
        ("AnnualRevenue = null", ["O'Neill"]),
        ("AnnualRevenue > 2000.5", ["Über AG"]),
        ("Name IN ('Acme', 'Über AG')", ["Acme", "Über AG"]),
        ("Name NOT IN ('Acme')", ["O'Neill", "Über AG"]),
        ("Name LIKE '%e%'", ["O'Neill", "Acme", "Über AG"]),
        ("Name LIKE 'acm_'", ["Acme"]),
        ("NOT Name LIKE 'acm_'", ["O'Neill", "Über AG"]),
        ("SystemModstamp >= 2026-01-02T10:00:00Z", ["Acme", "Über AG"]),
        ("SystemModstamp < 2026-01-02T11:00:00+01:00", ["O'Neill"]),
        (
            "SystemModstamp > 2026-01-01T10:00:00Z AND (Name = 'Acme' OR Name LIKE 'Ü%')",
            ["Acme", "Über AG"],
        ),
        ("IsDeleted = true", []),
        ("Type = 'x' ORDER BY SystemModstamp DESC, Id LIMIT 2", ["Über AG", "Acme"]),
        ("Type = 'x' ORDER BY AnnualRevenue DESC NULLS LAST", ["Über AG", "Acme", "O'Neill"]),
        ("Type = 'x' ORDER BY AnnualRevenue", ["O'Neill", "Acme", "Über AG"]),
        ("Type = 'x' ORDER BY SystemModstamp LIMIT 1 OFFSET 1", ["Acme"]),
    ],
)
def test_soql_finds(api: Api, three: list[str], where: str, names: list[str]) -> None:
    assert api.column(f"SELECT Name FROM Account WHERE {where}") == names


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Nope = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Account ORDER BY Nope", "INVALID_FIELD"),
        ("SELECT Other.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Name = 3", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT * FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b' AND Type = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a", "MALFORMED_QUERY"),
        (
            "SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01T00:00:00 00:00",
            "MALFORMED_QUERY",
        ),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_soql_refuses(api: Api, three: list[str], text: str, code: str) -> None:
    answer = api.query(text)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_a_contact_is_read_with_its_account(salesforce: Salesforce, api: Api, three: Any) -> None:
    salesforce.world.add("Contact", LastName="Ana", AccountId=three[1][:15])
    salesforce.world.add("Contact", LastName="Bo")
    found = "SELECT Name, account.name, Account.Parent.Name FROM Contact ORDER BY Name"
    ana, bo = api.query(found).json()["records"]
    assert ana["Account"]["Name"] == "Acme" and ana["Account"]["attributes"]["type"] == "Account"
    assert ana["Account"]["Parent"] is None and bo["Account"] is None
    assert api.column("SELECT Name FROM Contact WHERE Account.Name = 'Acme'") == ["Ana"]
    assert api.column(f"SELECT Name FROM Contact WHERE AccountId = '{three[1][:15]}'") == ["Ana"]


def test_rows_are_counted_without_being_read(api: Api, three: list[str]) -> None:
    count = api.query("SELECT COUNT() FROM Account WHERE AnnualRevenue > 0").json()
    assert count == {"totalSize": 2, "done": True, "records": []}
    (most,) = api.query("SELECT COUNT(Id), MAX(SystemModstamp) m FROM Account").json()["records"]
    assert (most["expr0"], most["m"]) == (3, "2026-01-03T10:00:00.000+0000")


# -- pages ---------------------------------------------------------------------------------------


def test_pages_follow_until_done(salesforce: Salesforce, api: Api) -> None:
    for number in range(450):
        salesforce.world.add("Lead", LastName=f"L{number}", Company="C")
    options = {"Sforce-Query-Options": "batchSize=200"}
    page = api.query("SELECT Id FROM Lead", headers=options).json()
    sizes, seen = [], set()
    while True:
        sizes.append(len(page["records"]))
        seen |= {row["Id"] for row in page["records"]}
        assert page["totalSize"] == 450
        if page["done"]:
            break
        page = api.http.get(api.url + page["nextRecordsUrl"]).json()
    assert sizes == [200, 200, 50] and len(seen) == 450


def test_a_lost_cursor_says_so(salesforce: Salesforce, api: Api, three: list[str]) -> None:
    salesforce.page_rows, salesforce.open_cursors = 1, 2
    links = [api.query("SELECT Id FROM Account").json()["nextRecordsUrl"] for _ in range(3)]
    codes = [api.http.get(api.url + link).status_code for link in links]
    assert codes == [400, 200, 200]
    salesforce.lose_cursors()
    lost = api.http.get(api.url + links[2]).json()
    assert lost[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_deleted_rows_are_seen_by_query_all_only(
    salesforce: Salesforce, api: Api, three: list[str]
) -> None:
    deal = {"Name": "D", "StageName": "Prospecting", "CloseDate": "2026-05-01"}
    key = salesforce.world.add("Opportunity", **deal)
    salesforce.world.add("OpportunityLineItem", OpportunityId=key, Quantity=2, Name="X1")
    salesforce.world.delete("Opportunity", key)
    text = "SELECT Name FROM OpportunityLineItem"
    assert api.column(text) == [] and api.column(text, every=True) == ["X1"]
    slashed = api.send("GET", "queryAll/", params={"q": f"{text} WHERE IsDeleted = true"})
    assert slashed.json()["totalSize"] == 1
    salesforce.world.delete("Account", three[0])
    gone = api.send("GET", "sobjects/Account/deleted/", params=WINDOW).json()
    assert [row["id"] for row in gone["deletedRecords"]] == [three[0]]
    salesforce.world.purge("Account", three[0])
    assert len(api.column("SELECT Name FROM Account", every=True)) == 2


def test_a_row_may_be_committed_late(salesforce: Salesforce, api: Api, three: list[str]) -> None:
    after = "SELECT Name FROM Account WHERE SystemModstamp >= {} ORDER BY SystemModstamp, Id"
    assert api.column(after.format("2026-01-03T10:00:00Z")) == ["Über AG"]
    salesforce.world.add("Account", Name="Late", SystemModstamp="2026-01-03T09:59:00Z")
    assert api.column(after.format("2026-01-03T10:00:00Z")) == ["Über AG"]
    assert api.column(after.format("2026-01-03T09:50:00Z")) == ["Late", "Über AG"]


def test_the_organisation_keeps_history_itself(salesforce: Salesforce, api: Api) -> None:
    world, clock = salesforce.world, salesforce.clock
    deal = {"Name": "D", "StageName": "Prospecting", "CloseDate": "2026-05-01"}
    key = world.add("Opportunity", **deal)
    clock.advance(60)
    world.add("OpportunityLineItem", OpportunityId=key, Quantity=1)
    world.change("Opportunity", key, Name="E")
    clock.advance(60)
    world.change("Opportunity", key, StageName="Closed Won")
    row = api.query("SELECT IsWon, SystemModstamp FROM Opportunity").json()["records"][0]
    assert (row["IsWon"], row["SystemModstamp"]) == (True, "2026-03-01T00:02:00.000+0000")
    stages = "SELECT StageName FROM OpportunityHistory ORDER BY CreatedDate"
    assert api.column(stages, "StageName") == ["Prospecting", "Closed Won"]
    history = api.query("SELECT Field, OldValue, NewValue FROM OpportunityFieldHistory").json()
    assert [row["NewValue"] for row in history["records"]] == ["Closed Won"]


def test_a_merge_names_its_winner_and_moves_what_hung_on_it(
    salesforce: Salesforce, api: Api, three: list[str]
) -> None:
    ana = salesforce.world.add("Contact", LastName="Ana", AccountId=three[0])
    salesforce.world.merge("Account", three[1], three[0])
    lost = api.query("SELECT MasterRecordId FROM Account WHERE IsDeleted = true", every=True)
    assert [row["MasterRecordId"] for row in lost.json()["records"]] == [three[1]]
    assert api.send("GET", f"sobjects/Contact/{ana}").json()["AccountId"] == three[1]
    changed = api.send("GET", "sobjects/Contact/updated", params=WINDOW).json()
    assert changed["ids"] == [ana]


def test_a_converted_lead_names_what_it_became(
    salesforce: Salesforce, api: Api, three: list[str]
) -> None:
    lead = salesforce.world.add("Lead", LastName="Ana", Company="Acme")
    ana = salesforce.world.add("Contact", LastName="Ana", AccountId=three[1])
    salesforce.world.convert(lead, contact=ana, account=three[1])
    row = api.send("GET", f"sobjects/Lead/{lead}").json()
    assert (row["IsConverted"], row["ConvertedDate"]) == (True, "2026-03-01")
    assert (row["ConvertedContactId"], row["ConvertedOpportunityId"]) == (ana, None)


def test_a_field_may_vanish(salesforce: Salesforce, api: Api, three: list[str]) -> None:
    text = "SELECT Industry FROM Account"
    assert api.query(text).ok
    salesforce.world.hide_field("Account", "Industry")
    assert "No such column 'Industry'" in api.query(text).json()[0]["message"]
    told = api.send("GET", "sobjects/Account/describe").json()["fields"]
    assert "Industry" not in [field["name"] for field in told]


# -- limits and faults ---------------------------------------------------------------------------


def test_the_day_has_a_limit(salesforce: Salesforce, api: Api) -> None:
    salesforce.limits["daily"].limit = 2
    answers = [api.send("GET", "sobjects") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 403]
    assert answers[2].json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert [one.headers["Sforce-Limit-Info"] for one in answers[1:]] == ["api-usage=2/2"] * 2
    assert requests.post(f"{salesforce.url}/services/oauth2/token", data=REFRESH).ok


def test_an_address_may_be_too_long(api: Api) -> None:
    assert api.query("SELECT Id FROM Account WHERE Name = '" + "a" * 17_000).status_code == 414
    near = "SELECT Id FROM Account WHERE Name = '" + "a" * 12_000 + "'"
    assert api.query(near).status_code == 200
    assert api.query(near, headers={"X-More": "b" * 5_000}).status_code == 431


def test_a_large_query_times_out(salesforce: Salesforce, api: Api) -> None:
    for number in range(3):
        salesforce.world.add("Lead", LastName=str(number), Company="C")
    salesforce.timeout_rows = 2
    assert api.query("SELECT Id FROM Lead").json()[0]["errorCode"] == "QUERY_TIMEOUT"
    assert api.query("SELECT Id FROM Lead LIMIT 2").ok


def test_a_large_query_needs_the_permission_to_view_all(
    salesforce: Salesforce, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sandbox.salesforce_reads.SHARED_ROWS", 2)
    for number in range(3):
        salesforce.world.add("Lead", LastName=str(number), Company="C")
    assert api.query("SELECT Id FROM Lead").ok
    salesforce.views_all_data = False
    assert api.query("SELECT Id FROM Lead").json()[0]["errorCode"] == "OPERATION_TOO_LARGE"


def test_an_expired_session_is_a_fault_that_a_login_cures(salesforce: Salesforce, api: Api) -> None:
    salesforce.faults.expired_share = 1.0
    assert api.send("GET", "limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
    salesforce.faults.expired_share = 0.0
    assert api.send("GET", "limits").status_code == 401
    said = requests.post(f"{salesforce.url}/services/oauth2/token", data=REFRESH).json()
    api.http.headers["Authorization"] = f"Bearer {said['access_token']}"
    assert api.send("GET", "limits").ok


def test_faults_cost_a_patient_client_no_row(salesforce: Salesforce, api: Api) -> None:
    """Errors, resets, halved bodies and lost sessions on the way through pages."""
    mails = [f"{number}@x.test" for number in range(40)]
    for mail in mails:
        salesforce.world.add("Lead", LastName="L", Company="C", Email=mail)
    salesforce.page_rows, faults = 2, salesforce.faults
    faults.error_share = faults.reset_share = faults.cut_share = 0.1
    faults.truncated_share = faults.expired_share = 0.1
    faults.error_statuses = (420, 500, 503)
    link, seen = f"{VERSION}/query?q=SELECT+Email+FROM+Lead", []
    while link:
        try:
            answer = api.http.get(api.url + link)
            page = answer.json()
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, ValueError):
            continue
        if answer.status_code == 401:
            api.http.headers["Authorization"] = f"Bearer {salesforce.new_session()}"
        if answer.ok:
            seen += [row["Email"] for row in page["records"]]
            link = page.get("nextRecordsUrl", "")
    assert seen == mails
    assert set(faults.happened) == {"error", "reset", "cut", "truncated", "expired"}
