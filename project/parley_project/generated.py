"""The module `parley_manifest`, which the functions import instead of reading a project."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from parley.manifest import MODULE, Manifest
from parley_project.project import Project, find_project, read_project

PACKAGED_MIGRATIONS = "project_migrations"
"""Where a project's migrations are in the package of `migrate`."""


def packaged(manifest: Manifest) -> Manifest:
    """Return the manifest as the packages of a deployment hold it."""
    return replace(manifest, migrations=manifest.migrations and PACKAGED_MIGRATIONS)


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write the module into a folder, which is made where needed; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{MODULE}.py"
    text = (
        '"""Written by Parley from [tool.parley] of pyproject.toml."""\n\n'
        "from parley.manifest import Manifest, Offer, Variable\n\n"
        f"MANIFEST = {manifest!r}\n"
    )
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return file
    # Byte code is taken for the module's while its second and its size are the same.
    for stale in (folder / "__pycache__").glob(f"{MODULE}.*"):
        stale.unlink()
    whole = file.with_suffix(f".{os.getpid()}")
    whole.write_text(text, encoding="utf-8")
    whole.replace(file)
    return file


def python_path(project: Project, folder: Path, before: str = "") -> str:
    """Write the module, and return the PYTHONPATH of a process that runs the project.

    Args:
        project: The project.
        folder: Where the module goes.
        before: What the path is without.
    """
    here = project.migrations
    manifest = replace(project.manifest, migrations=None if here is None else str(here))
    write_manifest(manifest, folder)
    own = [str(each.parent) for each in project.packages]
    entries = [str(folder.resolve()), *own, *before.split(os.pathsep)]
    return os.pathsep.join(dict.fromkeys(filter(None, entries)))


def serve_here(start: Path, folder: Path) -> Project:
    """Make this process, and those that it starts, run the project of a folder.

    Args:
        start: The project's folder, or one below it.
        folder: Where the module goes.

    Raises:
        ProjectFaults: The project cannot be used.
    """
    project = read_project(find_project(start))
    path = python_path(project, folder, os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = path
    sys.path[:0] = [each for each in path.split(os.pathsep) if each not in sys.path]
    return project
