"""The project that `make dev` serves, and what happens when a file of it changes."""

from __future__ import annotations

import asyncio
import logging
import textwrap
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NoReturn

from parley.errors import ParleyError
from parley_local.agent_check import check_agents
from parley_local.execution import EnvironmentLost
from parley_local.gateway import Gateway, LocalPage
from parley_local.generations import Generations
from parley_local.migration import MigrationFailed
from parley_local.own_template import SERVES_ROUTES
from parley_local.prepared_project import FunctionVariables, Prepared, prepare
from parley_local.template import Template
from parley_local.watched_files import OF_THE_ROOT, Look, look_at
from parley_local.watching import Watch, watching
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
        first: Template,
        variables: FunctionVariables,
        folder: Path,
        pages: Mapping[tuple[str, str], LocalPage],
    ) -> None:
        """Read nothing yet.

        Args:
            start: The project's folder, or one below it.
            template: Gives the functions and routes of a project, read anew for each code; or
                raises ValueError or OSError.
            first: That of the first code, whose schedules and queue are kept.
            variables: Gives their environment, but for what the project adds.
            folder: Where copies of its code are kept while they serve.
            pages: The gateway's own.
        """
        self.generations = Generations()
        self._start = start
        self._read = template
        self._first = first
        self._variables = variables
        self._folder = folder
        self._pages = pages
        self._numbers = count(2)  # the first is made before there is anything to serve with

    async def serve(self, prepared: Prepared, template: Template) -> None:
        """Let requests be served by this code from now on.

        Raises:
            EnvironmentLost: A function cannot be started with it; the code before goes on serving.
        """
        variables = prepared.variables(self._variables)
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
        if (template.schedules, template.queue) != (self._first.schedules, self._first.queue):
            raise ValueError(
                "The template has other schedules, or another queue: parley dev takes them up at"
                " its next start."
            )
        return template

    async def follow(
        self, prepared: Prepared, migrated: Callable[[Mapping[str, str]], Awaitable[None]]
    ) -> NoReturn:
        """Serve the new code whenever files have changed; what does not work leaves the old one.

        Args:
            prepared: The project as it is served now. What changed since it was read counts.
            migrated: Brings the database up to date, given the functions' environment.
        """
        seen = prepared.seen
        while True:
            watched = seen.watched
            async with watching(watched) as watch:
                while seen.watched == watched:
                    files = await watch.change(seen)
                    seen = await self._taken_over(files, seen, watch, migrated)

    async def _taken_over(
        self,
        files: list[Path],
        before: Look,
        watch: Watch,
        migrated: Callable[[Mapping[str, str]], Awaitable[None]],
    ) -> Look:
        """Serve the files as they are now; return them as they were before any was read."""
        begun = time.monotonic()
        named = _named(files, before.watched.root)
        prepared = None
        # Of a project that cannot be read nobody knows which files would mend it.
        left_out = self._folder.resolve().parent
        unread = replace(before.watched, unread=True, left_out=left_out)
        seen = await asyncio.to_thread(look_at, unread)
        try:
            prepared = prepare(self._start, self._folder / str(next(self._numbers)))
            seen = prepared.seen
            variables = prepared.variables(self._variables)
            prepared = replace(prepared, project=await _checked(prepared, variables, watch))
            if prepared.project.manifest.migrations:
                await migrated(variables)
            await self.serve(prepared, self._template_of(prepared.project))
        except _ChangedAgain:
            log.info("%s changed, and again before it was built: once more.", named)
            _forget(prepared)
        except (ProjectFaults, MigrationFailed, EnvironmentLost, OSError, ValueError) as fault:
            _tell(fault)
            log.error("%s changed; the code of before goes on serving.", named)
            _forget(prepared)
        else:
            log.info("Reloaded %s in %.1f s.", named, time.monotonic() - begun)
        return seen


class _ChangedAgain(ParleyError):
    """Code changed while an older state of it was built."""


async def _checked(prepared: Prepared, variables: Mapping[str, str], watch: Watch) -> Project:
    """Build the agents; return the project with what is known then.

    Raises:
        ProjectFaults: They cannot be built.
        _ChangedAgain: Code changed, perhaps since what is imported there never ends.
    """
    checking = asyncio.create_task(check_agents(prepared.project, variables))
    # No data file: who writes one all the time would never let code be built.
    changing = asyncio.create_task(watch.change(prepared.seen, _is_code))
    try:
        await asyncio.wait({checking, changing}, return_when=asyncio.FIRST_COMPLETED)
        if not checking.done():
            changing.result()
            raise _ChangedAgain
        return checking.result()
    finally:
        checking.cancel()
        changing.cancel()
        await asyncio.gather(checking, changing, return_exceptions=True)


def _is_code(file: Path) -> bool:
    return file.suffix == ".py" or file.name in OF_THE_ROOT


def _forget(prepared: Prepared | None) -> None:
    if prepared is not None:
        prepared.forget()


def _tell(fault: Exception) -> None:
    sentences = fault.sentences if isinstance(fault, ProjectFaults) else [str(fault)]
    for each in sentences:
        sentence, _, traceback = each.partition("\n")
        log.error("%s", sentence, extra={"traceback": textwrap.dedent(traceback)})


def _named(files: list[Path], root: Path) -> str:
    """Return the names of changed files for a line: three of them, and how many there are else."""
    names = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in files]
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return ", ".join([*names[:3], *more])
