"""The issuer's public keys: where they are, how long they are believed, how often they are asked.

Keys are fetched at first use, never at import, so that a cold start without a request costs the
issuer nothing.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

LIFESPAN_SECONDS: Final = 600.0
"""How long fetched keys are believed: a key that the issuer withdraws is refused after it."""

REFETCH_INTERVAL_SECONDS: Final = 30.0
"""The least time between two fetches that unknown keys caused.

Anybody can send a token with an invented key id, so without it strangers decide how often the
issuer is asked.
"""

RETRY_SECONDS: Final = 2.0
"""How long a failed fetch is taken as the answer, so that an issuer in trouble is not flooded."""

FETCH_TIMEOUT_SECONDS: Final = 3.0
"""For each of the two requests (discovery and keys), so that both end before the function does."""


class KeysUnavailable(Exception):
    """The issuer did not give its keys, so nothing can be said about a token."""


class IssuerKeys:
    """The keys of one issuer. Safe to share between threads."""

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the issuer; nothing is fetched yet.

        Args:
            issuer: The issuer's name, which is a URL where `jwks_url` is not given.
            jwks_url: Where its keys are; None to look it up in the issuer's discovery document.
            clock: Seconds that only go forward.
        """
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._stale_at = 0.0
        self._refetch_at = 0.0
        self._failure: Exception | None = None
        self._retry_at = 0.0

    def find(self, kid: str) -> jwt.PyJWK | None:
        """Return the signing key of this id, or None if the issuer has no such key.

        An unknown id makes the keys be fetched once more, unless that was just done.

        Raises:
            KeysUnavailable: The keys are needed and cannot be had now.
        """
        # Under the lock, so that a burst of requests on a cold process fetches once.
        with self._lock:
            now = self._clock()
            if self._keys is None or now >= self._stale_at:
                self._keys = None
                return self._fetch().get(kid)
            if kid in self._keys or now < self._refetch_at:
                return self._keys.get(kid)
            keys = self._fetch()
            self._refetch_at = self._clock() + REFETCH_INTERVAL_SECONDS
            return keys.get(kid)

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        if self._failure is not None and self._clock() < self._retry_at:
            raise KeysUnavailable(f"{self._issuer} failed a moment ago") from self._failure
        try:
            if self._jwks_url is None:
                self._jwks_url = _discover(self._issuer)
            client = jwt.PyJWKClient(
                self._jwks_url, cache_jwk_set=False, timeout=FETCH_TIMEOUT_SECONDS
            )
            keys = {key.key_id: key for key in client.get_signing_keys() if key.key_id}
        except (jwt.PyJWTError, OSError, ValueError) as error:
            self._failure = error
            self._retry_at = self._clock() + RETRY_SECONDS
            raise KeysUnavailable(f"no keys from {self._issuer}: {error}") from error
        self._failure = None
        self._keys = keys
        self._stale_at = self._clock() + LIFESPAN_SECONDS
        return keys


def _discover(issuer: str) -> str:
    """Return the address of the issuer's keys, from its OpenID Connect discovery document.

    Raises:
        OSError: The issuer cannot be reached.
        ValueError: What it answers is not a discovery document of this issuer.
    """
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"the issuer {issuer} is not a URL; set OIDC_JWKS_URL")
    with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_SECONDS) as response:
        document: Any = json.load(response)
        came_from = response.url
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError(f"{url} does not describe the issuer {issuer}")
    jwks_url = document.get("jwks_uri")
    if not isinstance(jwks_url, str):
        raise ValueError(f"{url} names no jwks_uri")
    # An issuer on https that sends us to http would let anybody on the way choose the keys.
    schemes = {urlsplit(address).scheme for address in (issuer, came_from, jwks_url)}
    if urlsplit(issuer).scheme == "https" and schemes != {"https"}:
        raise ValueError(f"{url} leads away from https")
    return jwks_url
