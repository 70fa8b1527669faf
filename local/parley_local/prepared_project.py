"""A project as its files were at one time: read, its code copied, its variables gathered."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parley_local.code_copy import copied
from parley_local.watched_files import Look, look_at, watched_of
from parley_project.environment import local_values, with_dotenv
from parley_project.generated import python_path
from parley_project.project import Project, find_project, read_project

FunctionVariables = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Gives the functions' environment, from that of who starts them."""


@dataclass(frozen=True)
class Prepared:
    """A project, with a copy of its code.

    Attributes:
        project: What it says.
        caller: The variables of this machine: the shell's, and those of `.env`.
        own: What the functions that run it are given besides Parley's own.
        folder: Where the copy is.
        seen: Its files before any of them was read.
    """

    project: Project
    caller: Mapping[str, str]
    own: Mapping[str, str]
    folder: Path
    seen: Look

    def variables(self, of_functions: FunctionVariables) -> dict[str, str]:
        """Return the environment of the functions that run it."""
        return {**of_functions(self.caller), **self.own}

    def forget(self) -> None:
        """Remove the copy."""
        shutil.rmtree(self.folder, ignore_errors=True)


def prepare(start: Path, folder: Path) -> Prepared:
    """Read a project as it is now, and copy its code.

    Args:
        start: The project's folder, or one below it.
        folder: Where the copy goes.

    Raises:
        ProjectFaults: It cannot be used, or a variable that it requires has no value.
        OSError: It cannot be read, or copied.
    """
    project, seen = _read(start)
    own = local_values(project.manifest.environment, project.root, os.environ)
    # Functions run in folders of their own.
    code = copied(project, folder.resolve() / "code")
    own["PYTHONPATH"] = python_path(code, folder, os.environ.get("PYTHONPATH", ""))
    return Prepared(project, with_dotenv(project.root, os.environ), own, folder, seen)


def _read(start: Path) -> tuple[Project, Look]:
    """Read a project, and return its files as they were before.

    Only reading it tells which files they are, so it is read once more.
    """
    watched = watched_of(read_project(find_project(start)))
    while True:
        seen = look_at(watched)
        project = read_project(find_project(start))
        watched = watched_of(project)
        if watched == seen.watched:
            return project, seen
