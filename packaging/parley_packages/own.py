"""The dependencies of somebody's project: at versions that go with Parley's, and for Lambda."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parley_backend import backend
from parley_packages.pylock import Locked, read_pylock
from parley_packages.requirements import names, normal, pinned
from parley_packages.target import Target
from parley_project.faults import ProjectFaults
from parley_project.file import shown

_PARLEY: Final = ("parley-serverless", "parley-client")


@dataclass(frozen=True)
class Own:
    """What of a project's dependencies Parley's packages do not hold.

    Attributes:
        wheels: Those that there are wheels of, in the form of a requirements file, each with its
            version and hashes.
        sources: Those that have to be built first: folders, revisions of repositories, archives of
            source.
    """

    wheels: str = ""
    sources: tuple[Locked, ...] = ()


def own_requirements(file: Path, target: Target, without: Sequence[str] = ()) -> Own:
    """Return the dependencies of a project, and what they need.

    Those are in `[project] dependencies`, and `[tool.uv.sources]` says where some are. A version,
    or a revision of a repository, that the project's own `uv.lock` names is taken.

    Args:
        file: The project's `pyproject.toml`.
        target: What is built for.
        without: What Parley's packages leave out of what they depend on, as `group` does.

    Raises:
        ProjectFaults: They do not go with Parley's, or one has no wheel for Lambda.
    """
    if not own_dependencies(file):
        return Own()
    ours = pinned(backend())
    held = {*names(pinned(backend(), without) if without else ours), *_PARLEY}
    locked = [each for each in _locked(file.parent) if each.name not in held]
    pins = ours + "".join(f"{each.pin}\n" for each in locked if not each.source)
    revisions = "".join(f"{each.requirement}\n" for each in locked if each.is_revision)
    with tempfile.TemporaryDirectory() as folder:
        given = {"--constraints": pins, "--overrides": revisions, "--excludes": "\n".join(_PARLEY)}
        options = list(_written(given, Path(folder)))
        if not _has_sources(file):
            # Else uv would build none of them, not even to read what they need. What then has no
            # wheel is told of when it is installed.
            options += ["--only-binary", ":all:"]
        done = _uv(
            "pip", "compile", file.name, "--quiet", "--generate-hashes", "--format", "pylock.toml",
            "--python-platform", target.platform, "--python-version", target.python, *options,
            cwd=file.parent,
        )  # fmt: skip
    if done.returncode != 0:
        raise ProjectFaults(
            [f"{shown(file)}: [project] dependencies: they cannot be packaged for Lambda together"
             f" with Parley's own:\n{done.stderr.strip()}"]
        )  # fmt: skip
    found = [each for each in read_pylock(done.stdout, file.parent) if each.name not in held]
    return Own(
        "".join(f"{each.requirement}\n" for each in found if not each.source),
        tuple(each for each in found if each.source),
    )


def own_dependencies(file: Path) -> list[str]:
    """Return what a project's `[project] dependencies` list besides Parley itself."""
    listed: list[str] = _read(file).get("project", {}).get("dependencies", [])
    return [each for each in listed if normal(each) not in _PARLEY]


def _has_sources(file: Path) -> bool:
    """Return whether a project depends on what no index has."""
    if any("@" in each for each in own_dependencies(file)):
        return True
    sources = _read(file).get("tool", {}).get("uv", {}).get("sources", {})
    return any(
        "index" not in one
        for name, each in sources.items()
        if normal(name) not in _PARLEY
        for one in (each if isinstance(each, list) else [each])
    )


def _locked(root: Path) -> list[Locked]:
    """Return what a project's lock file names; nothing if it has none.

    Raises:
        ProjectFaults: It cannot be read.
    """
    lock = _lock_file(root)
    if lock is None:
        return []
    done = _uv(
        "export", "--quiet", "--frozen", "--no-emit-project", "--no-header",
        "--no-default-groups", "--format", "pylock.toml", cwd=root,
    )  # fmt: skip
    if done.returncode != 0:
        raise ProjectFaults([f"{shown(lock)}: cannot be used: {done.stderr.strip()}"])
    return read_pylock(done.stdout, root)


def _lock_file(root: Path) -> Path | None:
    """Return a project's `uv.lock`, which is its workspace's where it is a member of one."""
    for folder in (root, *root.parents):
        lock, file = folder / "uv.lock", folder / "pyproject.toml"
        of_all = folder == root or (
            file.is_file() and "workspace" in _read(file).get("tool", {}).get("uv", {})
        )
        if of_all and lock.is_file():
            return lock
    return None


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _written(given: dict[str, str], folder: Path) -> Iterator[str]:
    """Write the files of options, and give the options."""
    for option, text in given.items():
        file = folder / f"{option.strip('-')}.txt"
        file.write_text(text, encoding="utf-8")
        yield from (option, str(file))


def _uv(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # What is wanted are versions for Lambda, not another Python for this machine.
        [Path(sys.executable).with_name("uv"), *arguments, "--no-python-downloads"],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
