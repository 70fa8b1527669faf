"""How every command begins and ends: what cannot be read is refused, what fails is a sentence."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from parley_cli.errors import CommandFailed, explain
from parley_cli.screen import note
from parley_client import ParleyError


class CommandGroup(TyperGroup):
    """The outermost group. Status 1 for what fails, 2 for wrong usage."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse bytes that Python could only carry, not read."""
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError as error:
                raise typer.BadParameter(f"{argument!r} is not UTF-8 text.", ctx=ctx) from error
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and say what went wrong."""
        _open_streams()
        try:
            return super().invoke(ctx)
        except ParleyError as error:
            note(f"parley: {explain(error)}")
        except CommandFailed as error:
            note(f"parley: {error}")
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # who reads has enough, which is no failure to be told of
            _let_go_of_output()
            note(f"parley: The output cannot be written: {error.strerror}.")
        raise typer.Exit(1)


def _open_streams() -> None:
    # Python has None for a stream that was closed before it began.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (it stays open)
    # A terminal that cannot show a character shows another; the rest is not lost for that.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _let_go_of_output() -> None:
    """Let what is still to be written go nowhere, or it fails once more when Python ends."""
    if sys.stdout is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
