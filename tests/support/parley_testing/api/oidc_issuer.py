"""An OpenID Connect issuer on loopback: it knows one user, and asks for no password."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt

from parley_testing.loopback import Handler, LoopbackServer


class OidcIssuer(LoopbackServer):
    """Gives authorization codes to one client, and tokens for them, as OAuth 2.1 has it.

    Attributes:
        asked: The queries of the requests for a code.
        refused: Why codes or refresh tokens were not taken.
        gives: Makes the access token; a test changes it.
        lives: For how many seconds an access token is good, as the client is told.
    """

    client_id = "the-page"

    def __init__(self, access_token: Callable[[], str]) -> None:
        super().__init__(self._handler())
        self.gives = access_token
        self.lives = 3600
        self.asked: list[dict[str, str]] = []
        self.refreshed = 0
        self.refused: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        assert not self.refused, self.refused

    def code_for(self, query: dict[str, str]) -> str:
        """Return where a request for a code is sent back to."""
        self.asked.append(query)
        code = f"code-{len(self.asked)}"
        self._codes[code] = query
        said = {"code": code, "state": query["state"], "iss": self.url}
        return f"{query['redirect_uri']}?{urlencode(said)}"

    def tokens(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Return what is given for a code, once, or for a refresh token; None if it is no good."""
        tokens = {
            "access_token": self.gives(),
            "token_type": "Bearer",
            "expires_in": self.lives,
            "refresh_token": "refresh",
        }
        if form.get("grant_type") == "refresh_token" and form["refresh_token"] == "refresh":
            self.refreshed += 1
            return tokens
        query = self._codes.pop(form.get("code", ""), None)
        proof = sha256(form.get("code_verifier", "").encode()).digest()
        if (
            query is None
            or form["redirect_uri"] != query["redirect_uri"]
            or form["client_id"] != self.client_id
            or urlsafe_b64encode(proof).rstrip(b"=").decode() != query["code_challenge"]
        ):
            self.refused.append(f"the code of {query} for {form}")
            return None
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": self.client_id,
            "sub": "dora",
            "email": "dora@example.com",
            "nonce": query["nonce"],
            "iat": now,
            "exp": now + 3600,
        }
        return {**tokens, "id_token": jwt.encode(claims, "k" * 32, algorithm="HS256")}

    def _handler(self) -> type[Handler]:
        issuer = self

        class Issuing(Handler):
            def do_GET(self) -> None:
                place = urlsplit(self.path)
                if place.path == "/.well-known/openid-configuration":
                    self._json(
                        200,
                        {
                            "issuer": issuer.url,
                            "authorization_endpoint": f"{issuer.url}/authorize",
                            "token_endpoint": f"{issuer.url}/token",
                            "jwks_uri": f"{issuer.url}/keys",
                            "id_token_signing_alg_values_supported": ["HS256"],
                            "authorization_response_iss_parameter_supported": True,
                        },
                    )
                    return
                if place.path != "/authorize":  # its icon, which browsers ask for when they like
                    self.answer(b"", 404)
                    return
                query = {name: values[0] for name, values in parse_qs(place.query).items()}
                # As behind a page where one signs in: a redirect would not come by a test that
                # answers for the page's server.
                back = escape(issuer.code_for(query))
                page = f'<!doctype html><meta http-equiv="refresh" content="0; url={back}">'
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                given = issuer.tokens(dict(parse_qsl(body)))
                self._json(*((400, {"error": "invalid_grant"}) if given is None else (200, given)))

            def _json(self, status: int, said: object) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Issuing
