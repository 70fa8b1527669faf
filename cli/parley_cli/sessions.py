"""`parley sessions`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from parley_cli.chat_screen import show_history
from parley_cli.connection import as_user
from parley_cli.consent import Yes, ask_before
from parley_cli.named import get_session
from parley_cli.screen import Json, note, on_terminal, show_fields, show_json, show_table
from parley_client import Parley
from parley_client.models import Session, SessionStatus, TranscriptMessage

app = typer.Typer(
    help="Your sessions. SESSION is a name or an id.", no_args_is_help=True, rich_markup_mode=None
)

HEADINGS = ("name", "agent", "status", "last activity", "id")
Named = Annotated[str, typer.Argument(metavar="SESSION", help="Its name or id.")]
Status = Annotated[
    SessionStatus | None, typer.Option("--status", help="Only sessions of this status.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]


def columns(session: Session) -> tuple[object, ...]:
    """Return a session's row below HEADINGS."""
    return (session.name, session.agent, session.status, session.last_activity_at, session.id)


@app.command("list")
@as_user
def list_(
    parley: Parley,
    status: Status = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only with this agent.")] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", help="Only of this platform: cli, web, api, …")
    ] = None,
    limit: Limit = 20,
    all_: Annotated[bool, typer.Option("--all", help="However many there are.")] = False,
    json: Json = False,
) -> None:
    """List sessions, newest activity first.

    Piped: name, agent, status, time of the last activity and id, tab-separated.
    """
    # One more than is shown, to know whether there are more.
    size = 100 if all_ else min(limit + 1, 100)
    found = parley.list_sessions(status=status, agent=agent, platform=platform, page_size=size)
    shown = found if all_ else islice(found, limit)
    if json:
        for session in shown:
            show_json(session)
        return
    show_table(HEADINGS, map(columns, shown))
    if on_terminal() and next(found, None) is not None:
        note("There are more: --limit, or --all.")


@app.command()
@as_user
def show(
    parley: Parley,
    session: Named,
    messages: Annotated[bool, typer.Option("--messages", help="Show its transcript.")] = False,
    json: Json = False,
) -> None:
    """Show a session, or its transcript, oldest message first.

    Piped: a field and its value a line, or with --messages time, role and content a line.
    """
    found = get_session(parley, session)
    if messages:
        show_messages(parley.read_transcript(found.id, order="asc"), json=json)
    elif json:
        show_json(found)
    else:
        show_fields(found)


def show_messages(messages: Iterator[TranscriptMessage], *, json: bool) -> None:
    """Print messages in their order."""
    if json:
        for message in messages:
            show_json(message)
        return
    show_history(messages)


@app.command()
@as_user
def create(
    parley: Parley,
    name: Annotated[str | None, typer.Argument(help="Unique among your sessions.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Who answers.")] = None,
    json: Json = False,
) -> None:
    """Make a session, and print its id; a name that is there already gives that session."""
    made = parley.create_session(name=name, agent=agent, platform="cli")
    if json:
        show_json(made)
    else:
        typer.echo(made.id)


@app.command()
@as_user
def end(parley: Parley, session: Named) -> None:
    """End a session; its memory stays until its time is over, so that it can be reopened."""
    _set_status(parley, session, "ended", "is ended")


@app.command()
@as_user
def reopen(parley: Parley, session: Named) -> None:
    """Make a session active again."""
    _set_status(parley, session, "active", "is active again")


@app.command()
@as_user
def delete(parley: Parley, session: Named, yes: Yes = False) -> None:
    """Delete a session with its transcript and memory, after asking; nothing brings it back."""
    found = get_session(parley, session)
    called = named(found)
    if not yes:
        consequence = f"{called}, its transcript and memory will be removed for good."
        ask_before(consequence, declined="Nothing was deleted.")
    parley.delete_session(found.id)
    note(f"{called} is deleted.")


def named(session: Session) -> str:
    """Return how a session is named to a person."""
    return f"The session {session.name or session.id}"


def _set_status(parley: Parley, session: str, status: SessionStatus, told: str) -> None:
    found = get_session(parley, session)
    parley.change_session(found.id, status=status)
    note(f"{named(found)} {told}.")
