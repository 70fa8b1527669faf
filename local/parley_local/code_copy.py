"""A copy of a project's code, so that what is served stays what it was while files are edited.

A function's process imports a module when it first needs it, perhaps long after the file was
changed, and processes are started at any time. All of one start have the same copy.
"""

from __future__ import annotations

import py_compile
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from parley_project.project import Project

_LEFT_OUT = frozenset({"__pycache__", ".git"})


def copied(project: Project, folder: Path) -> Project:
    """Copy a project's packages, with their data files; return the project that is imported there.

    Its tracebacks name the files that were copied.

    Args:
        project: Whose code.
        folder: Where the copies go; what is there is removed.

    Raises:
        OSError: A file cannot be read or written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in project.packages:
        for file in _files(package):
            target = folder / file.relative_to(package.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".py":
                _compile(file, target)
            else:
                shutil.copy(file, target)
    packages = tuple(folder / each.name for each in project.packages)
    return replace(project, source=folder, packages=packages)


def _files(package: Path) -> Iterator[Path]:
    if package.is_file():
        yield package
        return
    for path in sorted(package.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(package).parts):
            yield path


def _compile(file: Path, target: Path) -> None:
    # Byte code alone keeps the name that it was compiled under; beside a source it gets that one's.
    try:
        py_compile.compile(
            str(file),
            str(target.with_suffix(".pyc")),
            dfile=str(file),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except py_compile.PyCompileError:
        # Told of when it is imported, as it would be without a copy.
        source = file.read_bytes()
        target.write_text(f"compile({source!r}, {str(file)!r}, 'exec')\n", encoding="utf-8")
