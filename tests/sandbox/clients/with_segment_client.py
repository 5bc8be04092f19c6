"""Tells Segment's official client everything that the sandbox takes; prints nothing.

Runs in an environment of its own: python with_segment_client.py URL WRITE_KEY
"""

import sys

from segment.analytics.client import Client

url, write_key = sys.argv[1:]


def failed(error, batch):
    """Whatever the client could not send ends this program."""
    sys.exit(f"{error} for {len(batch)} messages")


for synchronous, packed in ((True, False), (False, True)):
    client = Client(write_key, host=url, sync_mode=synchronous, gzip=packed, on_error=failed)
    who = f"cust-{int(packed)}"
    client.identify(who, {"journeys": {"crm-suite": {"stage": "using"}}})
    client.group(who, "acme", {"name": "Acme"})
    for number in range(250):
        told = {"product_id": "crm-suite", "number": number}
        client.track(who, "Journey Stage Changed", told, message_id=f"{who}-{number}")
    client.track(who, "Journey Stage Changed", message_id=f"{who}-0")  # a repeat
    if not synchronous:
        client.flush()
        client.join()
