"""How every command begins and ends: what cannot be read is refused, what fails is a sentence."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from parley_cli.clean import clean
from parley_cli.errors import CommandFailed
from parley_cli.lazily import Commands, Offered
from parley_cli.own_commands import OwnCommand, own_commands

COMMANDS = {
    "init": Offered("project", "init", "Make a project of your own."),
    "check": Offered("project", "check", "Say what is wrong with your project."),
    "dev": Offered("project", "dev", "Run the whole backend, with your agents, on this machine."),
    "test": Offered("project", "test", "Run your project's tests.", passes_on=True),
    "build": Offered("deployment", "build", "Package your project for AWS Lambda."),
    "template": Offered("deployment", "template", "Print the SAM template, to make it your own."),
    "deploy": Offered("deployment", "deploy", "Deploy your project into your AWS account."),
    "chat": Offered("chat", "chat", "A conversation with an agent."),
    "open": Offered("open_page", "open_page", "The chat page, in a browser."),
    "message": Offered("message", "message", "Send a message and print the reply."),
    "sessions": Offered("sessions", "app", "Your sessions."),
    "turns": Offered("turns", "app", "A session's turns, and what was done in each."),
    "approvals": Offered("approvals", "app", "What agents ask you to approve."),
    "usage": Offered("usage", "usage", "What your turns took, and cost."),
    "memory": Offered("memory", "app", "What the agent remembers of a session."),
    "token": Offered("token", "token", "Print a token of parley dev's."),
    "migrate": Offered("migrate", "migrate", "Bring a database's schema up to date."),
    "migrations": Offered("migrations", "app", "The migrations of your own tables."),
    "stats": Offered("statistics", "stats", "How the deployment does. (administrators)"),
    "escalations": Offered("escalations", "app", "What agents handed to people. (administrators)"),
    "cleanup": Offered("cleanup", "cleanup", "Remove what is past its time. (administrators)"),
    "users": Offered("users", "app", "Any user's sessions, and their id. (administrators)"),
    "export": Offered("user_data", "export", "Write all that is kept of a user. (administrators)"),
    "erase": Offered("user_data", "erase", "Remove all that is kept of a user. (administrators)"),
}


class CommandGroup(TyperGroup):
    """The outermost group. Status 1 for what fails, 2 for wrong usage."""

    def __init__(self, **attributes: Any) -> None:
        """Take the commands, Parley's and the project's; none is imported yet."""
        super().__init__(**attributes)
        own, self._unknown = _of_project()
        self._offered = Commands({**COMMANDS, **own})
        self.commands = self._offered

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._offered.summaries()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; where the project's are not known, say why it may not be found."""
        if self._unknown and args and args[0] not in self.commands:
            ctx.fail(
                f"No such command {args[0]!r} of Parley's, and those of your project cannot be"
                f" read. {clean(self._unknown)}"
            )
        return super().resolve_command(ctx, args)

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
        except CommandFailed as error:
            _tell(str(error))
        except typer.BadParameter as error:
            from parley_cli.refused import reword

            reword(error)
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # who reads has enough, which is no failure to be told of
            _let_go_of_output()
            _tell(f"The output cannot be written: {error.strerror}.")
        except Exception as error:
            # Whoever raises the client's errors has imported it.
            explained = _explained(error)
            if explained is None:
                raise
            _tell(explained)
        raise typer.Exit(1)


def _of_project() -> tuple[dict[str, OwnCommand], str]:
    """Return the project's commands, or why they are not known."""
    try:
        here = Path.cwd()
    except OSError:  # the folder is gone
        return {}, ""
    from parley_project.faults import ProjectFaults

    try:
        return own_commands(here, COMMANDS), ""
    except (OSError, ProjectFaults) as fault:
        return {}, str(fault)


def _explained(error: Exception) -> str | None:
    if "parley_client" not in sys.modules:
        return None
    from parley_cli.errors import explain
    from parley_client import ParleyError

    return explain(error) if isinstance(error, ParleyError) else None


def _tell(what: str) -> None:
    typer.echo(clean(f"parley: {what}"), err=True)


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
