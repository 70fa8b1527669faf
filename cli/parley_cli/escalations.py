"""`parley escalations`: what the agents have handed to people."""

from __future__ import annotations

from itertools import islice
from typing import Annotated
from uuid import UUID

import typer

from parley_cli.connection import as_admin
from parley_cli.screen import Json, note, show_json, show_table
from parley_cli.sessions import Limit, show_messages
from parley_client import Parley

app = typer.Typer(
    help="Sessions that their agent has handed to people, of all users.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SessionId = Annotated[UUID, typer.Argument(metavar="SESSION_ID", help="Its id.")]


@app.command("list")
@as_admin
def list_(parley: Parley, limit: Limit = 20, json: Json = False) -> None:
    """List them, newest activity first. Piped: id, user, agent, time and reason, tab-separated."""
    found = parley.list_all_sessions(status="escalated", page_size=min(limit, 100))
    shown = islice(found, limit)
    if json:
        for session in shown:
            show_json(session)
        return
    rows = ((s.id, s.user_id, s.agent, s.last_activity_at, s.status_reason) for s in shown)
    show_table(("id", "user", "agent", "last activity", "reason"), rows)


@app.command()
@as_admin
def show(parley: Parley, session: SessionId, json: Json = False) -> None:
    """Show what was said, oldest message first. Piped: time, role and content, tab-separated."""
    show_messages(parley.read_any_transcript(session, order="asc"), json=json)


@app.command()
@as_admin
def resolve(
    parley: Parley,
    session: SessionId,
    answer: Annotated[
        str | None, typer.Option("--note", help="What the user is told, and the agent shown.")
    ] = None,
) -> None:
    """Make the session active again, so that its user and its agent go on; with --note, answer."""
    parley.change_session_status(session, status="active", note=answer)
    note(f"The session {session} is active again.")
