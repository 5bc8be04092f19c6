"""A webhook's signature, checked as receivers do: with the package of Standard Webhooks."""

from __future__ import annotations

import base64

import pytest
import responses
from pydantic import ValidationError
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from target_journeys.destinations.webhook import Webhook
from tests.target.messages import SCHEMA, record, sync

URL = "https://cdp.test/journeys"
KEYS = (b"sixteen bytes 16", b"some twenty-three bytes", b"four and twenty bytes ok")
SECRETS = [f"whsec_{base64.b64encode(key).decode()}" for key in KEYS]


def signed(kept, secret: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request with two rows."""
    rows = [record(n, scopes=[{"grain": "product", "id": f"größer {n}"}]) for n in range(2)]
    with responses.RequestsMock() as mock:
        mock.post(URL)
        sync(kept, SCHEMA, *rows, destinations={"webhook": {"url": URL, "secret": secret}})
        request = mock.calls[0].request
    return request.body, dict(request.headers)


@pytest.mark.parametrize("secret", [*SECRETS, SECRETS[1].rstrip("="), SECRETS[0][6:]])
def test_receivers_find_the_signature_right(kept, secret):
    body, headers = signed(kept, secret)
    assert len(body.splitlines()) == 2
    Receiver(secret).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_receivers_find_a_change_of_anything(kept, changed):
    body, headers = signed(kept, SECRETS[0])
    secret = SECRETS[1] if changed == "secret" else SECRETS[0]
    if changed == "body":
        body += b" "
    elif changed in headers:
        headers[changed] = headers[changed][:-1] + ("1" if headers[changed][-1] != "1" else "2")
    with pytest.raises(WebhookVerificationError):
        Receiver(secret).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", ""])
def test_a_secret_that_cannot_sign_is_refused(secret):
    with pytest.raises(ValidationError, match="whsec_"):
        Webhook(url=URL, secret=secret)
