"""The metadata that ships is what the destination needs, no more and no less."""

from __future__ import annotations

import pytest

from target_journeys.destinations.salesforce import METADATA
from tests.target.salesforce_metadata import FILES, written


@pytest.mark.parametrize("name", FILES)
def test_what_is_deployed_is_what_is_written_to(name, pytestconfig):
    path = METADATA / name
    if pytestconfig.getoption("golden"):
        path.write_text(written()[name])
    assert path.read_text() == written()[name]
