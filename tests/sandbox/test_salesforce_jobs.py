"""The sandbox's Salesforce takes rows one by one, in collections and in jobs, and reads in jobs."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
import requests

from tests.sandbox.salesforce import Salesforce
from tests.sandbox.salesforce_api import Api

KEY = "Journey_Key__c"
COLLECTION = f"composite/sobjects/Journey_Stage__c/{KEY}"


@pytest.fixture
def stages(salesforce: Salesforce) -> Salesforce:
    """An organisation made ready for stage records."""
    world = salesforce.world
    world.add_object("Journey_Stage__c", "Stage__c! Record_Version__c:double Contact__c>Contact")
    world.add_field("Journey_Stage__c", KEY, external_id=True)
    world.add_field("Contact", "Customer_Key__c", external_id=True)
    world.add("Contact", LastName="Ana", Customer_Key__c="cust-1")
    return salesforce


def row(key: str, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Journey_Stage__c"}, KEY: key, "Stage__c": "using"} | values


def upsert(api: Api, *rows: dict[str, Any], all_or_none: bool = False) -> requests.Response:
    return api.send("PATCH", COLLECTION, json={"allOrNone": all_or_none, "records": rows})


def kept(salesforce: Salesforce) -> dict[str, str]:
    rows = salesforce.world.visible("Journey_Stage__c")
    return {one[KEY]: one["Stage__c"] for one in rows}


def codes(answer: requests.Response) -> list[str]:
    rows = answer.json()
    return ["" if one["success"] else one["errors"][0]["statusCode"] for one in rows]


# -- collections ---------------------------------------------------------------------------------


def test_rows_are_made_and_changed_each_with_its_outcome(stages: Salesforce, api: Api) -> None:
    first = upsert(api, row("a|x"), row("b|x", Stage__c=None), row("c|x", Contact__r={"a": "b"}))
    assert first.status_code == 200
    assert codes(first) == ["", "REQUIRED_FIELD_MISSING", "INVALID_FIELD"]
    assert first.json()[0]["created"] is True
    again = upsert(api, row("a|x", Stage__c="renewing", Contact__r={"Customer_Key__c": "cust-1"}))
    assert again.json()[0]["created"] is False
    assert again.json()[0]["id"] == first.json()[0]["id"]
    assert kept(stages) == {"a|x": "renewing"}
    (contact,) = api.column("SELECT Contact__r.Name FROM Journey_Stage__c", "Contact__r")
    assert contact["Name"] == "Ana"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"Nope__c": 1}, "INVALID_FIELD"),
        ({"Stage__c": "x" * 256}, "STRING_TOO_LONG"),
        ({"Record_Version__c": "many"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
        ({"Contact__r": {"Customer_Key__c": "nobody"}}, "INVALID_FIELD"),
        ({"Contact__c": "003000000000000AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"IsDeleted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({KEY: None}, "MISSING_ARGUMENT"),
    ],
)
def test_a_wrong_row_leaves_the_others(
    stages: Salesforce, api: Api, values: dict[str, Any], code: str
) -> None:
    assert codes(upsert(api, row("a"), row("b", **values), row("c"))) == ["", code, ""]
    assert list(kept(stages)) == ["a", "c"]


def test_all_or_none_writes_none(stages: Salesforce, api: Api) -> None:
    upsert(api, row("a"))
    answer = upsert(api, row("a", Stage__c="y"), row("b", Stage__c=""), all_or_none=True)
    assert codes(answer) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert kept(stages) == {"a": "using"}


def test_a_key_that_comes_twice_is_refused_twice(stages: Salesforce, api: Api) -> None:
    assert codes(upsert(api, row("a"), row("b"), row("a"))) == [
        "DUPLICATE_VALUE",
        "",
        "DUPLICATE_VALUE",
    ]


def test_a_locked_row_is_written_the_next_time(stages: Salesforce, api: Api) -> None:
    stages.row_locks = {"a": 1}
    assert codes(upsert(api, row("a"), row("b"))) == ["UNABLE_TO_LOCK_ROW", ""]
    assert codes(upsert(api, row("a"))) == [""]


def test_a_validation_rule_refuses_a_stale_row(stages: Salesforce, api: Api) -> None:
    def newer(name: str, before: dict[str, Any] | None, values: dict[str, Any]) -> str | None:
        field = "Record_Version__c"
        stale = before and before[field] > values[field]
        return "a newer version is here" if stale else None

    stages.validation_rules.append(newer)
    assert codes(upsert(api, row("a", Record_Version__c=2))) == [""]
    stale = upsert(api, row("a", Record_Version__c=1))
    assert codes(stale) == ["FIELD_CUSTOM_VALIDATION_EXCEPTION"]


def test_a_collection_has_at_most_200_rows_of_one_type(stages: Salesforce, api: Api) -> None:
    assert upsert(api, *[row(str(n)) for n in range(200)]).status_code == 200
    many = upsert(api, *[row(str(n)) for n in range(201)])
    assert (many.status_code, many.json()[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
    assert upsert(api, row("a", attributes={"type": "Account"})).status_code == 400


def test_rows_are_created_changed_and_deleted_by_id(stages: Salesforce, api: Api) -> None:
    made = api.send("POST", "composite/sobjects", json={"records": [row("a"), row("b")]})
    ids = [one["id"] for one in made.json()]
    change = {"attributes": {"type": "Journey_Stage__c"}, "id": ids[0], "Stage__c": "churned"}
    assert codes(api.send("PATCH", "composite/sobjects", json={"records": [change]})) == [""]
    gone = api.send("DELETE", "composite/sobjects", params={"ids": f"{ids[1]},a00000000000000"})
    assert codes(gone) == ["", "INVALID_CROSS_REFERENCE_KEY"]
    assert kept(stages) == {"a": "churned"}
    again = api.send("DELETE", "composite/sobjects", params={"ids": ids[1]})
    assert codes(again) == ["ENTITY_IS_DELETED"]


def test_one_row_is_written_by_its_external_id(stages: Salesforce, api: Api) -> None:
    path = f"sobjects/Journey_Stage__c/{KEY}/cust-1%7Ccrm"
    assert api.send("PATCH", path, json={"Stage__c": "using"}).status_code == 201
    assert api.send("PATCH", path, json={"Stage__c": "churned"}).json()["created"] is False
    assert api.send("GET", path).json()["Stage__c"] == "churned"
    missing = api.send("PATCH", f"{path}2", json={})
    assert missing.status_code == 400
    assert missing.json()[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    stages.world.add("Journey_Stage__c", Stage__c="x", **{KEY: "cust-1|crm"})
    assert api.send("PATCH", path, json={"Stage__c": "x"}).status_code == 300
    assert api.send("PATCH", "sobjects/Journey_Stage__c/Stage__c/x", json={}).status_code == 400


# -- jobs that write -----------------------------------------------------------------------------


def ingest(api: Api, text: str, **values: str) -> dict[str, Any]:
    """A job from its creation to its end: what it says of itself at the end."""
    asked = {"operation": "upsert", "object": "Journey_Stage__c", "externalIdFieldName": KEY}
    job = api.send("POST", "jobs/ingest", json=asked | values).json()
    assert job["state"] == "Open"
    put = api.http.put(f"{api.url}/{job['contentUrl']}", data=text.encode())
    assert put.status_code == 201
    path = f"jobs/ingest/{job['id']}"
    api.send("PATCH", path, json={"state": "UploadComplete"})
    states = [api.send("GET", path).json() for _ in range(2)]
    assert states[0]["state"] == "InProgress"
    return dict(states[1])


def lines(api: Api, job: dict[str, Any], kind: str) -> list[dict[str, str]]:
    text = api.send("GET", f"jobs/ingest/{job['id']}/{kind}").text
    return list(csv.DictReader(io.StringIO(text)))


def test_a_job_writes_the_good_rows_and_lists_the_others(stages: Salesforce, api: Api) -> None:
    upsert(api, row("old", Record_Version__c=1))
    text = f"{KEY},Stage__c,Record_Version__c,Contact__r.Customer_Key__c\n"
    job = ingest(api, text + "new,using,2.5,cust-1\nbad,using,1,nobody\nold,renewing,#N/A,\n")
    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (
        "JobComplete",
        3,
        1,
    )
    good = lines(api, job, "successfulResults")
    assert [(one[KEY], one["sf__Created"]) for one in good] == [("new", "true"), ("old", "false")]
    (bad,) = lines(api, job, "failedResults")
    assert bad[KEY] == "bad" and bad["sf__Error"].startswith("INVALID_FIELD:")
    assert lines(api, job, "unprocessedrecords") == []
    assert stages.world.by("Journey_Stage__c", KEY, "old")[0]["Record_Version__c"] is None


def test_a_job_with_an_unknown_column_writes_nothing(stages: Salesforce, api: Api) -> None:
    job = ingest(api, f"{KEY},Nope__c\na,b\n")
    assert job["state"] == "Failed" and "Nope__c" in job["errorMessage"]
    assert lines(api, job, "unprocessedrecords") == [{KEY: "a", "Nope__c": "b"}]
    assert kept(stages) == {}


def test_a_job_deletes_by_id(stages: Salesforce, api: Api) -> None:
    key = upsert(api, row("a")).json()[0]["id"]
    job = ingest(api, f"Id\n{key}\n", operation="delete")
    assert job["numberRecordsFailed"] == 0 and kept(stages) == {}


# -- jobs that read ------------------------------------------------------------------------------


def read_job(api: Api, query: str, **values: str) -> requests.Response:
    asked = {"operation": "query", "query": query} | values
    return api.send("POST", "jobs/query", json=asked)


def pages(api: Api, key: str, most: int) -> list[list[dict[str, str]]]:
    found, locator = [], ""
    while locator != "null":
        params = {"maxRecords": str(most)} | ({"locator": locator} if locator else {})
        answer = api.send("GET", f"jobs/query/{key}/results", params=params)
        assert answer.headers["Content-Type"] == "text/csv"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.headers["Sforce-NumberOfRecords"] == str(len(rows))
        found.append(rows)
        locator = answer.headers["Sforce-Locator"]
    return found


def test_a_job_reads_in_pages_and_in_its_own_format(salesforce: Salesforce, api: Api) -> None:
    for number in range(7):
        values: Any = {"CallDurationInSeconds": number, "ActivityDate": "2026-01-02"}
        salesforce.world.add("Task", Subject=f'"{number}",\nx', **values)
    text = "SELECT Id, Subject, IsClosed, CallDurationInSeconds, WhoId, Account.Name, ActivityDate,"
    job = read_job(api, f"{text} SystemModstamp FROM Task ORDER BY Id").json()
    early = api.send("GET", f"jobs/query/{job['id']}/results")
    assert (job["state"], early.status_code) == ("UploadComplete", 400)
    states = [api.send("GET", f"jobs/query/{job['id']}").json() for _ in range(2)]
    assert [one["state"] for one in states] == ["InProgress", "JobComplete"]
    assert states[1]["numberRecordsProcessed"] == 7
    found = pages(api, job["id"], 3)
    assert [len(page) for page in found] == [3, 3, 1]
    assert len({one["Id"] for page in found for one in page}) == 7
    first = found[0][0]
    assert first.pop("Id")
    assert first == {
        "Subject": '"0",\nx',
        "IsClosed": "false",
        "CallDurationInSeconds": "0.0",
        "WhoId": "",
        "Account.Name": "",
        "ActivityDate": "2026-01-02",
        "SystemModstamp": "2026-03-01T00:00:00.000Z",
    }
    assert api.send("DELETE", f"jobs/query/{job['id']}").status_code == 204
    assert api.send("GET", f"jobs/query/{job['id']}").status_code == 404


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT Id FROM CaseStatus", "INVALIDENTITY", "is not supported by the Bulk API"),
        ("SELECT Id, BillingAddress FROM Account", "API_ERROR", "Selecting compound data"),
        ("SELECT Id, Body FROM Attachment", "API_ERROR", "Binary"),
        ("SELECT COUNT() FROM Account", "API_ERROR", "Aggregate"),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope'"),
    ],
)
def test_a_job_refuses_what_bulk_cannot_read(api: Api, query: str, code: str, words: str) -> None:
    answer = read_job(api, query)
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"]) == (400, code) and words in error["message"]


def test_jobs_have_a_limit_of_their_own(salesforce: Salesforce, api: Api) -> None:
    salesforce.limits["bulk_query_jobs"].limit = 1
    assert read_job(api, "SELECT Id FROM Lead").ok
    answer = read_job(api, "SELECT Id FROM Lead")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
    assert api.query("SELECT Id FROM Lead").ok


def test_a_job_may_fail_or_be_aborted(salesforce: Salesforce, api: Api) -> None:
    salesforce.job_failures = ["InternalServerError : Retried more than ten times"]
    key = read_job(api, "SELECT Id FROM Lead").json()["id"]
    last = [api.send("GET", f"jobs/query/{key}").json() for _ in range(2)][-1]
    assert last["state"] == "Failed" and "ten times" in last["errorMessage"]
    other = read_job(api, "SELECT Id FROM Lead").json()["id"]
    path = f"jobs/query/{other}"
    assert api.send("PATCH", path, json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert api.send("PATCH", path, json={"state": "Aborted"}).status_code == 400
