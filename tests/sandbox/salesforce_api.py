"""Requests to the sandbox's Salesforce, as tests make them."""

from __future__ import annotations

from typing import Any

import requests

from tests.sandbox.salesforce import Salesforce

VERSION = "/services/data/v61.0"


class Api:
    """The data API of one organisation, with a session that works."""

    def __init__(self, salesforce: Salesforce, http: requests.Session) -> None:
        http.headers["Authorization"] = f"Bearer {salesforce.new_session()}"
        self.url, self.http = salesforce.url, http

    def send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.http.request(method, f"{self.url}{VERSION}/{path}", **kwargs)

    def query(
        self, text: str, *, every: bool = False, headers: dict[str, str] | None = None
    ) -> requests.Response:
        path = "queryAll" if every else "query"
        return self.send("GET", path, params={"q": text}, headers=headers)

    def column(self, text: str, name: str = "Name", *, every: bool = False) -> list[Any]:
        """One field of all rows that a query finds."""
        answer = self.query(text, every=every)
        assert answer.status_code == 200, answer.text
        return [row[name] for row in answer.json()["records"]]
