"""A pytest plugin that keeps a run's temporary directories where no other pytest closes the way.

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

import pytest

_ROOT = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run a root of its own, and the pytests that its tests start another in it."""
    # A worker has a place in its controller's root.
    if hasattr(config, "workerinput"):
        return
    root = config.stash[_ROOT] = Path(tempfile.mkdtemp(prefix="parley-tests-"))
    config.option.basetemp = config.option.basetemp or str(root / "run")
    inner = root / "inner"
    inner.mkdir()
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(inner)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """Remove the root, unless somebody may want to see why a test failed."""
    yield
    root = session.config.stash.get(_ROOT, None)
    if root is not None and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(root, ignore_errors=True)
