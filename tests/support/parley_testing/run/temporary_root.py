"""A pytest plugin that keeps a run's temporary directories quick, and open to Postgres.

In memory a database is copied in a tenth of the time that it takes on a disk.

Each pytest that is started takes from others all rights on the directory that the runs of a user
share, and as root Postgres runs as another user: one that a test had started would then fail at
its next checkpoint.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

IN_MEMORY = Path("/dev/shm")
ENOUGH = 4 * 1024**3
"""Bytes that are free there, and as many again of memory: several times what a run needs."""

_PREFIX = "parley-tests-"
_KEPT = "kept"
_KEPT_RUNS = 3
_ROOT = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run a root of its own, and the pytests that its tests start another in it."""
    # A worker has a place in its controller's root.
    if hasattr(config, "workerinput"):
        return
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)
    root = config.stash[_ROOT] = Path(tempfile.mkdtemp(prefix=_PREFIX))
    config.option.basetemp = config.option.basetemp or str(root / "run")
    inner = root / "inner"
    inner.mkdir()
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(inner)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """Remove the root, unless somebody may want to see why a test failed: three are kept."""
    yield
    root = session.config.stash.get(_ROOT, None)
    if root is None:
        return
    if exitstatus == pytest.ExitCode.OK or not (root / "run").exists():
        shutil.rmtree(root, ignore_errors=True)
        return
    (root / _KEPT).touch()
    kept = sorted(root.parent.glob(f"{_PREFIX}*/{_KEPT}"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-_KEPT_RUNS]:
        shutil.rmtree(old.parent, ignore_errors=True)


def _has_room() -> bool:
    """Return whether there is a file system in memory, and as much memory as its files may take."""
    if not os.access(IN_MEMORY, os.W_OK):
        return False
    # A container may have less than its machine.
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    memory = psutil.virtual_memory().available
    if allowed != "max":
        memory = min(memory, int(allowed))
    return shutil.disk_usage(IN_MEMORY).free >= ENOUGH and memory >= 2 * ENOUGH
