"""Waiting until files of a project are others than those that were read.

What counts is a comparison of what is there with what was seen before anything was read, so a
change is found whenever it was made: while the project was read, while it started, between two
watches, on a file system that tells of nothing. The operating system only says when looking is
worth while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from watchfiles import awatch

from parley_local.watched_files import Look, Watched, look_at

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""The longest pause between two looks, for what nobody tells of: network drives, mounts, links."""

_SHARE = 50
"""A look takes at most so small a part of the time, however many files there are."""
_QUIET_SECONDS = 0.05
_MOST_QUIET = 8
"""Whoever saves several files, or one in several writes, is waited for so many times at most."""


class Watch:
    """Finds out when watched files change; `watching` makes it."""

    def __init__(self, look_seconds: float) -> None:
        """Begin with nothing that tells of changes.

        Args:
            look_seconds: The longest pause between two looks.
        """
        self.woken = asyncio.Event()
        self._look_seconds = look_seconds

    async def change(
        self, seen: Look, counts: Callable[[Path], bool] = lambda _: True
    ) -> list[Path]:
        """Wait until files differ from what was seen, and no more of them do from moment to moment.

        Args:
            seen: What was seen, before anything was read.
            counts: Whether a file's change is waited for.

        Returns:
            The files, by name.
        """
        while True:
            self.woken.clear()
            begun = time.monotonic()
            now = await _look(seen)
            pause = max(self._look_seconds, _SHARE * (time.monotonic() - begun))
            if any(map(counts, now.changed(seen))):
                now = await _quiet(now)
                if any(map(counts, changed := now.changed(seen))):
                    return changed
            if not now.changed(seen):
                seen = now  # what was young then need not be read again
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.woken.wait()


async def _look(before: Look) -> Look:
    return await asyncio.to_thread(look_at, before.watched, before)


async def _quiet(now: Look) -> Look:
    """Return how the files are when none was written for a moment."""
    for _ in range(_MOST_QUIET):
        await asyncio.sleep(_QUIET_SECONDS)
        later = await _look(now)
        if not later.changed(now):
            break
        now = later
    return now


@asynccontextmanager
async def watching(watched: Watched, look_seconds: float = LOOK_SECONDS) -> AsyncIterator[Watch]:
    """Watch files while the block runs.

    Args:
        watched: Which.
        look_seconds: The longest pause between two looks, should nobody tell of a change.
    """
    watch = Watch(look_seconds)
    # By their folder, since an editor puts a new file in the place of the old one.
    beside = {each.parent for each in watched.files}
    tasks = [
        asyncio.create_task(_told(watch.woken, watched.folders, recursive=True)),
        asyncio.create_task(_told(watch.woken, beside, recursive=False)),
    ]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told(woken: asyncio.Event, folders: Iterable[Path], *, recursive: bool) -> None:
    """Set the event whenever the operating system tells of something in folders."""
    paths = [folder for folder in folders if folder.is_dir()]
    if not paths:
        return
    try:
        async for _ in awatch(*paths, watch_filter=None, recursive=recursive, debounce=400):
            woken.set()
    except (OSError, RuntimeError) as error:  # as when a system has no more watches to give
        log.info("Nobody tells of changed files; they are looked for instead: %s", error)
