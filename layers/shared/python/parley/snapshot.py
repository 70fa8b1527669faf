"""Lambda SnapStart: one process's memory becomes many processes'.

What a first request would do is done before (`parley.priming`). Nothing is connected and no secret
fetched by then, so there is nothing to open again. Random numbers are another matter: copies that
share a generator's state would make the same ids.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import uuid_utils


def reseed() -> None:
    """Give this process random numbers of its own."""
    import ssl  # there by then, where something connects

    random.seed()
    uuid_utils.reseed_rng()
    # OpenSSL's, of which TLS takes its keys: a context has used it before the snapshot.
    ssl.RAND_add(os.urandom(_SEED_BYTES), float(_SEED_BYTES))


_SEED_BYTES = 48


def reseed_after_restore() -> None:
    """Reseed whenever this process is restored from a snapshot; elsewhere do nothing."""
    if not _is_snapshotted():
        return
    # Only Lambda's runtime has it.
    from snapshot_restore_py import (  # type: ignore[import-untyped]
        register_after_restore,
    )

    register_after_restore(reseed)


def prime_before_snapshot(prime: Callable[[], None]) -> None:
    """Have something done before a snapshot of this process is taken; elsewhere do nothing.

    Args:
        prime: What is done when the function is loaded.
    """
    if not _is_snapshotted():
        return
    from snapshot_restore_py import register_before_snapshot

    register_before_snapshot(lambda: _told(prime))


def prime_at_once(prime: Callable[[], None]) -> None:
    """Do the same now, where no runtime calls what is registered: see `FirstInvocation`."""
    if _is_snapshotted():
        _told(prime)


def _told(prime: Callable[[], None]) -> None:
    """Prime; if that fails altogether, say so, and have the function start as it is."""
    from parley.observability import logger, traced

    try:
        prime()
    except Exception as error:
        logger().error(
            "priming failed; a first request does more", step="all", **traced(error, quoting=True)
        )


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
