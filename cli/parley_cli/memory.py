"""`parley memory`."""

from __future__ import annotations

import typer

from parley_cli.connection import as_user
from parley_cli.named import get_session
from parley_cli.screen import Json, show_fields, show_json
from parley_cli.sessions import Named
from parley_client import Parley

app = typer.Typer(
    help="What the agent remembers of a session.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
@as_user
def show(parley: Parley, session: Named, json: Json = False) -> None:
    """Count what the agent remembers: turns, the model's items, and bytes as stored."""
    counted = parley.count_memory(get_session(parley, session).id)
    (show_json if json else show_fields)(counted)


@app.command()
@as_user
def clear(parley: Parley, session: Named) -> None:
    """Make the agent forget; the transcript stays."""
    parley.clear_memory(get_session(parley, session).id)


@app.command()
@as_user
def prune(parley: Parley, session: Named, json: Json = False) -> None:
    """Remove what is too old for the agent to be shown, and say how many turns that was."""
    pruned = parley.prune_memory(get_session(parley, session).id)
    (show_json if json else show_fields)(pruned)
