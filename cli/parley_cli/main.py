"""The `parley` command."""

from __future__ import annotations

from typing import Annotated

import typer

from parley_cli.group import CommandGroup

app = typer.Typer(
    cls=CommandGroup,
    help=(
        "Talk to Parley. PARLEY_URL and PARLEY_TOKEN name a deployed one; without them it is the"
        " one that parley dev runs. What is piped is plain: tab-separated columns, or JSON lines"
        " with --json."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        from parley import __version__

        typer.echo(f"parley {__version__}")
        raise typer.Exit


@app.callback()
def parley(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Make `--version` an option of the command itself."""


if __name__ == "__main__":
    app()
