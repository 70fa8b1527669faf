"""What a deployment is made with: the template's parameters, from three places."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parley.errors import ParleyError

SECRETS = {"DatabaseSecretArn": "DATABASE_SECRET_ARN", "OpenAiSecretArn": "OPENAI_SECRET_ARN"}
"""The parameters without a default, and the variables that they are taken from."""

EVERY_SECRET = {**SECRETS, "DatabaseRuntimeSecretArn": "DATABASE_RUNTIME_SECRET_ARN"}
"""Those, and the one that a deployment does not fail without."""

_OF_ONE_DATABASE = {
    "DatabaseSecretArn": "DatabaseRuntimeSecretArn",
    "DatabaseRuntimeSecretArn": "DatabaseSecretArn",
}


class MissingSecret(ParleyError):
    """A secret's ARN was not given.

    Attributes:
        variable: The variable that would give it.
    """

    def __init__(self, variable: str) -> None:
        super().__init__(variable)
        self.variable = variable


def chosen(
    samconfig: Path,
    env: str,
    given: Sequence[str],
    variables: Mapping[str, str],
    architecture: str,
) -> dict[str, str]:
    """Return the template's parameters by name: the file's, the secrets', and those given last.

    A secret that the file names for an environment is that environment's: a variable that says
    another one, left in the shell from other work perhaps, stops the deployment. So does one that
    alone says the database's other secret, where the file names one of the two.

    Args:
        samconfig: The file `samconfig.toml`.
        env: Which of its environments.
        given: `Name=value` each; over the file's.
        variables: The environment, for the secrets' ARNs.
        architecture: What the packages were built for.

    Raises:
        MissingSecret: The file and the variables both lack a secret's ARN.
        ValueError: There is no such environment, something is not of the form `Name=value`, or
            the file and a variable say different secrets, or each one of the database's two.
    """
    written = written_for(samconfig, env, "deploy").get("parameter_overrides", [])
    parameters = _pairs(written.split() if isinstance(written, str) else written)
    asked = _pairs(given)
    named = set(parameters)
    for name, variable in EVERY_SECRET.items():
        exported = variables.get(variable)
        if exported and parameters.get(name, exported) != exported and name not in asked:
            raise ValueError(
                f"{samconfig.name} names {parameters[name]} as {name} of {env}, and {variable} "
                f'says {exported}; unset {variable}, or give PARAMETERS="{name}=…" to mean it'
            )
        other = _OF_ONE_DATABASE.get(name)
        if exported and other in named and not {name, other} & asked.keys() and name not in named:
            raise ValueError(
                f"{samconfig.name} names {other} of {env}, and only {variable} says {name}, of "
                f'another database perhaps; unset {variable}, or give PARAMETERS="{name}=…" to '
                "mean it"
            )
        if exported:
            parameters[name] = exported
    parameters |= asked
    for name, variable in SECRETS.items():
        if not parameters.get(name):
            raise MissingSecret(variable)
    # A parameter that is not given keeps its old value, whatever was built this time.
    parameters["Architecture"] = architecture
    return parameters


def written_for(samconfig: Path, env: str, command: str) -> dict[str, Any]:
    """Return what the file says to a command of `sam` in an environment.

    Raises:
        ValueError: There is no such environment.
    """
    document = tomllib.loads(samconfig.read_text(encoding="utf-8"))
    if env not in document:
        raise ValueError(f"{samconfig.name} has no environment {env}")
    sections = (document[env].get(name, {}).get("parameters", {}) for name in ("global", command))
    return {name: value for section in sections for name, value in section.items()}


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isalnum():
            raise ValueError(f"{text} is not of the form Name=value")
        pairs[name] = value
    return pairs


def quoted(value: str) -> str:
    """Write a value as `sam` reads it: without quotes it refuses an empty one."""
    return '"' + value.replace('"', '\\"') + '"'


def stamp(parameters: Mapping[str, str], packages: Sequence[Path]) -> None:
    """Put into each package what says with which parameters it is deployed.

    SAM publishes a version when code or template change, and not when a parameter's value does:
    the alias would go on with the old settings.
    """
    text = json.dumps(parameters, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    for package in packages:
        (package / "parameters.sha256").write_text(digest + "\n", encoding="utf-8")
