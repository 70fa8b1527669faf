"""The options of commands that talk to Parley: which one, and as whom."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from parley_cli.address import DATA_DIR, Target, find_target

if TYPE_CHECKING:
    from parley_client import Parley

P = ParamSpec("P")

Url = Annotated[
    str | None, typer.Option("--url", help="Address of the API; else PARLEY_URL, or parley dev.")
]
User = Annotated[
    str | None, typer.Option("--user", help="Who speaks, on parley dev; PARLEY_TOKEN if absent.")
]
DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="DATA_DIR", help="The data directory of parley dev.")
]


def connect(target: Target) -> Parley:
    """Return a client; nothing is sent."""
    from parley_client import Parley

    return Parley(target.url, target.token)


def as_user(command: Callable[Concatenate[Parley, P], None]) -> Callable[..., None]:
    """Make a command of a function whose first argument is a client that speaks for a user.

    The command takes the function's other arguments, `--url`, `--user` and `--data-dir`.
    """
    return _command(command, {"url": Url, "user": User, "data_dir": DataDir}, admin=False)


def as_admin(command: Callable[Concatenate[Parley, P], None]) -> Callable[..., None]:
    """Make a command of a function whose first argument is an administrator's client.

    Without PARLEY_TOKEN that is parley dev's own. `--user` is free for whom the command is about.
    """
    return _command(command, {"url": Url, "data_dir": DataDir}, admin=True)


def _command(
    command: Callable[Concatenate[Parley, P], None], options: dict[str, Any], *, admin: bool
) -> Callable[..., None]:
    def run(*, url: str | None, data_dir: Path, **arguments: Any) -> None:
        # An administrator's command may have a user among its own arguments.
        user = None if admin else arguments.pop("user")
        target = find_target(os.environ, url=url, data_dir=data_dir, user=user, admin=admin)
        with connect(target) as parley:
            command(parley, **arguments)  # type: ignore[call-arg]

    _, *parameters = inspect.signature(command, eval_str=True).parameters.values()
    for name, annotation in options.items():
        default = DATA_DIR if name == "data_dir" else None
        kind = Parameter.KEYWORD_ONLY
        parameters.append(Parameter(name, kind, default=default, annotation=annotation))
    # Typer makes the options of what it reads here.
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
