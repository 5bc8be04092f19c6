"""Request Tracker 5 as Debian ships it: a database of its own, a server, tickets with a history."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.real.servers import free_port, running

SERVER = Path("/usr/share/request-tracker5/libexec/rt-server")
SETUP = shutil.which("rt-setup-database-5", path=f"{os.environ['PATH']}:/usr/sbin")
STARMAN = shutil.which("starman")
USER, PASSWORD = "root", "password"  # what a new database has
BULK = 90  # tickets in one request

CONFIG = """
Set($rtname, 'journeys.test');
Set($Organization, 'journeys.test');
Set($WebDomain, '127.0.0.1');
Set($WebPort, {port});
Set($Timezone, 'UTC');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{folder}/rtdb');
Set($DatabaseUser, '');
Set($DatabasePassword, '');
Set($MailCommand, 'mbox');
Set($BcryptCost, 4);  # every request logs in anew; the usual cost is half a second
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'error');
1;
"""


def missing() -> str | None:
    """Why it cannot be started here."""
    if SERVER.exists() and SETUP and STARMAN:
        return None
    return "Request Tracker is not installed: `make test-real` does it, as root, where apt-get is"


class RequestTracker:
    """A running server."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.http = requests.Session()
        self.http.auth = (USER, PASSWORD)

    def create(self, number: int) -> list[int]:
        """New tickets, of a requestor each."""
        made: list[int] = []
        for first in range(0, number, BULK):
            tickets = [
                {
                    "Queue": "General",
                    "Subject": f"Ticket {n}",
                    "Requestor": f"person{n}@acme.test",
                    "Content": "It does not work.",
                }
                for n in range(first, min(first + BULK, number))
            ]
            made += [int(each["id"]) for each in self._ask("POST", "tickets/bulk", tickets)]
        return made

    def set_status(self, tickets: list[int], status: str) -> None:
        for first in range(0, len(tickets), BULK):
            some = [{"id": each, "Status": status} for each in tickets[first : first + BULK]]
            self._ask("PUT", "tickets/bulk", some)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        response = self.http.request(method, f"{self.url}/{path}", json=body, timeout=300)
        response.raise_for_status()
        return response.json()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the server's own database holds: the truth."""
        with closing(sqlite3.connect(self.folder / "rtdb")) as database:
            return database.execute(sql).fetchall()


@contextmanager
def request_tracker(folder: Path) -> Iterator[RequestTracker]:
    """A server with an empty database, while the block lasts."""
    port = free_port()
    config = folder / "RT_SiteConfig.pm"
    config.write_text(CONFIG.format(port=port, folder=folder))
    own = {"RT_SITE_CONFIG": str(config), "RT_SITE_CONFIG_DIR": str(folder / "no_further_files")}
    assert SETUP and STARMAN
    setup = [SETUP, "--action", "init", "--dba", "", "--dba-password", ""]
    done = subprocess.run(setup, env=os.environ | own, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(sqlite3.connect(folder / "rtdb")) as database:
        database.execute("delete from ObjectScrips")  # no mail to anybody, which takes long
        database.commit()
    command = [STARMAN, "--listen", f"127.0.0.1:{port}", "--workers", "8", "--preload-app"]
    url = f"http://127.0.0.1:{port}/REST/2.0"
    with running([*command, str(SERVER)], url, folder / "server.log", own):
        found = RequestTracker(url, folder)
        try:
            yield found
        finally:
            found.http.close()
