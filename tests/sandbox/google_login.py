"""Google's token endpoint, and the shape that Google's errors have.

The assertion of a service account is read (form, issuer, audience, age, scope); its signature is
not checked, because the sandbox holds no key of the account.
"""

from __future__ import annotations

import base64
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from tests.sandbox.base import Answer, Clock, RefusedError, Request

TOKEN_PATH = "/token"
TOKEN_S = 3599
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/"
ALL_SCOPES = f"{SCOPE}bigquery.readonly {SCOPE}analytics.readonly"
STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
STATUS |= {404: "NOT_FOUND", 405: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
STATUS |= {502: "UNAVAILABLE", 503: "UNAVAILABLE"}


def refused(
    code: int, message: str, reason: str = "", *, domain: str = "global", details: Any = None
) -> RefusedError:
    """An error as Google writes it; the older APIs give a reason in `errors`."""
    error: dict[str, Any] = {"code": code, "message": message}
    if reason:
        error["errors"] = [{"message": message, "domain": domain, "reason": reason}]
    error["status"] = STATUS[code]
    if details:
        error["details"] = details
    return RefusedError(code, {"error": error})


class Login:
    """Who may log in, and the tokens that are valid."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.clients = {"sandbox-client": "sandbox-client-secret"}
        self.refresh_tokens = {"sandbox-google-refresh"}
        self.accounts = {"reader@sandbox.iam.gserviceaccount.test"}
        self.tokens: dict[str, tuple[datetime, str]] = {}  # token: when it ends, its scopes

    def new_token(self, scopes: str = ALL_SCOPES) -> str:
        """A token that works at once."""
        token = f"ya29.sandbox-{secrets.token_urlsafe(24)}"
        self.tokens[token] = (self.clock.now() + timedelta(seconds=TOKEN_S), scopes)
        return token

    def check(self, request: Request, scope: str) -> None:
        """Raises the 401 of a token that is not valid, the 403 of one without the scope."""
        until, scopes = self.tokens.get(request.bearer or "", (self.clock.now(), ""))
        if until <= self.clock.now():
            raise self.invalid()
        names = {name.removeprefix(SCOPE).removesuffix(".readonly") for name in scopes.split()}
        if not names & {scope, "cloud-platform"}:
            words = "Request had insufficient authentication scopes."
            details = [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com"}]
            raise refused(403, words, "insufficientPermissions", details=details)

    @staticmethod
    def invalid() -> RefusedError:
        words = (
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
            "cookie or other valid authentication credential."
        )
        return refused(401, words, "authError")

    def token(self, request: Request) -> Answer:
        """The answer of the token endpoint."""
        form = request.form
        kind = form.get("grant_type")
        if kind == "refresh_token":
            if self.clients.get(form.get("client_id", "")) != form.get("client_secret"):
                return _no(401, "invalid_client", "The OAuth client was not found.")
            if form.get("refresh_token") not in self.refresh_tokens:
                return _no(400, "invalid_grant", "Token has been expired or revoked.")
            scopes = ALL_SCOPES
        elif kind == JWT:
            try:
                scopes = self._granted(form.get("assertion", ""))
            except ValueError as error:
                return _no(400, "invalid_grant", str(error))
        else:
            return _no(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")
        body = {"access_token": self.new_token(scopes), "expires_in": TOKEN_S}
        return Answer(200, body | {"token_type": "Bearer", "scope": scopes})

    def _granted(self, assertion: str) -> str:
        """The scopes that an assertion asks for; raises ValueError with Google's words."""
        try:
            head, body, signature = assertion.split(".")
            said = [json.loads(base64.urlsafe_b64decode(part + "===")) for part in (head, body)]
            issuer, audience = said[1]["iss"], said[1]["aud"]
            start, end, scopes = float(said[1]["iat"]), float(said[1]["exp"]), said[1]["scope"]
            good = said[0]["alg"] == "RS256" and signature and audience.endswith(TOKEN_PATH)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError("Bad Request") from error
        if not good:
            raise ValueError("Invalid JWT Signature.")
        if issuer not in self.accounts:
            raise ValueError("Invalid grant: account not found")
        if end < self.clock.now().timestamp() or end - start > 3600:
            words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
            raise ValueError(f"{words}reasonable timeframe.")
        return str(scopes)


def _no(status: int, error: str, words: str) -> Answer:
    return Answer(status, {"error": error, "error_description": words})
