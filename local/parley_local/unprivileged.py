"""Running programs as somebody else than root, for those that refuse to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import TypedDict

_NAME = "pgserver"


class RunAs(TypedDict, total=False):
    """Whom a program runs as, in subprocess's words; empty for the user we are."""

    user: int
    group: int
    extra_groups: list[str | int]


def run_as() -> RunAs:
    """Return nothing for an ordinary user; for root, a user made for the purpose."""
    if os.geteuid() != 0:
        return {}
    entry = _user()
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(directory: Path) -> None:
    """Make the directory the property of the user that programs run as."""
    if os.geteuid() == 0:
        shutil.chown(directory, _user().pw_uid, _user().pw_gid)


def bring_within_reach(path: Path) -> None:
    """Let the other user pass through every directory above the path. Does nothing for non-root.

    Only passing is allowed, not listing or reading.
    """
    if os.geteuid() == 0:
        for directory in path.parents:
            _allow(directory, 0o001)


def make_readable(tree: Path) -> None:
    """Let the other user read and run all that is in the tree, as an installer's umask may not."""
    if os.geteuid() == 0:
        _allow(tree, 0o005)
        for path in tree.rglob("*"):
            if not path.is_symlink():
                runs = path.is_dir() or path.stat().st_mode & 0o100
                _allow(path, 0o005 if runs else 0o004)


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_NAME)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", _NAME], check=True, capture_output=True
        )
        return pwd.getpwnam(_NAME)
