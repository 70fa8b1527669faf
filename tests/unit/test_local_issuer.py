"""The issuer of `make dev`: its key file, its tokens, its key set."""

from __future__ import annotations

import importlib
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parley_local import issuer
from parley_testing.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]


def claims_of(token: str, data_dir: Path) -> dict[str, Any]:
    """Verify a token with the served key set, as anybody would who trusts it."""
    keys = jwt.PyJWKSet.from_dict(issuer.jwks(data_dir))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, issuer=issuer.ISSUER, audience=issuer.AUDIENCE)


def test_a_token_names_its_user_and_is_verified_by_the_key_set(tmp_path: Path) -> None:
    before = int(time.time())

    token = issuer.issue_token(tmp_path, "alice", lifetime=timedelta(minutes=5))

    claims = claims_of(token, tmp_path)
    assert claims["sub"] == "alice"
    assert claims["scope"] == ""
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 300


def test_an_admin_token_carries_the_admin_scope(tmp_path: Path) -> None:
    token = issuer.issue_token(tmp_path, "alice", admin=True)

    assert claims_of(token, tmp_path)["scope"] == "parley:admin"


def test_the_key_survives_a_restart(tmp_path: Path) -> None:
    first = issuer.jwks(tmp_path)

    assert issuer.jwks(tmp_path) == first


def test_the_key_is_for_its_owner_only_and_alone_in_its_directory(tmp_path: Path) -> None:
    data_dir = tmp_path / "made" / "on the way"

    issuer.issue_token(data_dir, "alice")

    (file,) = data_dir.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_key_set_holds_no_private_part(tmp_path: Path) -> None:
    (key,) = issuer.jwks(tmp_path)["keys"]

    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    # Each waits for the file `go`, so that all find no key at the same time.
    code = (
        "import pathlib, sys, time\n"
        "from parley_local import issuer\n"
        "data = pathlib.Path(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "while not (data / 'go').exists(): time.sleep(0.001)\n"
        "print(issuer.jwks(data)['keys'][0]['kid'])\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

        (tmp_path / "go").touch()

        kids = {process.communicate(timeout=HANG_SECONDS)[0] for process in processes}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert kids == {issuer.jwks(tmp_path)["keys"][0]["kid"] + "\n"}


def test_a_key_of_another_kind_is_refused_rather_than_replaced(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "issuer-key.pem").write_bytes(pem)

    with pytest.raises(OSError, match="elliptic curve"):
        issuer.jwks(tmp_path)


@pytest.mark.parametrize("user", ["", "al ice", "ålice", "a\n", "a" * 129])
def test_a_name_that_the_authorizer_would_refuse_gets_no_token(tmp_path: Path, user: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        issuer.issue_token(tmp_path, user)


@pytest.fixture(scope="module")
def tokens() -> ModuleType:
    """The authorizer's module, which is in no package: on Lambda its folder is the root."""
    folder = ROOT / "functions" / "authorizer"
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("tokens")
    finally:
        sys.path.remove(str(folder))


@example("auth0|5f7c8ec7c33c6c004bbafe82")
@example("a" * 128)
@example("a" * 129)
@example("a\n")
@given(st.text(max_size=140))
def test_issuer_and_authorizer_take_the_same_names(tokens: ModuleType, user: str) -> None:
    assert bool(issuer._USER.fullmatch(user)) == bool(tokens._USER_ID.fullmatch(user))
