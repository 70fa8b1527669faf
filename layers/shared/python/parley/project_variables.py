"""The variables of the project's own code, as the manifest lists them.

A deployment gives secrets by ARN, in a variable beside the one that the code reads; they are
fetched when the project's code is first imported, and again when they have been kept for a while,
since nothing here sees that somebody refuses one that was rotated.
"""

from __future__ import annotations

import os
import time
from threading import Lock

from parley.errors import MissingSetting, StoreUnavailable
from parley.manifest import Variable, manifest
from parley.observability import logger
from parley.secrets import Secret

ARN_SUFFIX = "_SECRET_ARN"
"""What the name of the variable with a secret's ARN ends in, behind that of the secret's own."""


MAX_AGE_SECONDS = 300
"""How old a secret in the environment may be when a turn or an HTTP request begins."""

_fetched: dict[str, float] = {}
"""When each secret that stands in the environment was fetched, by its variable's name."""

_renewing = Lock()


def require_variables() -> None:
    """See that each variable that the project requires is set, or can be fetched.

    Raises:
        MissingManifest: No project was given to this process.
        MissingSetting: Names the first that is not.
    """
    for variable in manifest().environment:
        if variable.required and not os.environ.get(variable.name) and _arn(variable) is None:
            names = variable.name
            if variable.secret:
                names += f" or {variable.name}{ARN_SUFFIX}"
            raise MissingSetting(names, "[tool.parley.environment] requires it")


def fill_environment() -> None:
    """Set what the project's code reads: secrets, which are fetched now, and defaults.

    What is set already stays, so another call costs nothing.

    Raises:
        MissingManifest: No project was given to this process.
        StoreUnavailable: A secret cannot be had; another call tries again.
    """
    for variable in manifest().environment:
        if os.environ.get(variable.name):
            continue
        if (arn := _arn(variable)) is not None:
            _fetch(variable.name, arn)
        elif variable.default is not None:
            os.environ[variable.name] = variable.default


def unfetched() -> list[str]:
    """Return the names of the secrets that the project's code reads and that are not there yet."""
    return [
        variable.name
        for variable in manifest().environment
        if not os.environ.get(variable.name) and _arn(variable) is not None
    ]


def secrets_are_old() -> bool:
    """Return whether a secret in the environment has been kept for as long as it may."""
    # Not by a clock that stands still while a function is frozen.
    oldest = min(_fetched.values(), default=None)
    return oldest is not None and not 0 <= time.time() - oldest < MAX_AGE_SECONDS


def renew_environment() -> None:
    """Fetch the secrets in the environment again that are old; the others cost nothing.

    One that cannot be had now stays as it is, for as long again.
    """
    if not secrets_are_old():
        return
    with _renewing:
        if not secrets_are_old():
            return  # another thread was first
        for variable in manifest().environment:
            arn = _arn(variable)
            if arn is not None and variable.name in _fetched:
                try:
                    _fetch(variable.name, arn)
                except StoreUnavailable as error:
                    _fetched[variable.name] = time.time()
                    logger().warning("a secret could not be fetched again", reason=str(error))


def _fetch(name: str, arn: str) -> None:
    os.environ[name] = Secret(arn).value
    _fetched[name] = time.time()


def secret_of(name: str) -> Secret | str | None:
    """Return what a variable of the project holds: a secret to fetch, its value, or None."""
    value = os.environ.get(name)
    for variable in manifest().environment:
        if variable.name == name and (arn := _arn(variable)) is not None:
            return Secret(arn)
    return value or None


def _arn(variable: Variable) -> str | None:
    """Return the ARN of a secret; None where a value is to be given, or nothing is."""
    return (os.environ.get(variable.name + ARN_SUFFIX) or None) if variable.secret else None
