"""A command that a project adds to `parley`, looked at before somebody calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parley_project.importing import Unusable, find


def command_at(target: str) -> Any:
    """Return the `typer.Typer`, or the function, that a target names.

    Raises:
        Unusable: It is neither, or no command can be made of it.
        BaseException: Whatever importing its module raises.
    """
    import typer
    from typer.main import get_command

    found = find(target)
    if not isinstance(found, typer.Typer):
        if isinstance(found, type) or not callable(found):
            kind = "a class" if isinstance(found, type) else f"of type {type(found).__name__}"
            raise Unusable(f"{target} is {kind}, not a typer.Typer or a function")
        get_command(_alone(found))
    elif not (found.registered_commands or found.registered_groups or found.registered_callback):
        raise Unusable(f"{target} is a typer.Typer without commands")
    else:
        get_command(found)
    return found


def _alone(function: Callable[..., Any]) -> Any:
    import typer

    alone = typer.Typer(add_completion=False)
    alone.command()(function)
    return alone
