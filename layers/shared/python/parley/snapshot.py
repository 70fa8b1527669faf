"""Lambda SnapStart: one process's memory becomes many processes'.

Nothing is connected and no secret fetched before the first invocation, so there is nothing to
open again. Random numbers are another matter: copies that share a generator's state would make
the same ids.
"""

from __future__ import annotations

import os
import random

import uuid_utils


def reseed() -> None:
    """Give this process random numbers of its own."""
    random.seed()
    uuid_utils.reseed_rng()


def reseed_after_restore() -> None:
    """Reseed whenever this process is restored from a snapshot; elsewhere do nothing."""
    if not _is_snapshotted():
        return
    # Only Lambda's runtime has it.
    from snapshot_restore_py import (  # type: ignore[import-untyped]
        register_after_restore,
    )

    register_after_restore(reseed)


class FirstInvocation:
    """Reseeds a process at its first invocation, where no runtime calls what is registered.

    That is a web server behind Lambda Web Adapter. A snapshot is taken before any invocation, so
    that every copy of it has its first one.
    """

    def __init__(self) -> None:
        self._is_ahead = _is_snapshotted()

    def passed(self) -> None:
        """Reseed if this is the first invocation after a snapshot; to be called by each."""
        if self._is_ahead:
            reseed()
            self._is_ahead = False


def _is_snapshotted() -> bool:
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
