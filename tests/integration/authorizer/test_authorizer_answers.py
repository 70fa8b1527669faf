"""What a good token is answered with."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from tests.integration.authorizer.conftest import Authorize, Context, Issuer

ROOT = Path(__file__).resolve().parents[3]
ES384_KEY = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [
        ("RS256", "rsa"),
        ("RS384", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ],
)
def test_a_good_token_names_its_user(
    issuer: Issuer, authorize: Authorize, algorithm: str, kid: str
) -> None:
    answer = authorize(issuer.token(algorithm, kid))

    assert answer["principalId"] == "alice"
    assert answer["context"]["user_id"] == "alice"


def test_a_token_of_another_curve_is_good(issuer: Issuer, authorize: Authorize) -> None:
    issuer.publish("p384", ES384_KEY)

    assert authorize(issuer.token("ES384", "p384"))["principalId"] == "alice"


def test_the_policy_covers_the_whole_stage_so_that_it_may_be_cached(
    issuer: Issuer, authorize: Authorize
) -> None:
    api = "arn:aws-cn:execute-api:cn-north-1:123456789012:a1b2c3d4e5"

    answer = authorize(issuer.token(), arn=f"{api}/v1/DELETE/sessions/a:b/memory")

    assert answer["policyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api}/v1/*"}
        ],
    }


def test_the_context_is_strings_only_since_api_gateway_takes_no_other(
    issuer: Issuer, authorize: Authorize
) -> None:
    expires = int(time.time()) + 77

    answer = authorize(issuer.token(exp=expires, scope="openid parley:admin"))

    assert answer["context"] == {
        "user_id": "alice",
        "scopes": "openid parley:admin",
        "exp": str(expires),
    }


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_in_any_case(issuer: Issuer, authorize: Authorize, scheme: str) -> None:
    assert authorize(header=f"{scheme} {issuer.token()}")["principalId"] == "alice"


@pytest.mark.parametrize("audience", [["other", "parley-tests"], ["parley-tests"]])
def test_the_audience_may_be_one_of_several(
    issuer: Issuer, authorize: Authorize, audience: list[str]
) -> None:
    assert authorize(issuer.token(aud=audience))["principalId"] == "alice"


def test_cognito_names_the_client_instead_of_an_audience(
    issuer: Issuer, authorize: Authorize
) -> None:
    token = issuer.token(aud=None, client_id="parley-tests", token_use="access")

    assert authorize(token)["principalId"] == "alice"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, ""),
        ({"scope": ""}, ""),
        ({"scope": "a b"}, "a b"),
        ({"scope": "a  a b"}, "a b"),
        ({"scp": ["a", "b"]}, "a b"),
        ({"scp": "a b"}, "a b"),
        ({"scope": ["a", "b"]}, "a b"),
        ({"scope": "a", "scp": ["b", "a"]}, "a b"),
        ({"scp": ["a b", 7, None, "", "ü", "c"]}, "c"),
        ({"scope": {"a": 1}, "scp": 7}, ""),
        ({"cognito:groups": ["parley-admin", "parley:admin"], "groups": ["parley-admin"]}, ""),
    ],
)
def test_scopes_are_read_from_both_claims_and_from_no_group(
    issuer: Issuer, authorize: Authorize, claims: dict[str, Any], scopes: str
) -> None:
    assert authorize(issuer.token(**claims))["context"]["scopes"] == scopes


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"cognito:groups": ["parley-admin"]}, "parley:admin"),
        ({"cognito:groups": ["x", "parley-admin"], "scope": "a"}, "a parley:admin"),
        ({"cognito:groups": ["parley-admin"], "scope": "parley:admin"}, "parley:admin"),
        ({"cognito:groups": ["administrators"]}, ""),
        ({"cognito:groups": "parley-admin"}, ""),
        ({"groups": ["parley-admin"]}, ""),
    ],
)
def test_of_cognito_the_group_of_administrators_is_believed(
    issuer: Issuer,
    app: Any,
    authorize: Authorize,
    claims: dict[str, Any],
    scopes: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI"
    monkeypatch.setattr(app.verifier, "_issuer", pool)

    answer = authorize(issuer.token(iss=pool, **claims))

    assert answer["context"]["scopes"] == scopes


@pytest.mark.parametrize(
    "subject",
    [
        "a",
        "a" * 128,
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "b9a3f1c0-1d2e-4f5a-8b9c-0d1e2f3a4b5c",
        "alice+parley@example.com",
        "https://id.example.com/#me",
    ],
)
def test_subjects_as_issuers_make_them_are_taken_as_they_are(
    issuer: Issuer, authorize: Authorize, subject: str
) -> None:
    assert authorize(issuer.token(sub=subject))["context"]["user_id"] == subject


def test_a_token_that_expired_within_the_leeway_is_still_good(
    issuer: Issuer, authorize: Authorize
) -> None:
    assert authorize(issuer.token(exp=int(time.time()) - 20))["principalId"] == "alice"


def test_a_token_from_a_clock_that_is_a_little_ahead_is_good(
    issuer: Issuer, authorize: Authorize
) -> None:
    ahead = int(time.time()) + 20

    assert authorize(issuer.token(nbf=ahead, iat=ahead))["principalId"] == "alice"


def test_the_sample_event_is_answered_once_it_carries_a_real_token(
    issuer: Issuer, app: Any, context: Context
) -> None:
    event = json.loads((ROOT / "events" / "authorizer" / "token.json").read_text())
    event["authorizationToken"] = f"Bearer {issuer.token()}"

    (statement,) = app.handler(event, context)["policyDocument"]["Statement"]

    assert statement["Resource"] == event["methodArn"].removesuffix("GET/sessions") + "*"
