"""Taking out of an installed folder what no function ever reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_FOLDERS: Final = frozenset({"__pycache__", "tests", "bin"})
_SUFFIXES: Final = frozenset({".pyi", ".pyx", ".pxd", ".c", ".h"})
_OF_A_DISTRIBUTION: Final = frozenset({"METADATA", "entry_points.txt"})


def slim(folder: Path) -> None:
    """Take out tests, scripts, stubs, sources of compiled modules and the host's byte code.

    Of a distribution's own folder there stays what `importlib.metadata` gives: its version, what it
    needs, its entry points. Its readme and licence texts go.
    """
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir():
            # At the top only is `bin` no module's.
            if path.name in _FOLDERS and (path.name != "bin" or path.parent == folder):
                shutil.rmtree(path)
        elif path.suffix in _SUFFIXES:
            path.unlink()
    for path in folder.glob("*.dist-info"):
        _slim_distribution(path)
    (folder / ".lock").unlink(missing_ok=True)


def _slim_distribution(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _OF_A_DISTRIBUTION:
            path.unlink()
    metadata = folder / "METADATA"
    head, _, _ = metadata.read_text(encoding="utf-8").partition("\n\n")
    metadata.write_text(head + "\n", encoding="utf-8")
