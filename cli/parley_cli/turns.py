"""`parley turns`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated
from uuid import UUID

import typer

from parley_cli.connection import as_admin, as_user
from parley_cli.errors import CommandFailed
from parley_cli.named import get_session, get_turn_id
from parley_cli.screen import Json, note, on_terminal, show_fields, show_json, show_table
from parley_cli.sessions import Limit, Named
from parley_cli.turn_screen import TurnScreen, show_events, show_turn
from parley_client import Parley
from parley_client.models import CancelledTurn, TurnStatus, TurnStep

app = typer.Typer(
    help="A session's turns: your messages, and what the agent does about each.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_HEADINGS = ("number", "status", "agent", "begun", "id")

Turn = Annotated[
    str | None,
    typer.Argument(
        metavar="TURN", help="Its number or id; the running one, or else the last, when absent."
    ),
]


@app.command("list")
@as_user
def list_(
    parley: Parley,
    session: Named,
    status: Annotated[
        TurnStatus | None, typer.Option("--status", help="Only turns of this status.")
    ] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List a session's turns, newest first.

    Piped: number, status, agent, time of its beginning and id, tab-separated.
    """
    size = min(limit + 1, 100)  # one more than is shown, to know whether there are more
    found = parley.list_turns(get_session(parley, session).id, status=status, page_size=size)
    shown = islice(found, limit)
    if json:
        for turn in shown:
            show_json(turn)
        return
    show_table(_HEADINGS, ((t.number, t.status, t.agent, t.created_at, t.id) for t in shown))
    if on_terminal() and next(found, None) is not None:
        note("There are more: --limit.")


@app.command()
@as_user
def show(parley: Parley, session: Named, turn: Turn = None, json: Json = False) -> None:
    """Show a turn: its state, what was said, what it used, and what was done in it."""
    session_id = get_session(parley, session).id
    found = parley.read_turn(session_id, _named_or_last(parley, session_id, turn))
    if json:
        show_json(found)
    else:
        steps = [("step", told_step(step)) for step in found.steps]
        show_fields(found, ("steps",), steps)


@app.command()
@as_admin
def find(
    parley: Parley,
    named: Annotated[str, typer.Argument(metavar="ID", help="The turn's id, or a request's.")],
    json: Json = False,
) -> None:
    """Show anybody's turn, by its id alone or by that of the request which made it.

    For administrators. A request's id is in its problem document and in each line of its log.
    """
    found = parley.read_any_turn(named)
    if json:
        show_json(found)
    else:
        show_fields(found, ("steps",), [("step", told_step(step)) for step in found.steps])


@app.command()
@as_admin
def latest(
    parley: Parley,
    status: Annotated[
        TurnStatus | None, typer.Option("--status", help="Only turns of this status.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Only of this user.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only of this agent.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List the turns of all users, newest first: what runs, what waits, what failed and why.

    For administrators. Piped: id, user, agent, status, time and reason, tab-separated.
    """
    found = parley.list_all_turns(
        status=status, user_id=user, agent=agent, page_size=min(limit, 100)
    )
    shown = islice(found, limit)
    if json:
        for turn in shown:
            show_json(turn)
        return
    rows = (
        (t.id, t.user_id, t.agent, t.status, t.created_at, t.error and t.error.code) for t in shown
    )
    show_table(("id", "user", "agent", "status", "begun", "reason"), rows)


@app.command()
@as_user
def follow(
    parley: Parley,
    session: Named,
    turn: Turn = None,
    after: Annotated[
        int, typer.Option("--after", min=0, help="Only events after the one of this number.")
    ] = 0,
    json: Json = False,
) -> None:
    """Show what happens in a turn until it ends, and its reply; it may have ended already.

    Piped: the reply alone, and what was done in the turn on the standard error; or with --json
    each event as it comes. Ctrl-C stops following; the turn goes on.
    """
    session_id = get_session(parley, session).id
    shown = _named_or_last(parley, session_id, turn)
    events = parley.follow_turn(session_id, shown, after=after)
    if json:
        show_events(events)
        return
    screen = TurnScreen()
    try:
        show_turn(parley, session_id, events, screen)
    finally:
        # Piped nothing of it is shown yet; and of a turn that nobody followed while it ran, no
        # events were kept.
        if not on_terminal() or not screen.tools:
            for step in parley.read_turn(session_id, shown).steps:
                note(f"→ {told_step(step)}")


def _named_or_last(parley: Parley, session_id: UUID, named: str | None) -> UUID | str:
    """Return the id of the turn that is named, or else of the one that runs, or of the last.

    Raises:
        CommandFailed: There is none.
    """
    if named:
        return get_turn_id(parley, session_id, named)
    running = next(parley.list_turns(session_id, status="running", page_size=1), None)
    found = running or next(parley.list_turns(session_id, page_size=1), None)
    if found is None:
        raise CommandFailed("This session has no turn yet.")
    return found.id


@app.command()
@as_user
def cancel(
    parley: Parley,
    session: Named,
    turn: Annotated[
        str | None,
        typer.Argument(metavar="TURN", help="Its number or id; the running one when absent."),
    ] = None,
    json: Json = False,
) -> None:
    """Cancel a turn that waits or runs, and say what came of it."""
    session_id = get_session(parley, session).id
    if turn is None:
        running = next(parley.list_turns(session_id, status="running", page_size=1), None)
        if running is None:
            raise CommandFailed("No turn of this session is running.")
        chosen: UUID | str = running.id
    else:
        chosen = get_turn_id(parley, session_id, turn)
    cancelled = parley.cancel_turn(session_id, chosen)
    if json:
        show_json(cancelled)
    else:
        typer.echo(told(cancelled))


def told_step(step: TurnStep) -> str:
    """Say what was done in a turn, what came of it, and how long it took."""
    outcome = step.outcome if step.error is None else f"{step.outcome} ({step.error})"
    took = "" if step.milliseconds is None else f", {step.milliseconds:,} ms"
    named = "" if step.call_id is None else f", {step.call_id}"
    return f"{step.kind} {step.name} {outcome}{took}{named}"


def told(cancelled: CancelledTurn) -> str:
    """Say what came of cancelling a turn."""
    match cancelled.outcome:
        case "too_late":
            return f"Too late: the turn has {cancelled.turn.status}."
        case "already_cancelled":
            return "The turn was cancelled before."
        case _:
            error = cancelled.turn.error
            return error.detail if error is not None else "The turn was cancelled."
