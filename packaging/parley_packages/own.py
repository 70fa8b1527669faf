"""The dependencies of somebody's project: at versions that go with Parley's, and for Lambda."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from parley_backend import backend
from parley_packages.requirements import names, pinned
from parley_packages.target import Target
from parley_project.faults import ProjectFaults
from parley_project.file import shown

_PARLEY: Final = frozenset({"parley-serverless", "parley-client"})


def own_requirements(file: Path, target: Target, without: Sequence[str] = ()) -> str:
    """Return the dependencies of a project that Parley's packages do not hold.

    Those in `[project] dependencies`, and what they need, in the form of a requirements file, each
    with its version and hashes. A version that the project's own `uv.lock` names is taken.

    Args:
        file: The project's `pyproject.toml`.
        target: What is built for.
        without: What Parley's packages leave out of what they depend on, as `group` does.

    Raises:
        ProjectFaults: They do not go with Parley's, or one has no wheel for Lambda.
    """
    listed = _listed(file)
    if not listed:
        return ""
    ours = pinned(backend())
    held = set(names(pinned(backend(), without)))
    pins = ours + "".join(
        line
        for line in _locked(file.parent).splitlines(keepends=True)
        if _name(line) not in held | _PARLEY
    )
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(pins, encoding="utf-8")
        done = _uv(
            "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--generate-hashes",
            "--python-platform", target.platform, "--python-version", target.python,
            "--only-binary", ":all:", "--constraints", str(constraints),
            cwd=file.parent, given="\n".join(listed),
        )  # fmt: skip
    if done.returncode != 0:
        raise ProjectFaults(
            [f"{shown(file)}: [project] dependencies: they cannot be packaged for Lambda together"
             f" with Parley's own:\n{done.stderr.strip()}"]
        )  # fmt: skip
    return "".join(
        requirement for requirement in _requirements(done.stdout) if _name(requirement) not in held
    )


def _listed(file: Path) -> list[str]:
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    listed: list[str] = document.get("project", {}).get("dependencies", [])
    return [each for each in listed if _name(each) not in _PARLEY]


def _locked(root: Path) -> str:
    """Return the versions of a project's lock file; nothing if it has none.

    Raises:
        ProjectFaults: It cannot be read.
    """
    lock = root / "uv.lock"
    if not lock.is_file():
        return ""
    done = _uv(
        "export", "--quiet", "--frozen", "--no-emit-project", "--no-hashes",
        "--no-annotate", "--no-header", "--no-default-groups", cwd=root,
    )  # fmt: skip
    if done.returncode != 0:
        raise ProjectFaults([f"{shown(lock)}: cannot be used: {done.stderr.strip()}"])
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "==" in line)


def _requirements(text: str) -> list[str]:
    """Take a requirements file apart: the lines of each requirement."""
    return re.findall(r"^\S.*\n(?:\s+.*\n)*", text, re.MULTILINE)


def _name(requirement: str) -> str:
    """Return a requirement's name, written as packages are compared."""
    name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _uv(*arguments: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("uv"), *arguments],
        cwd=cwd, input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
