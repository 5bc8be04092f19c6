"""django-helpdesk: a server with an empty database, tickets and follow-ups through its API."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.pipes import ROOT
from tests.real.servers import free_port, running

PYTHON = ROOT / ".venv-helpdesk/bin/python"
SITE = Path(__file__).parent / "helpdesk_site.py"
USER = PASSWORD = "reader"
OPEN, REOPENED, RESOLVED, CLOSED = 1, 2, 3, 4


def missing() -> str | None:
    """Why it cannot be started here."""
    return None if PYTHON.exists() else "django-helpdesk is not installed: run `make test-real`"


class Helpdesk:
    """A running server."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.http = requests.Session()
        self.http.auth = (USER, PASSWORD)

    def create(self, number: int, **others: Any) -> list[int]:
        """New tickets, of a submitter each."""
        made = []
        for n in range(number):
            ticket = {"queue": 1, "title": f"Ticket {n}", "description": "It does not work."}
            ticket |= {"submitter_email": f"person{n}@acme.test", "priority": 3, **others}
            made.append(int(self._post("tickets", ticket)["id"]))
        return made

    def set_status(self, tickets: list[int], status: int) -> None:
        """A follow-up that changes the status."""
        for each in tickets:
            told = {"ticket": each, "new_status": status, "title": "Changed", "comment": "So."}
            self._post("followups", told)

    def _post(self, path: str, body: Any) -> Any:
        response = self.http.post(f"{self.url}/{path}/", json=body, timeout=60)
        response.raise_for_status()
        return response.json()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the server's own database holds: the truth."""
        with closing(sqlite3.connect(self.folder / "helpdesk.db")) as database:
            return database.execute(sql).fetchall()


@contextmanager
def helpdesk(folder: Path) -> Iterator[Helpdesk]:
    """A server with an empty database, while the block lasts."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [str(PYTHON), str(SITE), str(folder), str(port)]
    with running(command, url, folder / "server.log", {}):
        found = Helpdesk(url, folder)
        try:
            yield found
        finally:
            found.http.close()
