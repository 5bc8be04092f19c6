"""Uses Google's official client on an address; prints what it found as JSON.

The client is built from stored discovery documents, whose hosts are replaced by the address.
Runs in an environment of its own: python with_google_api_client.py URL REFRESH_TOKEN DOCUMENTS
"""

import json
import sys
from pathlib import Path

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

url, refresh_token, documents = sys.argv[1:]
login = Credentials(
    None,
    refresh_token=refresh_token,
    token_uri=f"{url}/token",
    client_id="sandbox-client",
    client_secret="sandbox-client-secret",
)
PROJECT = {"projectId": "sandbox-project"}
DATASET = PROJECT | {"datasetId": "analytics_7"}
found: dict[str, object] = {}


def client(name):
    """One API, at the address instead of Google's."""
    document = json.loads((Path(documents) / f"{name}.discovery.json").read_text())
    document |= {"rootUrl": f"{url}/", "baseUrl": f"{url}/{document['servicePath']}"}
    document["mtlsRootUrl"] = document["rootUrl"]
    return build_from_document(document, credentials=login)


def all_pages(resource, key, **params):
    """Every row of a list, as the client itself follows pages."""
    request, rows = resource.list(**params), []
    while request is not None:
        page = request.execute()
        rows += page.get(key, [])
        request = resource.list_next(request, page)
    return rows


with client("bigquery.v2.pruned") as bigquery:
    sets = all_pages(bigquery.datasets(), "datasets", **PROJECT, maxResults=1)
    found["datasets"] = [one["datasetReference"]["datasetId"] for one in sets]
    tables = all_pages(bigquery.tables(), "tables", **DATASET, maxResults=1)
    found["tables"] = [one["tableReference"]["tableId"] for one in tables]
    daily = DATASET | {"tableId": "events_20260301"}
    about = bigquery.tables().get(**daily).execute()
    found["columns"] = [field["name"] for field in about["schema"]["fields"]]
    rows = all_pages(bigquery.tabledata(), "rows", **daily, maxResults=40, selectedFields="user_id")
    found["rows"] = [row["f"][0]["v"] for row in rows]
    text = "SELECT user_id FROM `analytics_7.events_20260301` ORDER BY user_id DESC"
    body = {"query": text, "useLegacySql": False, "maxResults": 60}
    page = bigquery.jobs().query(**PROJECT, body=body).execute()
    found["complete"], seen = [page["jobComplete"]], []
    while True:
        seen += [row["f"][0]["v"] for row in page.get("rows", [])]
        token = page.get("pageToken")
        if page["jobComplete"] and not token:
            break
        page = (
            bigquery.jobs()
            .getQueryResults(**page["jobReference"], pageToken=token, maxResults=60)
            .execute()
        )
        found["complete"].append(page["jobComplete"])
    found["queried"] = seen
    wanted = {"configuration": {"query": {"query": text, "useLegacySql": False}}}
    job = bigquery.jobs().insert(**PROJECT, body=wanted).execute()
    found["states"] = [job["status"]["state"]]
    for _ in range(2):
        job = bigquery.jobs().get(**job["jobReference"]).execute()
        found["states"].append(job["status"]["state"])
    try:
        bigquery.tables().get(**DATASET, tableId="nothing").execute()
    except HttpError as error:
        found["refused"] = [error.resp.status, error.error_details[0]["reason"]]

with client("analyticsdata.v1beta") as data:
    name = "properties/7"
    told = data.properties().getMetadata(name=f"{name}/metadata").execute()
    found["metrics"] = [one["apiName"] for one in told["metrics"]]
    asked = {
        "dateRanges": [{"startDate": "2026-03-01", "endDate": "today"}],
        "dimensions": [{"name": "date"}],
        "metrics": [{"name": "eventCount"}],
        "returnPropertyQuota": True,
    }
    report = data.properties().runReport(property=name, body=asked).execute()
    found["report"] = [
        report["rows"][0]["dimensionValues"][0]["value"],
        report["rows"][0]["metricValues"][0]["value"],
        report["rowCount"],
        report["propertyQuota"]["tokensPerDay"],
    ]
    try:
        data.properties().runReport(property="properties/8", body=asked).execute()
    except HttpError as error:
        found["not ours"] = [error.resp.status, error.reason]

print(json.dumps(found))  # noqa: T201  # the answer to the test
