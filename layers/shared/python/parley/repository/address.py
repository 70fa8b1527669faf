"""Where Postgres is: a URL, read without ever being quoted."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_SCHEMES = ("postgresql", "postgres")
_SERVICE = "_service"
_ENCODED = "In user and password, characters such as @ : / must be percent-encoded."


def parse_url(url: str) -> URL:
    """Return the parts of a database's URL.

    Raises:
        ValueError: It cannot be used. The message says why and quotes none of it: what stands in
            the wrong place is mostly a piece of the password.
    """
    try:
        parts = make_url(url.strip())
    except (ArgumentError, ValueError):
        # Without the cause, which quotes what it could not read.
        raise ValueError(
            "the database's URL cannot be read: it must be"
            f" postgresql://user:password@host:port/name. {_ENCODED}"
        ) from None
    if parts.drivername.partition("+")[0] not in _SCHEMES:
        raise ValueError("the database's URL does not begin with postgresql://")
    if parts.host is not None and "@" in parts.host:
        raise ValueError(f"the database's URL has more than one @. {_ENCODED}")
    try:
        (parts.host or "").encode("idna")
    except UnicodeError:
        raise ValueError("the database's URL has a host that is no host's name") from None
    if parts.port is not None and not 0 < parts.port < 65_536:
        raise ValueError("the database's URL has a port that is not between 1 and 65535")
    return parts


def service_login(role: str) -> str:
    """Return the name of the login through which the service's own work goes.

    Args:
        role: The run-time role's, as a URL has it. What stands behind a dot is a pooler's, which
            tells its tenants apart by it.
    """
    name, dot, tenant = role.partition(".")
    return f"{name}{_SERVICE}{dot}{tenant}"


def service_url(url: URL) -> URL:
    """Return the same place for the login of the service: that of the run-time role beside it.

    Raises:
        ValueError: The URL names no user.
    """
    if not url.username:
        raise ValueError("the database's run-time URL names no user")
    return url.set(username=service_login(url.username))
