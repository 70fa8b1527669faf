"""What `pylock.toml` (PEP 751) says of each package: its version and hashes, or its source."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Locked:
    """One package.

    Attributes:
        name: Its name.
        version: Its version; None where only building it tells.
        requirement: What installs it, as a requirements file has it, with hashes where it is no
            source.
        source: Whether it has to be built.
        folder: Where it is, if it is a folder.
        is_revision: Whether it is of a repository, at the revision that its requirement names.
        marker: Where it is wanted at all; None for everywhere.
    """

    name: str
    version: str | None
    requirement: str
    source: bool = False
    folder: Path | None = None
    is_revision: bool = False
    marker: str | None = None

    @property
    def pin(self) -> str:
        """Its version, as a constraint."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def read_pylock(text: str, root: Path) -> list[Locked]:
    """Return the packages, in the file's order.

    Args:
        text: The file.
        root: The folder that its paths begin in.
    """
    return [_locked(each, root) for each in tomllib.loads(text).get("packages", [])]


def _locked(package: dict[str, Any], root: Path) -> Locked:
    name, version = package["name"], package.get("version")
    if "directory" in package:
        folder = (root / package["directory"]["path"]).resolve()
        return Locked(name, version, f"{name} @ {folder.as_uri()}", source=True, folder=folder)
    if "vcs" in package:
        return Locked(name, version, _revision(name, package["vcs"]), source=True, is_revision=True)
    if "archive" in package:
        archive = package["archive"]
        url = archive.get("url") or (root / archive["path"]).resolve().as_uri()
        requirement = f"{name} @ {url}"
        if url.endswith(".whl"):
            return Locked(name, version, " \\\n    ".join([requirement, *_hashes([archive])]))
        return Locked(name, version, requirement, source=True)
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    requirement = " \\\n    ".join([f"{name}=={version}", *_hashes(files)])
    return Locked(name, version, requirement, marker=package.get("marker"))


def _revision(name: str, vcs: dict[str, Any]) -> str:
    where = vcs.get("url") or Path(vcs["path"]).resolve().as_uri()
    below = f"#subdirectory={vcs['subdirectory']}" if "subdirectory" in vcs else ""
    return f"{name} @ {vcs['type']}+{where}@{vcs['commit-id']}{below}"


def _hashes(files: list[dict[str, Any]]) -> Iterator[str]:
    for file in files:
        for algorithm, digest in file["hashes"].items():
            yield f"--hash={algorithm}:{digest}"
