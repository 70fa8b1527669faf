"""Tells access tokens from the other signed tokens of the same issuer.

An issuer signs them all with the same keys, so a good signature says nothing about what a token is
for. RFC 9068 gives access tokens a type of their own, which few issuers set; the others are known
by what each issuer writes into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ACCESS_TOKEN: Final = "at+jwt"
"""The type of RFC 9068. Duende and Logto set it; Auth0, Keycloak and Ory do if asked."""

_SAYS_NOTHING: Final = ("", "jwt")
"""Any JWT may have these: Cognito and Okta name no type, Auth0, Entra, Keycloak and Clerk `JWT`."""

_BINDS_ANOTHER_TOKEN: Final = ("at_hash", "c_hash", "s_hash")
"""What OpenID Connect puts into an ID token about the token or code that came with it."""


def why_not_access(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str | None:
    """Return why a token is no access token that its bearer may use, or None if it may be one.

    Args:
        header: The token's header, its signature verified.
        claims: What the token says.

    Returns:
        A reason that is safe to log: it holds nothing of the token.
    """
    if "cnf" in claims:
        # Only who holds the key may use it (DPoP, mutual TLS), and here nobody is asked for it.
        return "a token bound to a key"
    if "events" in claims:
        return "a logout token or another security event"
    kind = _media_type(header.get("typ"))
    if kind == _ACCESS_TOKEN:
        return None
    if kind not in _SAYS_NOTHING:
        return "a type of token that is no access token's"
    return _by_issuers_habits(claims)


def _by_issuers_habits(claims: Mapping[str, Any]) -> str | None:
    if "token_use" in claims:  # Cognito: access or id
        return None if claims["token_use"] == "access" else "a token_use that is not access"
    if "typ" in claims:  # Keycloak: Bearer, ID, Logout, Refresh, …
        own = _media_type(claims["typ"])
        return None if own in ("bearer", _ACCESS_TOKEN) else "a typ claim that is not Bearer"
    if {"tid", "ver"} <= claims.keys():  # Entra: the application is named in access tokens only
        return None if {"azp", "appid"} & claims.keys() else "an ID token"
    if any(name in claims for name in _BINDS_ANOTHER_TOKEN):
        return "an ID token"
    # Some issuers copy the nonce into the access token, but none gives an ID token scopes.
    if "nonce" in claims and not {"scope", "scp"} & claims.keys():
        return "an ID token"
    return None


def _media_type(value: object) -> str:
    """Return a type as RFC 7515 compares it, without its `application/`; `?` for no text."""
    if value is None:
        return ""
    return value.lower().removeprefix("application/") if isinstance(value, str) else "?"
