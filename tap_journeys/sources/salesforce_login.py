"""JWT bearer: a request for a session that the connected app's own key signs."""

from __future__ import annotations

import time
from importlib.util import find_spec
from urllib.parse import urlsplit

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 180  # how long it holds; the vendor takes no more than a few minutes
MISSING = "a private_key needs the extra `salesforce`: pip install 'product-journeys[salesforce]'"


def assertion(client_id: str, username: str, login_url: str, private_key: str) -> str:
    """The signed request; raises ``ValueError``, without the key, where it cannot be signed."""
    if find_spec("jwt") is None or find_spec("cryptography") is None:
        raise ValueError(MISSING)
    import jwt

    host = urlsplit(login_url).hostname or ""
    kind = "test" if host.startswith("test.") or ".sandbox." in host else "login"
    claims = {"iss": client_id, "sub": username, "aud": f"https://{kind}.salesforce.com"}
    try:
        signed = jwt.encode(
            claims | {"exp": int(time.time()) + ASSERTION_S}, private_key, algorithm="RS256"
        )
    except (ValueError, TypeError, jwt.PyJWTError):  # their text may hold the key
        raise ValueError("private_key is no RSA key in PEM form") from None
    return str(signed)
