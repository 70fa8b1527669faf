"""Compiling a package ahead, since a function cannot keep what it compiles."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def compile_ahead(folder: Path, interpreter: str, *, becomes: str) -> None:
    """Write the byte code of all modules in a folder.

    Args:
        folder: Where the modules are.
        interpreter: The Python that will run them.
        becomes: Where the folder will be; tracebacks show it.

    Raises:
        subprocess.CalledProcessError: A module cannot be compiled.
    """
    subprocess.run(
        [
            interpreter, "-I", "-m", "compileall", "-q", "-f", "-s", folder, "-p", becomes,
            # SAM dates every file 1980, and Python would compile again whatever a date does not
            # fit to; unchecked, nothing is compared and no source is even looked at.
            "--invalidation-mode", "unchecked-hash", folder,
        ],
        check=True,
        # Otherwise the order of sets, and with it the package, is another one in each build.
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
