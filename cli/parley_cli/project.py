"""Commands for a project of one's own: `parley init`, `check`, `dev` and `test`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parley_cli.clean import clean_line
from parley_cli.errors import CommandFailed
from parley_cli.screen import note, waiting

if TYPE_CHECKING:
    from parley_project.project import Project

ProjectFolder = Annotated[
    Path, typer.Option("--project", help="The project's folder, or one below it.")
]
HERE = Path()
"""The working directory."""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="NAME", help="The project's name: of its folder, made here.")
    ],
    example: Annotated[
        str, typer.Option("--example", help="What it begins with: todo, tasks, support or blank.")
    ] = "todo",
) -> None:
    """Make a project: an agent with its tools, its table and its tests, and what they need.

    The folder must be empty, if there is one already. Nothing is asked.
    """
    from parley_project.faults import ProjectFaults
    from parley_project.starting import EXAMPLES, start_project

    if example not in EXAMPLES:
        raise typer.BadParameter(
            f"{example!r} is none of {', '.join(EXAMPLES)}.", param_hint="--example"
        )
    try:
        written = start_project(folder, example)
    except ProjectFaults as faults:
        raise CommandFailed(str(faults)) from faults
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written: {error.strerror}.") from error
    for file in written:
        typer.echo(folder / file)
    here = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    note(f"Next: {here}{_program()} dev")


def check(project: ProjectFolder = HERE) -> None:
    """Say what is wrong with [tool.parley] and the agents that it names; status 1 if anything is.

    Each fault is a sentence with its file and key, and a traceback where the code raises. MCP
    servers are listed, and not asked. The migrations are run on an empty database. Warned of are
    tables that erasing a user would leave, variables that nobody has set here, settings of a model
    that no agent asks, secrets in an address, and what a template of the project's own lacks.
    """
    found = checked(project)
    refuse_commands_of_parleys(found)
    for sentence in _warnings(found):
        typer.echo(f"Warning: {sentence}", err=True)
    default = found.manifest.default
    for name in found.manifest.agents:
        typer.echo(f"{name} can be built{', and is the default' if name == default else ''}")
        for offered, sentence in found.mcp_servers:
            if offered == name:
                typer.echo(f"  {clean_line(sentence)}")


def dev(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 for any free one.")] = (
        3000
    ),
    host: Annotated[str, typer.Option("--host", help="A name of loopback.")] = "127.0.0.1",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", envvar="DATA_DIR", help=".parley in the project's folder if none."
        ),
    ] = None,
    project: ProjectFolder = HERE,
) -> None:
    """Run the whole backend on this machine, with the project's agents.

    It starts again when a file of the project changes. Ctrl-C stops it.
    """
    _require("uvicorn")
    from parley_local.dev import main

    arguments = ["--port", str(port), "--host", host, "--project", str(project)]
    if data_dir is not None:
        arguments += ["--data-dir", str(data_dir)]
    raise typer.Exit(main(arguments))


def test(context: typer.Context) -> None:
    """Check the project, and run its tests with pytest, which is given all arguments."""
    _require("pytest")
    project = checked(HERE)
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *(context.args or [str(project.root)])]
    os.execv(sys.executable, command)


def checked(start: Path) -> Project:
    """Return a project of which nothing is wrong; the others are told of, with status 1.

    Raises:
        CommandFailed: What it takes is not installed.
    """
    _require("psutil")
    from parley_local.agent_check import check_project
    from parley_project.faults import ProjectFaults

    try:
        with waiting("Building the agents …"):
            return check_project(start, os.environ)
    except ProjectFaults as faults:
        for sentence in faults.sentences:
            typer.echo(sentence, err=True)
        raise typer.Exit(1) from None


def refuse_commands_of_parleys(project: Project) -> None:
    """Let only a project go on whose commands have names of their own.

    Raises:
        CommandFailed: One has the name of a command of Parley's.
    """
    from parley_cli.group import COMMANDS
    from parley_project.file import shown

    for name in project.commands:
        if name in COMMANDS:
            place = f"{shown(project.file)}: [tool.parley.commands.{name}]"
            raise CommandFailed(f"{place}: {name} is a command of Parley's")


def _program() -> str:
    """Return how this command is called again."""
    program = Path(sys.argv[0])
    found = shutil.which("parley")
    return "parley" if found and Path(found).samefile(program) else shlex.quote(str(program))


def _warnings(project: Project) -> list[str]:
    from parley_local.own_policies import read_policies
    from parley_local.own_template import check_template
    from parley_local.table_check import check_tables
    from parley_project.environment import missing_values
    from parley_project.faults import ProjectFaults

    variables = project.manifest.environment
    try:
        with waiting("Running the migrations …"):
            read_policies(project)
            return [
                *project.warnings,
                *missing_values(variables, project.root, os.environ),
                *check_template(project),
                *check_tables(project, os.environ),
            ]
    except ProjectFaults as faults:
        for sentence in faults.sentences:
            typer.echo(sentence, err=True)
        raise typer.Exit(1) from None


def _require(module: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise CommandFailed(
            "This takes what is not installed: pip install 'parley-serverless[dev]'"
        )
