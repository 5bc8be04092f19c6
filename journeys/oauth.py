"""OAuth as tap and target speak it: the form that asks for a token, and the code of a refusal."""

from __future__ import annotations


def token_form(
    client_id: str, client_secret: str | None, refresh_token: str | None
) -> dict[str, str]:
    """The form of a token request: by a refresh token where there is one, else by the client's own
    credentials."""
    form = {"client_id": client_id, "client_secret": client_secret}
    if refresh_token is None:
        form |= {"grant_type": "client_credentials"}
    else:
        form |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return {name: value for name, value in form.items() if value}


def error_code(answer: object) -> str:
    """The vendor's word for why it gave no token; nothing if it is no word."""
    code = answer.get("error") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and code.isascii() and code.isidentifier() else ""
