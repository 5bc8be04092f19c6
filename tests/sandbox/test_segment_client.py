"""Segment's official client, message by message and in packed batches, is understood."""

from __future__ import annotations

import subprocess

from tests.sandbox.server import Sandbox
from tests.sandbox.test_clients import CLIENTS, PYTHON
from tests.sandbox.test_clients import pytestmark as needs_clients

pytestmark = needs_clients


def test_segment_analytics_python() -> None:
    with Sandbox("segment") as sandbox:
        segment = sandbox.segment
        command = [str(PYTHON), str(CLIENTS / "with_segment_client.py")]
        subprocess.run([*command, segment.url, segment.write_key], check=True, timeout=120)

        traits = {"journeys": {"crm-suite": {"stage": "using"}}}
        assert segment.users == {"cust-0": traits, "cust-1": traits}
        assert segment.groups == {"acme": {"name": "Acme"}}
        told = sorted((each["userId"], each["properties"]["number"]) for each in segment.events)
        assert told == [(who, number) for who in ("cust-0", "cust-1") for number in range(250)]
        assert (segment.repeats, segment.dropped) == (2, [])
        assert segment.count(200) < 270  # one by one, then in batches
