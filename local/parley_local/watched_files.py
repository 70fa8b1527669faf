"""Which files of a project are watched, and which of them are others than somebody has seen."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Final

from parley_project.project import Project

OF_THE_ROOT: Final = frozenset({"pyproject.toml", ".env", "uv.lock"})
"""What of the project's folder itself is watched: it says how the project is run."""

_LEFT_OUT = frozenset(
    {".git", ".hg", ".hypothesis", ".idea", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".svn",
     ".tox", ".venv", "__pycache__", "node_modules"}
)  # fmt: skip
"""Folders that tools keep, and write into."""
_OF_EDITORS: Final = (
    ".pyc",
    ".pyo",
    "~",
    ".swp",
    ".swx",
    ".DS_Store",
    "___jb_tmp___",
    "___jb_old___",
)
_YOUNG_NS: Final = 2_000_000_000
"""How young a file is that may be written once more and have the same time: FAT's clock is that."""


@dataclass(frozen=True)
class Watched:
    """Files to look at.

    Attributes:
        root: The project's folder.
        folders: All files below them are, but for those of tools and editors.
        files: Single ones, which need not exist.
        unread: Whether the project could not be read. Then a file that is made or goes anywhere in
            its folder may mend it, since nobody knows which ones it was to name.
        left_out: A folder in which that is not so.
    """

    root: Path
    folders: frozenset[Path]
    files: frozenset[Path]
    unread: bool = False
    left_out: Path | None = None


def watched_of(project: Project) -> Watched:
    """Return what is watched of a project: code, migrations, template, and how it is run."""
    alone = {project.root / name for name in OF_THE_ROOT}
    if project.template is not None:
        alone.add(project.template)
    folders = {package for package in project.packages if package.is_dir()}
    alone.update(package for package in project.packages if package not in folders)
    if project.migrations is not None:
        folders.add(project.migrations)
    return Watched(project.root, frozenset(folders), frozenset(alone))


@dataclass(frozen=True, slots=True)
class _State:
    marks: tuple[int, ...]
    content: bytes | None = None
    young: bool = False

    def differs(self, other: _State) -> bool:
        known = self.content is not None and other.content is not None
        return self.marks != other.marks or (known and self.content != other.content)


@dataclass(frozen=True)
class Look:
    """Watched files as they were at one time."""

    watched: Watched
    _states: Mapping[str, _State]

    def changed(self, before: Look) -> list[Path]:
        """Return what differs from an earlier look at the same, made or removed too, by name."""
        both = self._states.keys() & before._states.keys()
        names = {name for name in both if self._states[name].differs(before._states[name])}
        names |= self._states.keys() ^ before._states.keys()
        return sorted(map(Path, names))


def look_at(watched: Watched, before: Look | None = None) -> Look:
    """Look at the files as they are.

    Args:
        watched: Which.
        before: An earlier look, that this one is going to be compared with.
    """
    states: dict[str, _State] = {}
    if watched.unread and watched.left_out not in (watched.root, *watched.root.parents):

        def passed_over(folder: Path) -> bool:
            return folder.name.startswith(".") or folder == watched.left_out

        states.update((name, _State(())) for name in _below(watched.root, passed_over))
    earlier = before._states if before else {}
    found = chain.from_iterable(map(_below, watched.folders))
    for name in chain(found, map(str, watched.files)):
        state = _state_of(name, earlier.get(name))
        if state is not None:
            states[name] = state
    return Look(watched, states)


def _below(folder: Path, passed_over: Callable[[Path], bool] = lambda _: False) -> Iterator[str]:
    for path, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if name not in _LEFT_OUT and not passed_over(Path(path, name))
        ]
        yield from (os.path.join(path, name) for name in files if not name.endswith(_OF_EDITORS))


def _state_of(name: str, before: _State | None) -> _State | None:
    """Return how a file is; None if there is none."""
    try:
        found = os.stat(name)
    except OSError:  # not there, or no longer, or a link to nothing
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    # The time of its last change of any kind sees what sets the time of its writing back. In the
    # same tick of a coarse clock content tells what was written, and the mode who may read it.
    times = (found.st_mtime_ns, found.st_ctime_ns)
    marks = (*times, found.st_size, found.st_ino, found.st_dev, found.st_mode)
    young = found.st_ctime_ns > time.time_ns() - _YOUNG_NS
    content = _content(name) if young or (before is not None and before.young) else None
    return _State(marks, content, young)


def _content(name: str) -> bytes:
    digest = blake2b(digest_size=16)
    try:
        with open(name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        return str(error.errno).encode()
    return digest.digest()
