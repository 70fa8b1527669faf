"""When the issuer is asked for its keys, and what happens when it does not answer."""

from __future__ import annotations

import io
import json
import threading
from email.message import Message
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.response import addinfourl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from parley_testing.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from tests.integration.authorizer.conftest import Authorize, Issuer


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, issuer_keys: ModuleType, clock: Clock) -> Any:
    return issuer_keys.IssuerKeys(issuer.url, issuer.jwks_url, clock=clock)


def test_keys_are_not_fetched_before_a_token_comes(issuer: Issuer, app: ModuleType) -> None:
    assert app.verifier is not None
    assert issuer.key_requests == 0


def test_keys_are_fetched_once_for_many_tokens(issuer: Issuer, authorize: Authorize) -> None:
    for kid, algorithm in [("ec", "ES256"), ("rsa", "RS256"), ("ec", "ES256")]:
        authorize(issuer.token(algorithm, kid))

    assert issuer.key_requests == 1


def test_requests_that_come_together_fetch_once(issuer: Issuer, keys: Any) -> None:
    issuer.hold.clear()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(keys.find("ec"))) for _ in range(4)]
    for thread in threads:
        thread.start()

    issuer.hold.set()

    for thread in threads:
        thread.join(HANG_SECONDS)
    assert len(found) == 4
    assert all(found)
    assert issuer.key_requests == 1


def test_an_unknown_key_id_is_refused_after_exactly_one_more_fetch(
    issuer: Issuer, authorize: Authorize
) -> None:
    authorize(issuer.token())
    unknown = issuer.token(headers={"kid": "made up"})

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorize(unknown)

    assert issuer.key_requests == 2


def test_a_flood_of_unknown_key_ids_is_not_passed_on_to_the_issuer(
    issuer: Issuer, keys: Any, clock: Clock, issuer_keys: ModuleType
) -> None:
    keys.find("ec")

    for number in range(100):
        assert keys.find(f"made up {number}") is None

    assert issuer.key_requests == 2
    assert keys.find("ec") is not None
    clock.now += issuer_keys.REFETCH_INTERVAL_SECONDS
    keys.find("made up")
    assert issuer.key_requests == 3


def test_a_new_key_is_believed_at_its_first_token(issuer: Issuer, authorize: Authorize) -> None:
    authorize(issuer.token())

    issuer.published.clear()
    issuer.publish("next", ec.generate_private_key(ec.SECP256R1()))

    assert authorize(issuer.token(kid="next"))["principalId"] == "alice"
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorize(issuer.token())


def test_a_withdrawn_key_is_refused_once_the_keys_are_old(
    issuer: Issuer, keys: Any, clock: Clock, issuer_keys: ModuleType
) -> None:
    keys.find("ec")
    del issuer.published["ec"]

    clock.now += issuer_keys.LIFESPAN_SECONDS - 1
    assert keys.find("ec") is not None
    clock.now += 1
    assert keys.find("ec") is None


BROKEN = [
    (500, b""),
    (404, b"<html>"),
    (200, b"<html>"),
    (200, b"[]"),
    (200, b'{"keys": []}'),
    (200, b'{"keys": [{"kty": "EC"}]}'),
    (200, b"\xff\xfe"),
]


@pytest.mark.parametrize("answer", BROKEN, ids=str)
def test_an_issuer_that_is_broken_is_an_error_and_not_the_callers_fault(
    issuer: Issuer, authorize: Authorize, issuer_keys: ModuleType, answer: tuple[int, bytes]
) -> None:
    issuer.answer = answer

    with pytest.raises(issuer_keys.KeysUnavailable):
        authorize(issuer.token())


def test_an_issuer_that_is_gone_is_an_error(
    issuer: Issuer, authorize: Authorize, issuer_keys: ModuleType
) -> None:
    token = issuer.token()
    issuer.stop()

    with pytest.raises(issuer_keys.KeysUnavailable):
        authorize(token)


