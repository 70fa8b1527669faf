"""Which files of a project change, told by the operating system."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from parley_project.project import Project

log = logging.getLogger(__name__)

_OF_THE_ROOT = frozenset({"pyproject.toml", ".env", "uv.lock"})


async def changes(project: Project) -> AsyncGenerator[list[Path]]:
    """Yield the files that changed, each time that some have, in the order of their names.

    Watched are the project's packages, its migrations, its template, and what says how it is run.
    """
    found: asyncio.Queue[set[tuple[Change, str]]] = asyncio.Queue()
    folders = [each for each in project.packages if each.is_dir()]
    if project.manifest.migrations:
        folders.append(project.root / project.manifest.migrations)
    # By its folder, since an editor puts a new file in the place of the old one.
    files = {each for each in project.packages if each.is_file()}
    files |= {project.root / name for name in _OF_THE_ROOT}
    if project.template is not None:
        files.add(project.template)
    watched = [
        asyncio.create_task(_watch(found, folders, recursive=True, only=None)),
        asyncio.create_task(
            _watch(found, sorted({each.parent for each in files}), recursive=False, only=files)
        ),
    ]
    try:
        while True:
            some = await found.get()
            yield sorted({Path(path) for _, path in some})
    finally:
        for task in watched:
            task.cancel()
        await asyncio.gather(*watched, return_exceptions=True)


async def _watch(
    found: asyncio.Queue[set[tuple[Change, str]]],
    paths: list[Path],
    *,
    recursive: bool,
    only: set[Path] | None,
) -> None:
    if not paths:
        return
    usual = DefaultFilter()

    def wanted(change: Change, path: str) -> bool:
        return usual(change, path) and (only is None or Path(path) in only)

    try:
        async for some in awatch(*paths, watch_filter=wanted, recursive=recursive, debounce=400):
            await found.put(some)
    except (OSError, RuntimeError) as error:  # as when a system has no more watches to give
        log.warning("Files are not watched, so changes need another start: %s", error)
