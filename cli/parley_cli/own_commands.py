"""Commands that a project adds to `parley`, in its folder or one below it."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_cli.errors import CommandFailed
from parley_cli.lazily import made_of


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """A command, or a group of them, of a project's.

    Attributes:
        file: The project's `pyproject.toml`.
        target: Where it is, as `package.module:object`: a `typer.Typer`, or a function.
        summary: What it does, for the list of commands.
    """

    file: Path
    target: str
    summary: str

    def load(self, name: str) -> Any:
        """Import the command and return it, under the name that it is called by.

        Raises:
            CommandFailed: The project cannot be read, or the command cannot be imported.
        """
        import typer

        from parley_project.commands import command_at
        from parley_project.faults import ProjectFaults
        from parley_project.importing import RAISED, why
        from parley_project.project import read_project

        try:
            packages = read_project(self.file).packages
        except ProjectFaults as faults:
            raise CommandFailed(str(faults)) from faults
        sources = dict.fromkeys(str(package.parent) for package in packages)
        sys.path[:0] = [source for source in sources if source not in sys.path]
        try:
            return made_of(command_at(self.target), name)
        except KeyboardInterrupt as error:
            typer.echo(f"parley: {self.target}: {why(error)[0]}", err=True)
            raise
        except RAISED as error:
            failed = CommandFailed(f"{self.target} cannot be used: {why(error)[0]}")
            raise failed from error


def own_commands(start: Path, taken: Collection[str]) -> dict[str, OwnCommand]:
    """Return the commands of the project that a folder is in, by name. Nothing is imported.

    Args:
        start: The folder.
        taken: The names of Parley's own commands, which stay what they are.

    Raises:
        ProjectFaults: It cannot be told which those are.
    """
    from parley_project.faults import ProjectFaults
    from parley_project.file import project_above, section_of, shown

    file = project_above(start)
    named = (section_of(file) or {}).get("commands", {}) if file is not None else {}
    if file is None or not named:
        return {}
    if not isinstance(named, dict):
        raise ProjectFaults([f"{shown(file)}: [tool.parley] commands: must be a table"])
    return {
        name: OwnCommand(file, str(_of(each, "target")), str(_of(each, "description")))
        for name, each in named.items()
        if name not in taken
    }


def _of(command: object, key: str) -> object:
    """Return what a command's table has; where that is wrong, `load` says so."""
    return command.get(key, "") if isinstance(command, dict) else ""
