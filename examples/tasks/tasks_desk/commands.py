"""`parley tasks`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from parley_cli import CommandFailed, Json, as_user, show_json, show_table, show_text
from parley_client import Parley
from tasks_desk.client import change_task, list_tasks

app = typer.Typer(
    help="Your tasks, as the agent keeps them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
@as_user
def list_(
    parley: Parley,
    done: Annotated[bool, typer.Option("--done", help="Those that are done.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Both open and done.")] = False,
    text: Annotated[str | None, typer.Option("--text", help="Only those with this text.")] = None,
    due_before: Annotated[
        datetime | None, typer.Option("--due-before", help="Only those due before, your time.")
    ] = None,
    json: Json = False,
) -> None:
    """List tasks, oldest first: those that are open, unless asked otherwise.

    Piped: id, title, due time, time of completion and notes, tab-separated.
    """
    if done and all_:
        raise typer.BadParameter("Either --done or --all.")
    due = _aware(due_before) if due_before is not None else None
    found = list_tasks(parley, completed=None if all_ else done, due_before=due, text=text)
    if json:
        for task in found:
            show_json(task)
        return
    rows = ((task.id, task.title, task.due_at, task.completed_at, task.notes) for task in found)
    show_table(("id", "title", "due", "done", "notes"), rows)


@app.command()
@as_user
def done(
    parley: Parley,
    task: Annotated[str, typer.Argument(help="Its id, or the beginning or end of it.")],
) -> None:
    """Tick a task off, and print its title."""
    show_text(change_task(parley, _id_of(parley, task), completed=True).title)


def _id_of(parley: Parley, named: str) -> UUID:
    """Return the id of the open task that this is the id of, or the beginning or end of it.

    Raises:
        CommandFailed: There is none, or there are several.
        ParleyError: The API refused, or could not be reached.
    """
    try:
        return UUID(named)
    except ValueError:
        part = named.lower()
    ids = [task.id for task in list_tasks(parley, completed=False)]
    found = [id_ for id_ in ids if part and (str(id_).startswith(part) or str(id_).endswith(part))]
    match found:
        case [id_]:
            return id_
        case []:
            raise CommandFailed(f"There is no open task whose id begins or ends with {named!r}.")
        case _:
            raise CommandFailed(f"{named!r} is in the ids of {len(found)} open tasks; give more.")


def _aware(time: datetime) -> datetime:
    try:
        return time.astimezone()
    except (OverflowError, OSError, ValueError) as error:
        raise typer.BadParameter("It is too far away.", param_hint="--due-before") from error
