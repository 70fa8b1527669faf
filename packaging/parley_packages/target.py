"""What a package is built for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.errors import ParleyError

PYTHON: Final = "3.13"
"""The version of Python that the template's functions run on."""

# Lambda's operating system has a newer C library; the wheels of all our dependencies come for
# this one.
_PLATFORMS: Final = {
    "arm64": "aarch64-manylinux_2_28",
    "x86_64": "x86_64-manylinux_2_28",
}

_QUESTION: Final = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"


class UnknownTarget(ParleyError):
    """ARCH or PARLEY_PYTHON has a value that nothing can be built for; the message says which."""


@dataclass(frozen=True)
class Target:
    """A processor, in the template's words, and a version of Python, like `3.13`."""

    architecture: str
    python: str

    @property
    def platform(self) -> str:
        """The platform, in uv's words."""
        return _PLATFORMS[self.architecture]

    def interpreter(self) -> str | None:
        """Return this machine's Python of the target's version, None if it has none.

        Its processor does not matter: byte code is the same on all.
        """
        for candidate in _candidates(self.python):
            version, interpreter = _ask(candidate, self.python)
            if version == self.python:
                return interpreter
        return None


def target_of_environment() -> Target:
    """Read ARCH and PARLEY_PYTHON.

    Raises:
        UnknownTarget: One of them cannot be built for.
    """
    architecture = os.environ.get("ARCH") or "arm64"
    python = os.environ.get("PARLEY_PYTHON") or PYTHON
    if architecture not in _PLATFORMS:
        raise UnknownTarget(f"ARCH is {architecture}; it can be {' or '.join(_PLATFORMS)}.")
    if not re.fullmatch(r"3\.\d+", python):
        raise UnknownTarget(f"PARLEY_PYTHON is {python}; it has to be a version like {PYTHON}.")
    return Target(architecture, python)


def _candidates(version: str) -> list[str]:
    named = shutil.which(f"python{version}")
    found = subprocess.run(
        [Path(sys.executable).with_name("uv"), "python", "find", "--managed-python", version],
        capture_output=True,
        text=True,
        check=False,
    )
    return [path for path in (sys.executable, named, found.stdout.strip()) if path]


def _ask(candidate: str, wanted: str) -> tuple[str, str]:
    """Return the version of a Python and where it is; nothing of a name that leads to none.

    What pyenv has in the path is such a name, unless it is told which version is wanted.
    """
    said = subprocess.run(
        [candidate, "-I", "-c", _QUESTION],
        capture_output=True,
        text=True,
        env={**os.environ, "PYENV_VERSION": wanted},
        check=False,
    )
    version, _, interpreter = said.stdout.strip().partition(" ")
    return (version, interpreter) if said.returncode == 0 else ("", "")
