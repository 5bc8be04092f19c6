"""Uses simple-salesforce on an address; prints what it found as JSON.

The client always builds https:// addresses; an adapter sends them to the sandbox's http://.
Runs in an environment of its own: python with_simple_salesforce.py URL SESSION
"""

import json
import sys

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession


class PlainHttp(HTTPAdapter):
    """Takes the s from https."""

    def send(self, request, *args, **kwargs):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


url, token = sys.argv[1:]
session = requests.Session()
session.mount("https://", PlainHttp())
client = Salesforce(session_id=token, instance_url=url, session=session)
found: dict[str, object] = {}

# reading
lead = "SELECT Id, Email FROM Lead ORDER BY Email"
rows = client.query_all(lead)
found["leads"] = [rows["totalSize"], [row["Email"] for row in rows["records"]]]
found["iterated"] = sum(1 for _ in client.query_all_iter(lead))
found["with deleted"] = client.query_all(lead, include_deleted=True)["totalSize"]
found["objects"] = sorted(one["name"] for one in client.describe()["sobjects"])
found["fields"] = {field["name"]: field["type"] for field in client.Lead.describe()["fields"]}
found["limits"] = sorted(client.limits())
found["usage"] = client.api_usage["api-usage"].total
found["jobs"] = [
    list(map(str.strip, page.splitlines()))
    for page in client.bulk2.Lead.query(
        "SELECT Email, IsConverted, SystemModstamp FROM Lead ORDER BY Email",
        max_records=200,
        wait=0.1,
    )
]
found["jobs with deleted"] = sum(
    len(page.splitlines()) - 1
    for page in client.bulk2.Lead.query_all("SELECT Id FROM Lead", wait=0.1)
)
try:
    client.query("SELECT Nope FROM Lead")
except SalesforceError as error:
    found["refused"] = [error.status, error.content[0]["errorCode"]]

# writing
stages = client.Journey_Stage__c
key = "Journey_Key__c/cust-1|crm"
found["one"] = [stages.upsert(key, {"Stage__c": stage}) for stage in ("using", "churned")]
found["read"] = stages.get_by_custom_id("Journey_Key__c", "cust-1|crm")["Stage__c"]
records = [{"Journey_Key__c": f"k-{n}", "Stage__c": "using"} for n in range(450)]
records[3]["Stage__c"] = "x" * 300
jobs = client.bulk2.Journey_Stage__c
found["job"] = jobs.upsert(records=records, external_id_field="Journey_Key__c", wait=0.1)
failed = jobs.get_failed_records(found["job"][0]["job_id"])
found["failed"] = failed.splitlines()[1].split(",")[1]
new = stages.create({"Journey_Key__c": "new", "Stage__c": "using"})
stages.update(new["id"], {"Stage__c": "renewing"})
found["updated"] = stages.get(new["id"])["Stage__c"]
found["deleted"] = stages.delete(new["id"])

client.session_id = "old"
client.headers["Authorization"] = "Bearer old"
try:
    client.query(lead)
except SalesforceExpiredSession as error:
    found["expired"] = error.content[0]["errorCode"]

print(json.dumps(found))  # noqa: T201  # the answer to the test
