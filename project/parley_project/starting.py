"""A new project, made from one of the examples."""

from __future__ import annotations

import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path

from parley_backend import backend
from parley_project.code import TAKEN
from parley_project.faults import ProjectFaults

EXAMPLES = ("todo", "tasks", "support", "blank")
"""Those that there are; the first is taken if none is named."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")
_NAME_LIMIT = 40  # names of tables and indexes begin with it, and Postgres takes 63
_SAMCONFIG = "samconfig.toml"
_OWN_FOLDERS = ("tests", "migrations")
_LEFT_OUT = frozenset({"__pycache__", ".parley", ".pytest_cache", ".env", ".aws-sam"})


def start_project(folder: Path, example: str) -> list[Path]:
    """Write a project into a folder, under the folder's name.

    Args:
        folder: Where; made where needed. A repository of git's with nothing in it is empty.
        example: One of `EXAMPLES`.

    Returns:
        The files, in the order of their names, from the folder.

    Raises:
        ProjectFaults: The folder is not empty, or its name cannot be that of a package; nothing
            was written.
        OSError: The folder cannot be read or written.
    """
    name = folder.resolve().name
    module = _module_of(name)
    if folder.is_dir() and any(each.name != ".git" for each in folder.iterdir()):
        raise ProjectFaults([f"{folder} is not empty; nothing was written."])
    source = backend("examples", example)
    renamed = {f"{example}-desk": name, f"{example}_desk": module}
    written = []
    for file in sorted(source.rglob("*")):
        path = file.relative_to(source)
        if not file.is_file() or _LEFT_OUT & set(path.parts):
            continue
        target = Path(_replaced(str(path), renamed))
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        text = _replaced(file.read_text(encoding="utf-8"), renamed)
        (folder / target).write_text(text, encoding="utf-8")
        written.append(target)
    (folder / _SAMCONFIG).write_text(_samconfig(name), encoding="utf-8")
    _keep_in_git(folder)
    return sorted([*written, Path(_SAMCONFIG)])


def _samconfig(name: str) -> str:
    """Return Parley's samconfig.toml with stacks of a project's own: two never share one."""
    text = backend(_SAMCONFIG).read_text(encoding="utf-8")
    for old, new in (
        ('"parley"', f'"{name}"'),
        ('"parley-prod"', f'"{name}-prod"'),
        ("ENV=default or ENV=prod", "--env default or prod"),
        ("make deploy", "parley deploy"),
    ):
        text = text.replace(old, new)
    return text


def _module_of(name: str) -> str:
    """Return the name of the package of a project of this name.

    Raises:
        ProjectFaults: It cannot be one.
    """
    if not _NAME.fullmatch(name) or len(name) > _NAME_LIMIT:
        raise ProjectFaults(
            [f"{name!r} cannot be a project's name: it has up to {_NAME_LIMIT} letters and digits,"
             " with single - or _ between them, and begins with a letter."]
        )  # fmt: skip
    module = name.lower().replace("-", "_")
    taken = {
        **dict.fromkeys(_OWN_FOLDERS, "a folder that each project has"),
        **dict.fromkeys(keyword.kwlist, "a keyword of Python"),
        **dict.fromkeys(sys.stdlib_module_names, "a module of Python's own"),
        **TAKEN,
    }
    if module in taken:
        raise ProjectFaults(
            [f"{name!r} cannot be a project's name: its package would be named {module}, like"
             f" {taken[module]}."]
        )  # fmt: skip
    return module


def _replaced(text: str, renamed: dict[str, str]) -> str:
    for old, new in renamed.items():
        text = text.replace(old, new)
    return text


def _keep_in_git(folder: Path) -> None:
    """Make a repository of a folder that is in none, if there is git; nothing is committed."""
    git = shutil.which("git")
    if git is None:
        return
    inside = subprocess.run(
        [git, "rev-parse"], cwd=folder, capture_output=True, check=False
    ).returncode
    if inside != 0:
        subprocess.run([git, "init", "--quiet"], cwd=folder, capture_output=True, check=False)
