"""Which locked dependencies go into which package, so that no function carries one twice."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from parley_backend import backend

ON_LAMBDA: Final = ("boto3", "botocore")
"""What Lambda's runtime has already, and what only these need."""


def project(root: Path | None = None) -> str:
    """Return the backend's own dependencies but for those of agents, which the shared layer holds.

    In the form of a requirements file, each at its locked version and with its hashes.

    Args:
        root: Where pyproject.toml and uv.lock are; the backend's if None.

    Raises:
        subprocess.CalledProcessError: The lock file cannot be read.
    """
    of_agents = _direct("agents", root or backend())
    return _export(root, ["--no-default-groups"], [*ON_LAMBDA, *of_agents])


def group(name: str, without: Sequence[str] = (), root: Path | None = None) -> str:
    """Return the dependencies of a group that the shared layer does not hold, as `project` does.

    Args:
        name: A dependency group of pyproject.toml.
        without: What is left out, with everything that only these need.
        root: Where pyproject.toml and uv.lock are; the backend's if None.

    Raises:
        subprocess.CalledProcessError: The lock file cannot be read.
    """
    shared = set(_by_name(project(root)))
    wanted = _by_name(_export(root, ["--only-group", name], [*ON_LAMBDA, *without]))
    return "".join(lines for name, lines in wanted.items() if name not in shared)


def pinned(root: Path | None = None, without: Sequence[str] = ()) -> str:
    """Return what a function that runs agents has, at its versions: a line each, without hashes.

    What Lambda's runtime has is among it.

    Args:
        root: Where pyproject.toml and uv.lock are; the backend's if None.
        without: What is left out, with everything that only these need.

    Raises:
        subprocess.CalledProcessError: The lock file cannot be read.
    """
    which = ["--no-default-groups", "--group", "agents", "--no-hashes"]
    return _export(root, which, without)


def names(requirements: str) -> list[str]:
    """Return the names in a requirements file, in its order."""
    return list(_by_name(requirements))


def normal(requirement: str) -> str:
    """Return the name that a requirement begins with, written as packages are compared."""
    name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _export(root: Path | None, which: Sequence[str], without: Sequence[str]) -> str:
    command: list[str | Path] = [
        Path(sys.executable).with_name("uv"), "export", "--quiet", "--project", root or backend(),
        "--frozen", "--no-emit-project", "--no-annotate", "--no-header", *which,
    ]  # fmt: skip
    for name in without:
        command += ["--prune", name]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _direct(group_name: str, root: Path) -> list[str]:
    """Return the names that a group itself lists."""
    document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed: list[str] = document["dependency-groups"][group_name]
    return [re.split(r"[^\w.-]", entry, maxsplit=1)[0] for entry in listed]


def _by_name(requirements: str) -> dict[str, str]:
    """Take a requirements file apart: the lines of each requirement by its name."""
    found: dict[str, str] = {}
    name = ""
    for line in requirements.splitlines(keepends=True):
        if not line[0].isspace():
            name = line.split("==")[0]
        found[name] = found.get(name, "") + line
    return found
