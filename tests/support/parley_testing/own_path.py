"""Where a process that a test starts finds what the test's own process has."""

from __future__ import annotations

import os
import sys


def own_path() -> dict[str, str]:
    """Return what is in front of any Python's path here, as the variable that tells of it."""
    own = [each for each in sys.path if each and not each.startswith((sys.prefix, sys.base_prefix))]
    return {"PYTHONPATH": os.pathsep.join(own)}
