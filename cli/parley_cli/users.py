"""`parley users`: what administrators do about the ids that tokens give users."""

from __future__ import annotations

from typing import Annotated

import typer

from parley_cli.connection import as_admin
from parley_cli.consent import Yes, ask_before
from parley_cli.progress import progress
from parley_cli.screen import Json, note, show_fields, show_json
from parley_client import Parley
from parley_client.admin_models import Renaming

app = typer.Typer(
    help="Users, by the ids that tokens give them; for administrators.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def users() -> None:
    """Make `rename` a command below `users` although it is the only one."""


@app.command()
@as_admin
def rename(
    parley: Parley,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The id as tokens named it.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The id as tokens name it now.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put all that there is of a user under another id; safe to repeat."""
    if not yes:
        consequence = f"All sessions, tasks and memory of {old} will be those of {new}."
        ask_before(consequence, declined="Nothing was renamed.")
    total: Renaming | None = None
    try:
        with progress("Renaming") as say:
            for step in parley.rename_user(old, new):
                total = _sum(total, step) if total else step
                say(f"{total.sessions:,} sessions, {total.tasks:,} tasks")
    finally:
        # What was renamed before something failed is.
        if total is not None:
            (show_json if json else show_fields)(total)
    if total is not None and total.waiting:
        note(f"{total.waiting:,} sessions have an open turn. Rename again when they are over.")


def _sum(one: Renaming, other: Renaming) -> Renaming:
    # Those that wait are met again by each step.
    figures = {name: getattr(one, name) + getattr(other, name) for name in _ADDED}
    return other.model_copy(update=figures)


_ADDED = ("sessions", "tasks", "items")
