"""Whether something ended because the disk is full, which Postgres says in its log only."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_SIGNS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
_LAST_BYTES = 8192


def size_of(log: Path) -> int:
    """Return how long a log is now; 0 if there is none."""
    return log.stat().st_size if log.exists() else 0


def disk_was_full(failure: BaseException, log: Path, since: int) -> bool:
    """Return whether a failure, or the end of what a server has logged, speaks of a full disk.

    Args:
        failure: What ended.
        log: The server's log.
        since: How long the log was when the server was started; what stood there is not looked at.
    """
    if any(sign in str(failure) for sign in _SIGNS):
        return True
    size = size_of(log)
    if size <= since:
        return False
    with log.open("rb") as file:
        file.seek(max(since, size - _LAST_BYTES))
        said = file.read().decode(errors="replace")
    return any(sign in said for sign in _SIGNS)
