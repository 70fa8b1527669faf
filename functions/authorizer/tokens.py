"""What makes a bearer token good, and what it says about its caller."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from issuer_keys import IssuerKeys
from token_kinds import why_not_access

LEEWAY_SECONDS: Final = 30
"""By how much the issuer's clock and ours may differ."""

ALGORITHMS: Final[Mapping[str, list[str]]] = {
    "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "EC": ["ES256", "ES384", "ES512"],
    "OKP": ["EdDSA"],
}
"""The algorithms that each type of key may be used with.

All are asymmetric: with HS256 somebody could sign with the public key, and with `none` anybody
could.
"""

ADMINISTRATORS: Final = "parley-admin"
"""The group of the stack's own user pool whose members have the scope `parley:admin`."""

_COGNITO = re.compile(r"https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\S+")

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE | re.ASCII)
# The user id goes into keys, rows and logs, so it is one word of printable ASCII. Every issuer
# known to us keeps to that, Auth0 with its `auth0|…` too; OpenID Connect asks for ASCII anyway.
_USER_ID = re.compile(r"[!-~]{1,128}")
# RFC 6749 allows a scope no space, quote or backslash.
_SCOPE = re.compile(r"[!#-\[\]-~]+")


class Refused(Exception):
    """The token is not believed. The reason is safe to log: it holds nothing of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a good token speaks for.

    Attributes:
        user_id: The token's subject.
        scopes: What the token allows, each once, in the token's order.
        expires_at: When the token ends, in seconds since 1970, without leeway.
    """

    user_id: str
    scopes: tuple[str, ...]
    expires_at: int


def bearer_token(header: object) -> str:
    """Return the token of an `Authorization` header.

    Raises:
        Refused: There is no header, or it is not of the form `Bearer <token>`.
    """
    match = _BEARER.fullmatch(header) if isinstance(header, str) else None
    if match is None:
        raise Refused("no bearer token")
    return match[1]


class TokenVerifier:
    """Verifies the tokens that one issuer makes for one audience."""

    def __init__(self, *, issuer: str, audience: str, keys: IssuerKeys) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys

    def verify(self, token: str) -> Caller:
        """Return who the token speaks for.

        Raises:
            Refused: The token is not good.
            KeysUnavailable: The issuer's keys cannot be had, so nobody knows.
        """
        claims = self._claims(token)
        if not _is_meant_for(self._audience, claims):
            raise Refused("another audience")
        user_id: str = claims["sub"]
        if not _USER_ID.fullmatch(user_id):
            raise Refused("a subject that cannot be a user id")
        scopes = _scopes(claims)
        if _COGNITO.fullmatch(self._issuer) and _administers(claims):
            scopes = tuple(dict.fromkeys((*scopes, "parley:admin")))
        return Caller(user_id, scopes, int(claims["exp"]))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            # Looked at before the key, so that rubbish never makes us ask the issuer.
            if not any(header.get("alg") in names for names in ALGORITHMS.values()):
                raise Refused("an algorithm that is not allowed")
            if not header.get("kid"):
                raise Refused("no key id")
            key = self._keys.find(header["kid"])
            if key is None:
                raise Refused("an unknown key id")
            # The bare key, not the PyJWK: that one insists on RS256 where an RSA key names no
            # algorithm. Which algorithms go with it is decided by its type.
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS.get(key.key_type or "", []),
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["exp", "iss", "sub"],
                    "verify_aud": False,  # Cognito has none; see _is_meant_for.
                    "enforce_minimum_key_length": True,
                },
            )
        except jwt.PyJWTError as error:
            # The type says enough; the message may quote the token.
            raise Refused(type(error).__name__) from error
        if (reason := why_not_access(header, claims)) is not None:
            raise Refused(reason)
        return claims


def _is_meant_for(audience: str, claims: Mapping[str, Any]) -> bool:
    if "aud" not in claims:
        # Cognito's access tokens name the client that asked for them instead.
        return claims.get("client_id") == audience
    named = claims["aud"]
    return audience in named if isinstance(named, list) else audience == named


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Read `scope` (RFC 8693) and `scp` (Okta, Entra), each a string or a list.

    Groups are no scopes: with many issuers users may be able to name their own.
    """
    found: dict[str, None] = {}
    for claim in (claims.get("scope"), claims.get("scp")):
        words = claim.split(" ") if isinstance(claim, str) else claim
        if isinstance(words, list):
            found.update(
                (word, None) for word in words if isinstance(word, str) and _SCOPE.fullmatch(word)
            )
    return tuple(found)


def _administers(claims: Mapping[str, Any]) -> bool:
    """Return whether the user is in Cognito's group of administrators.

    Cognito gives no scope to a user who signs in with a password, and every scope to one who asks
    for it on its pages; only a pool's administrators put users into its groups.
    """
    groups = claims.get("cognito:groups")
    return isinstance(groups, list) and ADMINISTRATORS in groups
