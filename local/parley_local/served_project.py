"""The project that `make dev` serves, and what happens when a file of it changes."""

from __future__ import annotations

import logging
import textwrap
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NoReturn

from parley_local.agent_check import check_agents
from parley_local.execution import EnvironmentLost
from parley_local.gateway import Gateway, LocalPage
from parley_local.generations import Generations
from parley_local.migration import MigrationFailed
from parley_local.own_template import SERVES_ROUTES
from parley_local.prepared_project import FunctionVariables, Prepared, prepare
from parley_local.template import Template
from parley_local.watching import changes
from parley_project.faults import ProjectFaults
from parley_project.project import Project

log = logging.getLogger(__name__)


class ServedProject:
    """Serves a project's newest code that works.

    Attributes:
        generations: The app that serves it, once `serve` was called.
    """

    def __init__(
        self,
        start: Path,
        template: Callable[[Project], Template],
        variables: FunctionVariables,
        folder: Path,
        pages: Mapping[tuple[str, str], LocalPage],
    ) -> None:
        """Read nothing yet.

        Args:
            start: The project's folder, or one below it.
            template: Gives the functions and routes of a project, read anew for each code; or
                raises ValueError or OSError.
            variables: Gives their environment, but for what the project adds.
            folder: Where copies of its code are kept while they serve.
            pages: The gateway's own.
        """
        self.generations = Generations()
        self._start = start
        self._read = template
        self._first: Template | None = None
        self._variables = variables
        self._folder = folder
        self._pages = pages
        self._numbers = count(2)  # the first is made before there is anything to serve with

    async def serve(self, prepared: Prepared) -> None:
        """Let requests be served by this code from now on.

        Raises:
            EnvironmentLost: A function cannot be started with it; the code before goes on serving.
            OSError: Its template cannot be read.
            ValueError: Its template cannot be used, or not without another start.
        """
        variables = prepared.variables(self._variables)
        template = self._template_of(prepared.project)
        gateway = Gateway(
            template.with_paths(SERVES_ROUTES, prepared.project.paths),
            variables,
            pages=self._pages,
        )
        try:
            await gateway.prewarm()
        except BaseException:
            await gateway.aclose()
            raise
        self.generations.serve(gateway, prepared.forget)

    def _template_of(self, project: Project) -> Template:
        """Read a project's template, whose schedules and queue are those that it began with.

        Raises:
            OSError: It cannot be read.
            ValueError: It cannot be used, or not without another start.
        """
        template = self._read(project)
        first = self._first or template
        if (template.schedules, template.queue) != (first.schedules, first.queue):
            raise ValueError(
                "The template has other schedules, or another queue: parley dev takes them up at"
                " its next start."
            )
        self._first = first
        return template

    async def follow(
        self, project: Project, migrated: Callable[[Mapping[str, str]], Awaitable[None]]
    ) -> NoReturn:
        """Serve the new code whenever files have changed; what does not work leaves the old one.

        Args:
            project: As it is served now.
            migrated: Brings the database up to date, given the functions' environment.
        """
        while True:
            async with aclosing(changes(project)) as changed:
                async for files in changed:
                    before = project
                    project = await self._taken_over(files, project, migrated)
                    if _watched(project) != _watched(before):
                        break  # other files are watched from now on

    async def _taken_over(
        self,
        files: list[Path],
        before: Project,
        migrated: Callable[[Mapping[str, str]], Awaitable[None]],
    ) -> Project:
        """Serve the files as they are now; return the project that serves then."""
        begun = time.monotonic()
        named = _named(files, before.root)
        prepared = None
        try:
            prepared = prepare(self._start, self._folder / str(next(self._numbers)))
            variables = prepared.variables(self._variables)
            prepared = replace(prepared, project=await check_agents(prepared.project, variables))
            if prepared.project.manifest.migrations:
                await migrated(variables)
            await self.serve(prepared)
        except (ProjectFaults, MigrationFailed, EnvironmentLost, OSError, ValueError) as fault:
            _tell(fault)
            log.error("%s changed; the code of before goes on serving.", named)
            if prepared is not None:
                prepared.forget()
            return before
        log.info("Reloaded %s in %.1f s.", named, time.monotonic() - begun)
        return prepared.project


def _tell(fault: Exception) -> None:
    sentences = fault.sentences if isinstance(fault, ProjectFaults) else [str(fault)]
    for each in sentences:
        sentence, _, traceback = each.partition("\n")
        log.error("%s", sentence, extra={"traceback": textwrap.dedent(traceback)})


def _watched(project: Project) -> tuple[object, ...]:
    return project.packages, project.manifest.migrations, project.template


def _named(files: list[Path], root: Path) -> str:
    """Return the names of changed files for a line: three of them, and how many there are else."""
    names = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in files]
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return ", ".join([*names[:3], *more])
