"""The project that `make dev` serves, and what happens when a file of it changes."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import NoReturn

from parley_local.agent_check import check_agents
from parley_local.code_copy import copied
from parley_local.execution import EnvironmentLost
from parley_local.gateway import Gateway, LocalPage
from parley_local.generations import Generations
from parley_local.migration import MigrationFailed
from parley_local.template import Template
from parley_local.watching import changes
from parley_project.faults import ProjectFaults
from parley_project.generated import python_path
from parley_project.project import Project, find_project, read_project

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A project as its files were at one time, with a copy of its code.

    Attributes:
        project: What it says.
        variables: The environment of the functions that run it.
        folder: Where the copy is.
    """

    project: Project
    variables: Mapping[str, str]
    folder: Path


class ServedProject:
    """Serves a project's newest code that works.

    Attributes:
        generations: The app that serves it, once `serve` was called.
    """

    def __init__(
        self, start: Path, template: Template, variables: Mapping[str, str], folder: Path
    ) -> None:
        """Read nothing yet.

        Args:
            start: The project's folder, or one below it.
            template: The functions.
            variables: Their environment, but for what the project adds.
            folder: Where copies of its code are kept while they serve; emptied first.
        """
        self.generations = Generations()
        self._start = start
        self._template = template
        self._variables = variables
        self._folder = folder
        self._numbers = count(1)
        self._broken: frozenset[str] | None = None
        shutil.rmtree(folder, ignore_errors=True)

    def prepare(self) -> Prepared:
        """Read the project as it is now, and copy its code.

        Raises:
            ProjectFaults: It cannot be used.
            OSError: It cannot be read, or copied.
        """
        project = read_project(find_project(self._start))
        folder = self._folder / str(next(self._numbers))
        path = self._variables.get("PYTHONPATH", "")
        variables = {
            **self._variables,
            "PYTHONPATH": python_path(copied(project, folder / "code"), folder, path),
        }
        return Prepared(project, variables, folder)

    async def serve(self, prepared: Prepared, pages: Mapping[str, LocalPage]) -> None:
        """Let requests be served by this code from now on.

        Raises:
            EnvironmentLost: A function cannot be started with it; the code before goes on serving.
        """
        gateway = Gateway(self._template, prepared.variables, pages=pages)
        try:
            await gateway.prewarm()
        except BaseException:
            await gateway.aclose()
            raise
        self.generations.serve(gateway, partial(shutil.rmtree, prepared.folder, ignore_errors=True))

    async def follow(
        self,
        prepared: Prepared,
        pages: Mapping[str, LocalPage],
        migrated: Callable[[Mapping[str, str]], Awaitable[None]],
    ) -> NoReturn:
        """Serve the new code whenever files have changed; what does not work leaves the old one.

        Args:
            prepared: What is served now.
            pages: The gateway's own.
            migrated: Brings the database up to date, given the functions' environment.
        """
        checking = asyncio.create_task(_check(prepared))
        try:
            project = prepared.project
            while True:
                async with aclosing(changes(project)) as changed:
                    async for files in changed:
                        if self._broken is None:
                            self._broken = await checking
                        named, before = _named(files, project.root), project
                        project = await self._taken_over(named, pages, migrated) or project
                        if _watched(project) != _watched(before):
                            break  # other files are watched from now on
        finally:
            checking.cancel()
            await asyncio.gather(checking, return_exceptions=True)

    async def _taken_over(
        self,
        named: str,
        pages: Mapping[str, LocalPage],
        migrated: Callable[[Mapping[str, str]], Awaitable[None]],
    ) -> Project | None:
        """Serve the files as they are now; return the project, None if it does not work."""
        begun = time.monotonic()
        prepared = None
        try:
            prepared = self.prepare()
            broken = await _check(prepared)
            # Of several agents some may have been broken before, and one of those be mended now.
            if broken <= (self._broken or frozenset()):
                if prepared.project.manifest.migrations:
                    await migrated(prepared.variables)
                await self.serve(prepared, pages)
                self._broken = broken
                log.info("Reloaded %s in %.1f s.", named, time.monotonic() - begun)
                return prepared.project
        except (ProjectFaults, MigrationFailed, EnvironmentLost, OSError) as fault:
            for line in str(fault).splitlines():
                log.error("%s", line)
        if prepared is not None:
            shutil.rmtree(prepared.folder, ignore_errors=True)
        log.error("%s changed; the code of before goes on serving.", named)
        return None


async def _check(prepared: Prepared) -> frozenset[str]:
    """Build each agent, which logs what is wrong with it; return those that cannot be built."""
    broken = await check_agents(prepared.variables, prepared.folder.resolve() / "broken.json")
    return frozenset(prepared.project.manifest.agents) if broken is None else broken


def _watched(project: Project) -> tuple[object, ...]:
    return project.packages, project.manifest.migrations


def _named(files: list[Path], root: Path) -> str:
    """Return the names of changed files for a line: three of them, and how many there are else."""
    names = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in files]
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return ", ".join([*names[:3], *more])