def test_an_issuer_that_hangs_is_an_error(
    issuer: Issuer,
    authorize: Authorize,
    issuer_keys: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(issuer_keys, "FETCH_TIMEOUT_SECONDS", 0.1)
    issuer.hold.clear()

    with pytest.raises(issuer_keys.KeysUnavailable):
        authorize(issuer.token())


def test_known_keys_go_on_while_the_issuer_is_down(issuer: Issuer, keys: Any) -> None:
    keys.find("ec")
    issuer.stop()

    assert keys.find("ec") is not None


def test_an_unknown_key_id_is_not_called_bad_while_the_issuer_is_down(
    issuer: Issuer, keys: Any, issuer_keys: ModuleType
) -> None:
    keys.find("ec")
    issuer.answer = (503, b"")

    for _ in range(10):
        with pytest.raises(issuer_keys.KeysUnavailable):
            keys.find("made up")

    assert issuer.key_requests == 2


def test_an_issuer_that_is_back_is_asked_again_soon(
    issuer: Issuer, keys: Any, clock: Clock, issuer_keys: ModuleType
) -> None:
    issuer.answer = (503, b"")
    for _ in range(10):
        with pytest.raises(issuer_keys.KeysUnavailable):
            keys.find("ec")
    assert issuer.key_requests == 1
    issuer.answer = None

    clock.now += issuer_keys.RETRY_SECONDS

    assert keys.find("ec") is not None


def test_the_issuer_says_where_its_keys_are(
    issuer: Issuer, issuer_keys: ModuleType, clock: Clock
) -> None:
    keys = issuer_keys.IssuerKeys(issuer.url, clock=clock)

    assert keys.find("ec") is not None
    clock.now += issuer_keys.LIFESPAN_SECONDS
    assert keys.find("rsa") is not None

    assert issuer.discovery_requests == 1
    assert issuer.key_requests == 2


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://elsewhere.example.com", "jwks_uri": "KEYS"},
        {"jwks_uri": "KEYS"},
        {"issuer": "ISSUER"},
        {"issuer": "ISSUER", "jwks_uri": 7},
        {"issuer": "ISSUER", "jwks_uri": "file:///etc/hostname"},
    ],
    ids=str,
)
def test_a_discovery_document_that_is_not_the_issuers_is_an_error(
    issuer: Issuer, issuer_keys: ModuleType, document: dict[str, Any]
) -> None:
    real = {"ISSUER": issuer.url, "KEYS": issuer.jwks_url}
    issuer.discovered = {name: real.get(value, value) for name, value in document.items()}

    with pytest.raises(issuer_keys.KeysUnavailable):
        issuer_keys.IssuerKeys(issuer.url).find("ec")


@pytest.mark.parametrize(
    ("came_from", "jwks_url"),
    [
        ("https://issuer.example.com/", "http://issuer.example.com/keys"),
        ("http://issuer.example.com/", "https://issuer.example.com/keys"),
    ],
)
def test_an_issuer_on_https_must_not_lead_to_plain_http(
    issuer_keys: ModuleType, monkeypatch: pytest.MonkeyPatch, came_from: str, jwks_url: str
) -> None:
    # No certificate on loopback would be believed, so here the answer is made up.
    body = json.dumps({"issuer": "https://issuer.example.com", "jwks_uri": jwks_url}).encode()
    answer = addinfourl(io.BytesIO(body), Message(), came_from)
    monkeypatch.setattr(issuer_keys.urllib.request, "urlopen", lambda *_, **__: answer)

    with pytest.raises(issuer_keys.KeysUnavailable, match="away from https"):
        issuer_keys.IssuerKeys("https://issuer.example.com").find("ec")


@pytest.mark.parametrize("name", ["urn:an-issuer", "file:///etc", "accounts.example.com"])
def test_an_issuer_whose_name_is_no_address_needs_the_address_of_its_keys(
    issuer_keys: ModuleType, name: str
) -> None:
    with pytest.raises(issuer_keys.KeysUnavailable, match="OIDC_JWKS_URL"):
        issuer_keys.IssuerKeys(name).find("ec")
