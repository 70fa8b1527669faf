"""Access tokens as real issuers make them are good; their other tokens are not, though signed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.authorizer.conftest import Authorize, Issuer

AUDIENCE = "parley-tests"
NOW = int(time.time())
NO_TYPE: dict[str, Any] = {"typ": None}
KEYCLOAK = {
    **{"auth_time": NOW, "jti": "17b94735-025f-4e87-a74e-83c315d1827f", "azp": "web", "acr": "1"},
    **{"sid": "fd0d6f25-e7ca-4640-bc23-0d7df8ab1f9e", "email_verified": False, "name": "A B"},
    "preferred_username": "alice",
}
COGNITO = {
    **{"origin_jti": "1", "jti": "2", "event_id": "3", "auth_time": NOW},
    "cognito:groups": ["readers"],
}
ENTRA = {
    **{"aio": "AWQ", "name": "A B", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "rh": "I"},
    **{"tid": "72f988bf-86f1-41af-91ab-2d7cd011db47", "uti": "fqiBqXLPj0eQa82S", "nbf": NOW},
    **{"preferred_username": "a@example.com", "ver": "2.0"},
}
OKTA = {"ver": 1, "auth_time": NOW}
CLERK = {"azp": "http://localhost:3000", "nbf": NOW, "sid": "sess_1", "fva": [5370, -1], "v": 2}

ACCESS_TOKENS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "RFC 9068": (
        {"typ": "at+jwt"},
        {"client_id": "s6BhdRkqt3", "jti": "dbe39bf3a3ba4238", "scope": "openid profile"},
    ),
    "RFC 9068, with the long form of its type": ({"typ": "application/AT+JWT"}, {}),
    "Cognito": (
        NO_TYPE,
        {
            **COGNITO,
            **{"aud": None, "client_id": AUDIENCE, "token_use": "access", "version": 2},
            **{"scope": "aws.cognito.signin.user.admin", "username": "alice"},
        },
    ),
    "Auth0": (
        {"typ": "JWT"},
        {
            "aud": [AUDIENCE, "https://tenant.eu.auth0.com/userinfo"],
            **{"azp": "my_client_id", "gty": "password", "scope": "openid profile email"},
        },
    ),
    "Auth0 with its RFC 9068 profile": (
        {"typ": "at+jwt"},
        {"jti": "VzdwZDXXwNFGdDuQ", "client_id": "my_client_id", "scope": "openid"},
    ),
    "Okta": (
        NO_TYPE,
        {**OKTA, "jti": "AT.0mP4JKAZX1iACIT4", "cid": "0oa", "uid": "00u", "scp": ["openid"]},
    ),
    "Keycloak": (
        {"typ": "JWT"},
        {
            **KEYCLOAK,
            **{"aud": [AUDIENCE, "account"], "typ": "Bearer", "scope": "openid email"},
            **{"realm_access": {"roles": ["offline_access"]}, "allowed-origins": ["*"]},
        },
    ),
    # keycloak/keycloak#26893: before version 24 the nonce came into the access token too.
    "Keycloak before 24": (
        {"typ": "JWT"},
        {**KEYCLOAK, "typ": "Bearer", "nonce": "6a8ae0dd", "session_state": "1"},
    ),
    "Entra, version 2": (
        {"typ": "JWT"},
        {**ENTRA, "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "azpacr": "0", "scp": "Chat.Say"},
    ),
    "Entra, version 1": (
        {"typ": "JWT", "x5t": "i6lGk3FZzxRcUb2C3nEQ7syHJlY"},
        {**ENTRA, "ver": "1.0", "appid": "consumer", "appidacr": "1", "amr": ["pwd"], "scp": "Say"},
    ),
    "Clerk": ({"typ": "JWT", "cat": "cl_B7d4PD111AAA"}, CLERK),
    "Supabase": (
        {"typ": "JWT"},
        {"role": "authenticated", "aal": "aal1", "amr": [{"method": "otp"}], "session_id": "1"},
    ),
    "Firebase, which has no other token": (
        {"typ": "JWT"},
        {"auth_time": NOW, "user_id": "alice", "firebase": {"sign_in_provider": "password"}},
    ),
    "an issuer that copies the nonce": ({"typ": "JWT"}, {"nonce": "6a8ae0dd", "scope": "openid"}),
}

OTHER_TOKENS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Cognito's ID token": (
        NO_TYPE,
        {**COGNITO, "token_use": "id", "cognito:username": "alice", "email": "a@example.com"},
    ),
    "Okta's ID token": (
        NO_TYPE,
        {**OKTA, "jti": "ID.YVtT0N", "amr": ["pwd"], "idp": "00o", "at_hash": "pB4jXoZ6"},
    ),
    "Keycloak's ID token": ({"typ": "JWT"}, {**KEYCLOAK, "typ": "ID", "at_hash": "pB4jXoZ6"}),
    "Keycloak's refresh token": ({"typ": "JWT"}, {**KEYCLOAK, "typ": "Refresh", "scope": "openid"}),
    "Keycloak's logout token": (
        {"typ": "logout+jwt"},
        {
            **{"typ": "Logout", "sid": "08a5019c", "jti": "bWJq"},
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        },
    ),
    "a logout token without a type": (
        {"typ": "JWT"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "08a5019c"},
    ),
    "a logout token that calls itself an access token": (
        {"typ": "at+jwt"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ),
    "Entra's ID token for the application that the API is too": ({"typ": "JWT"}, ENTRA),
    "an ID token with a nonce": ({"typ": "JWT"}, {"nonce": "n-0S6_WzA2Mj", "name": "A B"}),
    "an ID token with a hash of its code": ({"typ": "JWT"}, {"c_hash": "LDktKdoQak3Pk0cnXxCltA"}),
    "an ID token with a hash and scopes": (NO_TYPE, {"at_hash": "LDktKdoQ", "scope": "openid"}),
    "a token bound by DPoP": (
        {"typ": "at+jwt"},
        {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "scope": "openid"},
    ),
    "a token bound to a certificate": (
        {"typ": "JWT"},
        {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
    ),
    "Okta's token for itself": ({"typ": "application/okta-internal-at+jwt"}, {"scp": ["openid"]}),
    "a security event": ({"typ": "secevent+jwt"}, {}),
    "a proof of possession": ({"typ": "dpop+jwt"}, {}),
    "a type that is no text": ({"typ": 7}, {}),
    "a typ claim that is no text": ({"typ": "JWT"}, {"typ": ["Bearer"]}),
}


@pytest.mark.parametrize(("header", "claims"), ACCESS_TOKENS.values(), ids=ACCESS_TOKENS.keys())
def test_an_access_token_is_good_whoever_made_it(
    issuer: Issuer, authorize: Authorize, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = issuer.token(headers=header, **claims)

    assert authorize(token)["principalId"] == "alice"


@pytest.mark.parametrize(("header", "claims"), OTHER_TOKENS.values(), ids=OTHER_TOKENS.keys())
def test_another_token_of_the_same_issuer_and_audience_is_refused(
    issuer: Issuer, authorize: Authorize, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = issuer.token(headers=header, **claims)

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorize(token)
