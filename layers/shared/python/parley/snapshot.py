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
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    # Only Lambda's runtime has it.
    from snapshot_restore_py import (  # type: ignore[import-untyped]
        register_after_restore,
    )

    register_after_restore(reseed)
