"""What a deployment is made of: its agents, and what else belongs to its project.

The backend knows no agent by name. What builds or starts a deployment writes a module
`parley_manifest` with one constant `MANIFEST`, from `[tool.parley]` of the project's
`pyproject.toml`; the functions import it. On Lambda nothing is searched for, and no TOML is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import Any, Literal, cast

from parley.errors import MissingManifest

MODULE = "parley_manifest"
"""The module that is generated."""

DEPLOYMENTS_KEY = "OPENAI_API_KEY"
"""What an offer's `key` is that names the deployment's own."""

ModelApi = Literal["responses", "chat_completions"]
OnOff = Literal["off", "on"]


@dataclass(frozen=True, slots=True)
class Offer:
    """An agent that a session can be held with.

    Attributes:
        description: What it is for, in a sentence for people.
        target: Where it is, as `package.module:object`: an `Agent`, or a function that gives one.
        context: Where the function is that makes the agent's own context of a turn; the function
            `context` beside the target if None, where there is one.
        model: The model of those of its agents that name none; the deployment's if None.
        base_url: Its model's server; the deployment's if None.
        api: What that server speaks; what the deployment's does if None.
        key: The variable of the project's that holds its model's key, or `DEPLOYMENTS_KEY`. None is
            the deployment's, and none at all for a server of its own.
        memory_summary: Whether what its sessions' windows leave behind is summarised; as the
            deployment says if None.
        memory_summary_model: The model that does it; the deployment's for it, or else the agent's
            own, if None.
    """

    description: str
    target: str
    context: str | None = None
    model: str | None = None
    base_url: str | None = None
    api: ModelApi | None = None
    key: str | None = None
    memory_summary: OnOff | None = None
    memory_summary_model: str | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that the project's own code reads.

    Attributes:
        name: Its name in the environment.
        secret: Whether a deployment keeps it as a secret; else it is a parameter of the stack.
        required: Whether nothing starts without it.
        default: What it is where nobody sets it.
    """

    name: str
    secret: bool = False
    required: bool = True
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A project, as its functions know it.

    Attributes:
        agents: The agents, by the names that sessions ask for them.
        default: The agent of a session that names none.
        routes: Modules with routes of the project's own.
        user_data: Where its tables with rows of users are told, as `package.module:object`.
        migrations: The folder of its migrations: a path from the project's own, and in what is
            generated from the code of `functions/migrate`.
        environment: The variables that its code reads.
        offline: Its rules for the offline model, each as `package.module:object`.
    """

    agents: Mapping[str, Offer]
    default: str
    routes: tuple[str, ...] = ()
    user_data: str | None = None
    migrations: str | None = None
    environment: tuple[Variable, ...] = ()
    offline: tuple[str, ...] = ()


@cache
def manifest() -> Manifest:
    """Return the manifest of this deployment.

    Raises:
        MissingManifest: Nothing has written one, or it is not on the path.
    """
    try:
        module = import_module(MODULE)
    except ModuleNotFoundError as error:
        if error.name != MODULE:
            raise
        raise MissingManifest(MODULE) from None
    return cast("Manifest", module.MANIFEST)


def locate(target: str) -> Any:
    """Import what `package.module:object` names, and return it.

    Raises:
        Exception: Whatever the import raises, and AttributeError if there is no such object.
    """
    module, _, name = target.partition(":")
    return attrgetter(name)(import_module(module))
