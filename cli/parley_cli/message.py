"""`parley message`: one message, one reply."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from parley_cli.connection import as_user
from parley_cli.errors import CommandFailed
from parley_cli.screen import Json, can_ask, show_json, show_text, waiting
from parley_client import Parley
from parley_client.models import OnConflict


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
    background: Annotated[
        bool, typer.Option("--background", help="Do not wait: print the turn's id.")
    ] = False,
    enqueue: Annotated[
        bool, typer.Option("--enqueue", help="Wait behind the turn that runs, if one does.")
    ] = False,
    json: Json = False,
) -> None:
    """Send a message and print the reply."""
    said = _standard_input() if text is None or text == "-" else text
    on_conflict: OnConflict | None = "enqueue" if enqueue else None
    if background:
        queued = parley.queue_first_message(
            said, session_name=session, agent=agent, platform="cli", on_conflict=on_conflict
        )
        if json:
            show_json(queued)
        else:
            typer.echo(queued.turn.id)
        return
    with waiting("Waiting for the reply …"):
        answer = parley.send_first_message(
            said, session_name=session, agent=agent, platform="cli", on_conflict=on_conflict
        )
    if json:
        show_json(answer)
    elif answer.turn.status == "queued":
        raise CommandFailed(
            f"Turn {answer.turn.id} is queued behind a turn that waits for a decision:"
            " `parley approvals list` tells for what."
        )
    elif answer.reply is None:
        ids = ", ".join(str(each.id) for each in answer.approvals)
        what = f": see `parley approvals show` of {ids}" if ids else ""
        raise CommandFailed(f"The turn is {answer.turn.status}, without a reply{what}.")
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
