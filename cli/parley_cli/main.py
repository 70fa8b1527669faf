"""The `parley` command."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from parley_cli.address import find_target, local_token
from parley_cli.client import Client
from parley_cli.errors import CommandFailed

app = typer.Typer(
    help="Talk to Parley.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="DATA_DIR", help="The data directory of make dev.")
]


@app.command()
def message(
    session: Annotated[str, typer.Option("--session", help="Name of the session to talk in.")],
    text: Annotated[
        str | None, typer.Argument(help="What to say; standard input when absent or -.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="Agent of the session, when this makes it.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of the API; else PARLEY_URL, or make dev.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="Who speaks, on make dev; PARLEY_TOKEN if absent.")
    ] = None,
    data_dir: DataDir = Path(".parley"),
) -> None:
    """Send a message and print the reply."""
    said = _standard_input() if text is None or text == "-" else _utf8(text, "TEXT")
    try:
        target = find_target(os.environ, url=url, data_dir=data_dir, user=user)
        with Client(target) as client:
            answer = client.send_message(said, session=_utf8(session, "--session"), agent=agent)
        reply = answer["reply"]["content"]
    except (KeyError, TypeError) as error:
        raise _failure(CommandFailed("The answer has no reply in it.")) from error
    except CommandFailed as error:
        raise _failure(error) from error
    # A terminal that cannot show a character shows another; the reply is not lost for that.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    typer.echo(reply)


@app.command()
def token(
    user: Annotated[str, typer.Option("--user", help="Whom the token speaks for.")] = "local",
    admin: Annotated[bool, typer.Option("--admin", help="With the scope parley:admin.")] = False,
    data_dir: DataDir = Path(".parley"),
) -> None:
    """Print a token of make dev's issuer, and nothing else."""
    try:
        made = local_token(data_dir, user, admin=admin)
    except CommandFailed as error:
        raise _failure(error) from error
    typer.echo(made)


def _standard_input() -> str:
    if sys.stdin.isatty():
        raise typer.BadParameter("Say something: give TEXT, or pipe it in.", param_hint="TEXT")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter("Standard input is not UTF-8 text.", param_hint="TEXT") from error
    return text.removesuffix("\n")


def _utf8(argument: str, name: str) -> str:
    """Refuse bytes that Python could only carry, not read."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter("It is not UTF-8 text.", param_hint=name) from error
    return argument


def _failure(error: CommandFailed) -> typer.Exit:
    typer.echo(f"parley: {error}", err=True)
    return typer.Exit(1)


if __name__ == "__main__":
    app()
