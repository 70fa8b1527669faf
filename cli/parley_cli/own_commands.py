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

        from parley.manifest import locate
        from parley_project.faults import ProjectFaults
        from parley_project.project import read_project

        try:
            packages = read_project(self.file).packages
        except ProjectFaults as faults:
            raise CommandFailed(str(faults)) from faults
        sources = dict.fromkeys(str(package.parent) for package in packages)
        sys.path[:0] = [source for source in sources if source not in sys.path]
        try:
            found = locate(self.target)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise CommandFailed(f"{self.target} cannot be imported: {why}") from error
        if not (isinstance(found, typer.Typer) or callable(found)):
            kind = type(found).__name__
            raise CommandFailed(f"{self.target} is of type {kind}, not a typer.Typer or a function")
        return made_of(found, name)


def own_commands(start: Path, taken: Collection[str]) -> dict[str, OwnCommand]:
    """Return the commands of the project that a folder is in, by name. Nothing is imported.

    What is wrong with them `parley check` says; every other command works all the same.

    Args:
        start: The folder.
        taken: The names of Parley's own commands, which stay what they are.
    """
    from parley_project.faults import ProjectFaults
    from parley_project.file import project_above, section_of

    try:
        file = project_above(start)
        section = section_of(file) if file is not None else None
    except (OSError, ProjectFaults):
        return {}
    named = (section or {}).get("commands")
    if file is None or not isinstance(named, dict):
        return {}
    return {
        name: OwnCommand(file, each["target"], str(each.get("description", "")))
        for name, each in named.items()
        if name not in taken and isinstance(each, dict) and isinstance(each.get("target"), str)
    }
