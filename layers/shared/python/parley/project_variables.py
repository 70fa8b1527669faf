"""The variables of the project's own code, as the manifest lists them.

A deployment gives secrets by ARN, in a variable beside the one that the code reads; they are
fetched when the project's code is first imported.
"""

from __future__ import annotations

import os

from parley.errors import MissingSetting
from parley.manifest import Variable, manifest
from parley.secrets import Secret

ARN_SUFFIX = "_SECRET_ARN"
"""What the name of the variable with a secret's ARN ends in, behind that of the secret's own."""


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
        arn = _arn(variable)
        value = Secret(arn).value if arn is not None else variable.default
        if value is not None:
            os.environ[variable.name] = value


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
