"""`parley message`: one message, one reply."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from parley_cli.connection import as_user
from parley_cli.errors import CommandFailed
from parley_cli.screen import Json, can_ask, show_json, show_text, waiting
from parley_client import Parley


@as_user
def message(
    parley: Parley,
    session: Annotated[str, typer.Option("--session", help="Name of the session to talk in.")],
    text: Annotated[
        str | None, typer.Argument(help="What to say; standard input when absent or -.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="Agent of the session, when this makes it.")
    ] = None,
    json: Json = False,
) -> None:
    """Send a message and print the reply."""
    said = _standard_input() if text is None or text == "-" else text
    with waiting("Waiting for the reply …"):
        answer = parley.send_first_message(said, session_name=session, agent=agent, platform="cli")
    if json:
        show_json(answer)
    elif answer.reply is None:
        raise CommandFailed(f"The turn is {answer.turn.status}, without a reply.")
    else:
        show_text(answer.reply.content)


def _standard_input() -> str:
    if can_ask():
        raise typer.BadParameter("Say something: give TEXT, or pipe it in.", param_hint="TEXT")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter("Standard input is not UTF-8 text.", param_hint="TEXT") from error
    return text.removesuffix("\n")
