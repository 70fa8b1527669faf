"""Asking before something is done that cannot be taken back."""

from __future__ import annotations

from typing import Annotated

import typer

from parley_cli.errors import CommandFailed
from parley_cli.screen import can_ask, note

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def ask_before(consequence: str, *, declined: str) -> None:
    """Return if whoever types agrees.

    Args:
        consequence: What will be done, as a sentence.
        declined: What is said if they do not agree.

    Raises:
        BadParameter: Nobody is there to be asked.
        CommandFailed: They do not agree.
    """
    if not can_ask():
        raise typer.BadParameter("Nobody is there to be asked; give --yes.")
    note(consequence)
    if not typer.confirm("Go on?", err=True):
        raise CommandFailed(declined)
