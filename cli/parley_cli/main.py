"""The `parley` command."""

from __future__ import annotations

import typer

from parley_cli import escalations, memory, sessions, tasks, turns, users
from parley_cli.chat import chat
from parley_cli.cleanup import cleanup
from parley_cli.group import CommandGroup
from parley_cli.message import message
from parley_cli.migrate import migrate
from parley_cli.statistics import stats
from parley_cli.token import token
from parley_cli.user_data import erase, export

app = typer.Typer(
    cls=CommandGroup,
    help=(
        "Talk to Parley. PARLEY_URL and PARLEY_TOKEN name a deployed one; without them it is the"
        " one that make dev runs. What is piped is plain: tab-separated columns, or JSON lines"
        " with --json."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(chat)
app.command()(message)
app.add_typer(sessions.app, name="sessions")
app.add_typer(turns.app, name="turns")
app.add_typer(tasks.app, name="tasks")
app.add_typer(memory.app, name="memory")
app.add_typer(escalations.app, name="escalations")
app.add_typer(users.app, name="users")
app.command()(cleanup)
app.command()(stats)
app.command()(export)
app.command()(erase)
app.command()(token)
app.command()(migrate)

if __name__ == "__main__":
    app()
