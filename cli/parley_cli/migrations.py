"""`parley migrations`: the migrations of a project's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parley_cli.errors import CommandFailed

app = typer.Typer(
    no_args_is_help=True, help="The migrations of your own tables.", rich_markup_mode=None
)


@app.callback()
def migrations() -> None:
    """Keep `new` a command of its own, beside which others may come."""


@app.command()
def new(
    message: Annotated[str, typer.Argument(help="What it does, in a few words.")],
) -> None:
    """Write a migration behind the newest, and print its file.

    It goes into the folder that [tool.parley] names as migrations. parley dev runs it when it
    starts, and a deployment before its functions change over.
    """
    try:
        from parley_project.faults import ProjectFaults
        from parley_project.file import find_project
        from parley_project.migrations import migrations_folder, new_migration
    except ImportError as error:
        raise CommandFailed(f"What makes migrations is not installed: {error}.") from error
    try:
        made = new_migration(migrations_folder(find_project(Path.cwd())), message)
    except ProjectFaults as faults:
        raise CommandFailed(str(faults)) from faults
    here = Path.cwd()
    typer.echo(made.relative_to(here) if made.is_relative_to(here) else made)
