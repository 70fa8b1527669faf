"""The issuer of `make dev`: one key pair in the data directory, and tokens signed with it.

It exists so that a laptop runs the same authorizer as AWS does. Whoever can read the data
directory can be anybody, which is why it is for one's own machine only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from base64 import urlsafe_b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

ISSUER: Final = "urn:parley:local-issuer"
"""Its name, as OIDC_ISSUER. Not an address: tokens stay good when the port changes."""

AUDIENCE: Final = "parley-local"
"""Whom its tokens are for, as OIDC_AUDIENCE."""

ADMIN_SCOPE: Final = "parley:admin"

DEFAULT_LIFETIME: Final = timedelta(days=1)

_KEY_FILE = "issuer-key.pem"
# The authorizer's rule, so that no token is made that it would refuse.
_USER = re.compile(r"[!-~]{1,128}")


def issue_token(
    data_dir: Path, user: str, *, admin: bool = False, lifetime: timedelta = DEFAULT_LIFETIME
) -> str:
    """Return a signed token that makes its bearer this user.

    Args:
        data_dir: Where the key is, or is made at the first call.
        user: 1 to 128 printable ASCII characters without spaces.
        admin: Whether the token carries the scope `parley:admin`.
        lifetime: From now.

    Raises:
        ValueError: This cannot be a user's name.
        OSError: The key cannot be read or made.
    """
    if not _USER.fullmatch(user):
        raise ValueError("A user's name is 1 to 128 printable ASCII characters without spaces.")
    key = _key(data_dir)
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "scope": ADMIN_SCOPE if admin else "",
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
    }
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": _public(key)["kid"]})


def ensure_key(data_dir: Path) -> None:
    """Make the issuer's key if there is none, as `make dev` does when it first runs there.

    Raises:
        OSError: The key cannot be read or made.
    """
    _key(data_dir)


def has_key(data_dir: Path) -> bool:
    """Return whether the issuer has its key: without one nobody would believe its tokens."""
    return (data_dir / _KEY_FILE).exists()


def jwks(data_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the JSON Web Key Set to serve at OIDC_JWKS_URL; the public key only.

    Raises:
        OSError: The key cannot be read or made.
    """
    return {"keys": [_public(_key(data_dir))]}


def _public(key: EllipticCurvePrivateKey) -> dict[str, Any]:
    numbers = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # RFC 7638: an id made from the key, so that a new key is never taken for the old one.
    members = {name: numbers[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode())
    kid = urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    return {**members, "kid": kid, "use": "sig", "alg": "ES256"}


def _key(data_dir: Path) -> EllipticCurvePrivateKey:
    path = data_dir / _KEY_FILE
    if not path.exists():
        _make_key(path)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise OSError(f"{path} does not hold an elliptic curve key; remove it to have one made.")
    return key


def _make_key(path: Path) -> None:
    """Make the key file, whole or not at all, readable by its owner only.

    Of several processes that do it at once one wins, and all use its key: a link, other than a
    rename, never replaces a file that is there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        os.unlink(draft)
