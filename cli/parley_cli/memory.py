"""`parley memory`."""

from __future__ import annotations

import typer

from parley_cli.connection import as_user
from parley_cli.consent import Yes, ask_before
from parley_cli.named import get_session
from parley_cli.screen import Json, note, show_fields, show_json
from parley_cli.sessions import Named, named
from parley_client import Parley

app = typer.Typer(
    help="What the agent remembers of a session.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
@as_user
def show(parley: Parley, session: Named, json: Json = False) -> None:
    """Count what the agent remembers: turns, the model's items, and bytes as stored.

    With what a summary tells of the turns that it is not shown any more.
    """
    counted = parley.count_memory(get_session(parley, session).id)
    (show_json if json else show_fields)(counted)


@app.command()
@as_user
def clear(parley: Parley, session: Named, yes: Yes = False) -> None:
    """Make the agent forget, after asking; the transcript stays."""
    found = get_session(parley, session)
    if not yes:
        consequence = f"{named(found)}: its agent will remember nothing of it any more."
        ask_before(consequence, declined="Nothing was forgotten.")
    parley.clear_memory(found.id)
    note(f"{named(found)} is forgotten by its agent; its transcript stays.")


@app.command()
@as_user
def prune(parley: Parley, session: Named, json: Json = False) -> None:
    """Remove what is too old for the agent to be shown, and say how many turns that was."""
    pruned = parley.prune_memory(get_session(parley, session).id)
    (show_json if json else show_fields)(pruned)
