"""simple-salesforce finds in the sandbox what was put there, and leaves there what it wrote."""

from __future__ import annotations

from tests.sandbox.salesforce import Salesforce
from tests.sandbox.test_clients import ask, pytestmark

__all__ = ["pytestmark"]  # these tests too need the clients' environment


def test_simple_salesforce(salesforce: Salesforce) -> None:
    world = salesforce.world
    world.add_object("Journey_Stage__c", "Stage__c!")
    world.add_field("Journey_Stage__c", "Journey_Key__c", external_id=True)
    mails = [f"lead{n:03d}@x.test" for n in range(450)]
    for mail in mails:
        world.add("Lead", LastName="L", Company="C", Email=mail)
    gone = world.add("Lead", LastName="L", Company="C", Email="gone@x.test")
    world.delete("Lead", gone)
    salesforce.page_rows = 200

    found = ask("with_simple_salesforce.py", salesforce.url, salesforce.new_session())

    assert found["leads"] == [450, mails]
    assert (found["iterated"], found["with deleted"]) == (450, 451)
    assert {"Lead", "OpportunityHistory", "Journey_Stage__c"} <= set(found["objects"])
    assert found["fields"]["Email"] == "email"
    assert "DailyApiRequests" in found["limits"] and found["usage"] == 100_000
    assert [len(page) - 1 for page in found["jobs"]] == [200, 200, 50]
    assert found["jobs"][0][0] == '"Email","IsConverted","SystemModstamp"'
    assert found["jobs"][2][-1] == '"lead449@x.test","false","2026-03-01T00:00:00.000Z"'
    assert found["jobs with deleted"] == 451
    assert found["refused"] == [400, "INVALID_FIELD"]
    assert found["expired"] == "INVALID_SESSION_ID"

    assert (found["one"], found["read"]) == ([201, 200], "churned")
    (job,) = found["job"]
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (450, 1)
    assert "STRING_TOO_LONG" in found["failed"]
    assert (found["updated"], found["deleted"]) == ("renewing", 204)
    stages = {row["Journey_Key__c"]: row["Stage__c"] for row in world.visible("Journey_Stage__c")}
    assert stages == {
        "cust-1|crm": "churned",
        **{f"k-{n}": "using" for n in range(450) if n != 3},
    }
