"""Which tokens are answered with 401, and that the log says why without saying what."""

from __future__ import annotations

import io
import json
import time
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.integration.authorizer.conftest import Authorize, Issuer

# The one message that API Gateway turns into a 401.
UNAUTHORIZED = r"\AUnauthorized\Z"


def refused(authorize: Authorize, token: str | None = None, **arguments: Any) -> bool:
    """Tell whether the token is refused in the one way that API Gateway knows."""
    with pytest.raises(Exception, match=UNAUTHORIZED) as caught:
        authorize(token, **arguments)
    return caught.type is Exception


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": "parley-tests-and-more"},
        {"aud": "another", "client_id": "parley-tests"},
        {"aud": None},
        {"aud": None, "client_id": "another"},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": 7},
        {"sub": ""},
        {"sub": "a" * 129},
        {"sub": "al ice"},
        {"sub": "alice\n"},
        {"sub": "alice\u0000"},
        {"sub": "\u00e5lice"},
        {"sub": "alice\u200b"},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    issuer: Issuer, authorize: Authorize, claims: dict[str, Any]
) -> None:
    assert refused(authorize, issuer.token(**claims))


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -40), ("nbf", 40), ("iat", 40)])
def test_a_token_before_or_after_its_time_is_refused(
    issuer: Issuer, authorize: Authorize, claim: str, seconds: int
) -> None:
    claims: dict[str, Any] = {claim: int(time.time()) + seconds}

    assert refused(authorize, issuer.token(**claims))


def test_a_token_that_is_not_signed_is_refused(issuer: Issuer, authorize: Authorize) -> None:
    _, claims, _ = issuer.token().split(".")

    unsigned = segment({"alg": "none", "kid": "ec"})

    assert refused(authorize, f"{unsigned}.{claims}.")


@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    issuer: Issuer, authorize: Authorize, form: str
) -> None:
    key = jwt.PyJWK(issuer.published["rsa"]).key
    secret = (
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if form == "pem"
        else json.dumps(issuer.published["rsa"]).encode()
    )
    _, claims, _ = issuer.token("RS256", "rsa").split(".")
    # By hand, since PyJWT does not sign with a key that looks like a public one.
    signed = f"{segment({'alg': 'HS256', 'kid': 'rsa'})}.{claims}"
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        signed.encode(), secret
    )

    assert refused(authorize, f"{signed}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}")


def test_a_shared_secret_in_the_key_set_is_not_believed(
    issuer: Issuer, authorize: Authorize
) -> None:
    secret = b"s" * 32
    encoded = urlsafe_b64encode(secret).rstrip(b"=").decode()
    issuer.published["oct"] = {"kty": "oct", "k": encoded, "kid": "oct", "alg": "HS256"}
    token = jwt.encode({"sub": "alice"}, secret, "HS256", headers={"kid": "oct"})

    assert refused(authorize, token)


def test_a_token_for_encryption_keys_is_refused(issuer: Issuer, authorize: Authorize) -> None:
    issuer.publish("enc", ec.generate_private_key(ec.SECP256R1()), use="enc")

    assert refused(authorize, issuer.token("ES256", "enc"))


def test_a_short_key_is_refused(issuer: Issuer, authorize: Authorize) -> None:
    issuer.publish("short", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.token("RS256", "short")

    assert refused(authorize, token)


def test_a_changed_token_is_refused(issuer: Issuer, authorize: Authorize) -> None:
    header, _, signature = issuer.token().split(".")
    _, claims, _ = issuer.token(sub="mallory").split(".")

    assert refused(authorize, f"{header}.{claims}.{signature}")


def test_a_token_of_another_key_with_a_known_id_is_refused(
    issuer: Issuer, authorize: Authorize
) -> None:
    published = issuer.published["ec"]
    issuer.publish("ec", ec.generate_private_key(ec.SECP256R1()))
    forged = issuer.token()
    issuer.published["ec"] = published

    assert refused(authorize, forged)


@pytest.mark.parametrize("header", [{"alg": "ES256"}, {"alg": "ES256", "kid": ""}])
def test_a_token_without_a_key_id_is_refused_and_the_issuer_not_asked(
    issuer: Issuer, authorize: Authorize, header: dict[str, Any]
) -> None:
    _, claims, signature = issuer.token().split(".")

    assert refused(authorize, f"{segment(header)}.{claims}.{signature}")
    assert issuer.key_requests == 0


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic eDp5", "Bearer a b", "Bearer a.b.c", "Bearer é"],
)
def test_a_header_without_a_token_is_refused_and_the_issuer_not_asked(
    issuer: Issuer, authorize: Authorize, header: str | None
) -> None:
    assert refused(authorize, header=header)
    assert issuer.key_requests == 0


def test_a_token_without_its_scheme_is_refused(issuer: Issuer, authorize: Authorize) -> None:
    assert refused(authorize, header=issuer.token())


def test_the_log_says_why_and_nothing_of_the_token(
    issuer: Issuer, app: Any, authorize: Authorize, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(app.logger.registered_handler, "stream", output)
    token = issuer.token(sub="a secret name")

    assert refused(authorize, token)

    log = output.getvalue()
    record = json.loads(log)
    assert record["message"] == "token refused"
    assert record["reason"] == "a subject that cannot be a user id"
    assert record["service"] == "authorizer"
    assert record["function_request_id"]
    assert "secret name" not in log
    assert all(part not in log for part in token.split("."))


# The handler is one for all examples, as it is in a warm process.
ONE_HANDLER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=150, suppress_health_check=ONE_HANDLER)
@example("Bearer " + "." * 40)
@example("Bearer e30.e30.e30")
@example(f"Bearer {segment({'alg': ['ES256'], 'kid': 'ec'})}.e30.e30")
@example(f"Bearer {segment({'alg': 'ES256', 'kid': ['ec']})}.e30.e30")
@example(f"Bearer {segment({'alg': 'ES256', 'kid': 'ec', 'crit': ['x']})}.e30.e30")
@example(f"Bearer {segment({'alg': 'ES256', 'kid': 'ec', 'b64': False})}..e30")
@example("Bearer " + urlsafe_b64encode(b"[" * 6000).decode() + ".e30.e30")
@given(
    st.one_of(
        st.text(),
        st.text().map("Bearer {}".format),
        st.from_regex(r"\A[Bb]earer [\w.~+/-]{1,60}={0,2}\Z"),
        st.builds(
            "Bearer {}.{}.{}".format,
            st.fixed_dictionaries(
                {},
                optional={
                    "alg": st.one_of(st.sampled_from(["ES256", "RS256", "none"]), st.integers()),
                    "kid": st.one_of(st.sampled_from(["ec", "rsa"]), st.text(), st.none()),
                },
            ).map(segment),
            st.dictionaries(st.sampled_from(["iss", "sub", "exp"]), st.text()).map(segment),
            st.binary(max_size=70).map(lambda b: urlsafe_b64encode(b).rstrip(b"=").decode()),
        ),
    )
)
def test_whatever_the_header_says_it_is_refused_properly(authorize: Authorize, header: str) -> None:
    assert refused(authorize, header=header)


@settings(max_examples=60, suppress_health_check=ONE_HANDLER)
@given(data=st.data())
def test_a_good_token_with_any_one_character_changed_is_refused(
    issuer: Issuer, authorize: Authorize, data: st.DataObject
) -> None:
    token = issuer.token()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AQgw.-_= x").filter(lambda c: c != token[place]))

    assert refused(authorize, token[:place] + other + token[place + 1 :])
