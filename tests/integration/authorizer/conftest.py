"""An issuer on loopback, with real keys and a real HTTP server, and the authorizer beside it."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.waiting import HANG_SECONDS

FOLDER = Path(__file__).resolve().parents[3] / "functions" / "authorizer"
AUDIENCE = "parley-tests"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

# RSA keys are slow to make, and tests need no fresh one each.
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer(LoopbackServer):
    """Serves a key set and a discovery document, counts who asks, and signs tokens.

    Attributes:
        url: The issuer's name.
        published: The key set, by key id.
        key_requests: How often the key set was asked for.
        discovery_requests: How often the discovery document was asked for.
        answer: What is answered instead of the documents, as (status, body), when it is set.
        hold: While it is clear, requests are not answered.
    """

    def __init__(self) -> None:
        self.published: dict[str, dict[str, Any]] = {}
        self.discovered: dict[str, Any] = {}
        self.key_requests = 0
        self.discovery_requests = 0
        self.answer: tuple[int, bytes] | None = None
        self.hold = threading.Event()
        self.hold.set()
        self._signers: dict[str, PrivateKey] = {}
        issuer = self

        class Documents(Handler):
            def do_GET(self) -> None:
                issuer.hold.wait(HANG_SECONDS)
                status, body = issuer.respond(self.path)
                self.answer(body, status)

        super().__init__(Documents, finishes=True)
        self._running = True
        self.jwks_url = f"{self.url}/keys"
        self.discovered = {"issuer": self.url, "jwks_uri": self.jwks_url}
        self.publish("rsa", RSA_KEY)
        self.publish("ec", ec.generate_private_key(ec.SECP256R1()))
        self.publish("ed", ed25519.Ed25519PrivateKey.generate())

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._running:
            self._running = False
            self.hold.set()
            super().__exit__()

    def respond(self, path: str) -> tuple[int, bytes]:
        if path == "/keys":
            self.key_requests += 1
        else:
            self.discovery_requests += 1
        if self.answer is not None:
            return self.answer
        if path == "/keys":
            return 200, json.dumps({"keys": list(self.published.values())}).encode()
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps(self.discovered).encode()
        return 404, b""

    def publish(self, kid: str, key: PrivateKey, **members: Any) -> None:
        """Add a key to the key set, and sign with it from now on where its id is asked for."""
        public: Any = key.public_key()
        if isinstance(key, rsa.RSAPrivateKey):
            numbers = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            numbers = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            numbers = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
        numbers.pop("key_ops", None)
        self.published[kid] = {**numbers, "kid": kid, "use": "sig", **members}
        self._signers[kid] = key

    def token(
        self,
        algorithm: str = "ES256",
        kid: str = "ec",
        *,
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Sign a token that is good but for what is given; a claim of None is left out."""
        now = int(time.time())
        every = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        present = {name: value for name, value in every.items() if value is not None}
        return jwt.api_jws.encode(
            json.dumps(present).encode(),
            self._signers[kid],
            algorithm,
            headers={"kid": kid, **(headers or {})},
        )


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


class Context:
    """What Lambda hands a handler beside the event."""

    function_name = "authorizer"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:authorizer"
    aws_request_id = "7f1c0d5e-3b7a-4c7e-9d52-000000000001"


@pytest.fixture
def app(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function as a fresh process has it, believing the issuer."""
    monkeypatch.setenv("OIDC_ISSUER", issuer.url)
    monkeypatch.setenv("OIDC_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("OIDC_JWKS_URL", issuer.jwks_url)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "authorizer")
    # On Lambda the function's folder is the root.
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("authorizer_app", FOLDER / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def issuer_keys(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("issuer_keys")


@pytest.fixture
def context() -> Context:
    return Context()


Authorize = Callable[..., dict[str, Any]]


@pytest.fixture
def authorize(app: ModuleType, context: Context) -> Authorize:
    """Send a header, or a token as `Bearer`, through the handler and give back its answer."""

    def authorize(
        token: str | None = None,
        *,
        header: str | None = None,
        arn: str = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/v1/GET/sessions",
    ) -> dict[str, Any]:
        event = {"type": "TOKEN", "methodArn": arn}
        if token is not None or header is not None:
            event["authorizationToken"] = header or f"Bearer {token}"
        answer: dict[str, Any] = app.handler(event, context)
        return answer

    return authorize
