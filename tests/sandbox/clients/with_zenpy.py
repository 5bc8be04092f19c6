"""Uses zenpy on an address; prints what it found as JSON.

Runs in an environment of its own: python with_zenpy.py URL EMAIL TOKEN. The client knows https
only, so its session takes requests to another host than it was told.
"""

import json
import sys
from datetime import UTC, datetime

import requests
from requests.adapters import HTTPAdapter
from zenpy import Zenpy

url, email, token = sys.argv[1:]


class Elsewhere(HTTPAdapter):
    """Sends what is for acme.zendesk.com to the address."""

    def send(self, request, **options):
        asked = request.url
        assert asked.startswith("https://acme.zendesk.com/"), asked
        request.url = asked.replace("https://acme.zendesk.com", url)
        answer = super().send(request, **options)
        request.url = asked  # the client compares it with its own address
        return answer


session = requests.Session()
session.mount("https://", Elsewhere())
zenpy = Zenpy(subdomain="acme", email=email, token=token, session=session)
start = datetime(2026, 1, 1, tzinfo=UTC)

tickets = zenpy.tickets.incremental(start_time=start, per_page=20)
found = {
    "tickets": [(each.id, each.status, each.subject, each.updated_at) for each in tickets],
    "tickets by time": sorted(
        {
            each.id
            for each in zenpy.tickets.incremental(
                start_time=start, paginate_by_time=True, per_page=20
            )
        }
    ),
    "users": sorted({each.email for each in zenpy.users.incremental(start_time=start)}),
    "organizations": sorted(
        {each.name for each in zenpy.organizations.incremental(start_time=start)}
    ),
    "events": [
        [(child["event_type"], child.get("status")) for child in each.child_events]
        for each in zenpy.tickets.events(start_time=start)
        if each.ticket_id == 1
    ],
    "listed": [each.id for each in zenpy.tickets(cursor_pagination=10)],
    "by number": [each.id for each in zenpy.tickets()],
    "audits": [len(each.events) for each in zenpy.tickets.audits(ticket=1)],
    "ratings": [(each.score, each.ticket_id) for each in zenpy.satisfaction_ratings()],
    "fields": [each.title for each in zenpy.ticket_fields()],
    "metrics": zenpy.tickets.metrics(1).reopens,
    "deleted": [each.id for each in zenpy.tickets.deleted()],
    "me": zenpy.users.me().email,
}
sys.stdout.write(json.dumps(found))
