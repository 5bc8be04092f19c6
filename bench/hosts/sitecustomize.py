"""Leads requests for a vendor's host to the sandbox: for taps that have it in their code.

Python imports this by itself where this folder is on its path. ``BENCH_HOSTS`` holds the pairs.
"""

import json
import os
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

HOSTS: dict[str, str] = json.loads(os.environ.get("BENCH_HOSTS", "{}"))
_send = HTTPAdapter.send


def send(self: HTTPAdapter, request: PreparedRequest, **others: Any) -> Response:
    for host, address in HOSTS.items():
        if request.url and request.url.startswith(host):
            request.url = address + request.url.removeprefix(host)
    return _send(self, request, **others)


HTTPAdapter.send = send
