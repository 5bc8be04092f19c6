"""Requests to the sandbox's BigQuery and GA4, as tests make them."""

from __future__ import annotations

from typing import Any

import requests

from tests.sandbox.bigquery import BigQuery
from tests.sandbox.google_login import ALL_SCOPES


class Google:
    """Both APIs of one project, with a token that works."""

    def __init__(self, bigquery: BigQuery, http: requests.Session) -> None:
        self.http, self.url = http, bigquery.url
        self.project = f"{bigquery.url}/bigquery/v2/projects/{bigquery.world.project}"
        self.log_in(bigquery)

    def log_in(self, bigquery: BigQuery, scopes: str = ALL_SCOPES) -> None:
        self.http.headers["Authorization"] = f"Bearer {bigquery.login.new_token(scopes)}"

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.http.get(f"{self.project}/{path}", params=params)

    def ask(self, text: str, **values: Any) -> requests.Response:
        """A query; the answer is the first one, which may say that it is not done."""
        body = {"query": text, "useLegacySql": False} | values
        return self.http.post(f"{self.project}/queries", json=body)

    def rows(self, text: str, **values: Any) -> list[list[Any]]:
        """All rows of a query, page by page, as lists of texts."""
        answer = self.ask(text, **values)
        assert answer.status_code == 200, answer.text
        body, found = answer.json(), []
        path = f"queries/{body['jobReference']['jobId']}"
        token: dict[str, str] = {}
        while True:
            if body["jobComplete"]:
                found += body.get("rows", [])
                if "pageToken" not in body:
                    return [[cell["v"] for cell in row["f"]] for row in found]
                token = {"pageToken": body["pageToken"]}
            place = body["jobReference"]["location"]
            pages = {"maxResults": values["maxResults"]} if "maxResults" in values else {}
            body = self.get(path, location=place, **token, **pages).json()

    def report(self, property_id: str, **values: Any) -> requests.Response:
        """A report; names of dimensions and metrics are given as lists."""
        body = {"dateRanges": [{"startDate": "2026-03-01", "endDate": "today"}]} | values
        for key in ("dimensions", "metrics"):
            body[key] = [{"name": name} for name in values.get(key, ())]
        return self.http.post(f"{self.url}/v1beta/properties/{property_id}:runReport", json=body)
