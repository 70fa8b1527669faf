"""Setting a file aside that cannot be read, so that another can begin in its place."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from parley.observability import logger

_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file; it belongs to that file and to no other."""


FileIdentity = tuple[int, int]
"""Which file stood at a path: its device and its inode."""


def identity(path: Path) -> FileIdentity | None:
    """Return which file stands at a path now; None if there is none."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    return there.st_dev, there.st_ino


def set_aside(path: Path, damaged_file: FileIdentity | None, reason: str) -> None:
    """Rename a damaged SQLite file and what belongs to it, and log where it is now.

    Of several processes that find the same file damaged, one renames it: the others see that
    another file stands in its place.

    Args:
        path: Where the file stood, which no connection of this process has open.
        damaged_file: Which one was found damaged. Another that stands there by now is left alone.
        reason: What is wrong with it.
    """
    # Not on Windows, where `make dev` does not run either.
    import fcntl

    try:
        damaged = path.open("rb")
    except FileNotFoundError:
        return  # somebody else was faster, and nobody has begun another yet
    with damaged:
        fcntl.flock(damaged, fcntl.LOCK_EX)
        if not damaged_file == _held(damaged.fileno()) == identity(path):
            return
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = path.with_name(f"{path.name}.unreadable-{moment}")
        for suffix in _BESIDE:
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
        path.rename(aside)
    logger().error(
        "the memory file cannot be read and was set aside; memory is rebuilt from the transcript",
        file=str(path),
        set_aside_as=str(aside),
        reason=reason,
    )


def _held(descriptor: int) -> FileIdentity:
    held = os.fstat(descriptor)
    return held.st_dev, held.st_ino
