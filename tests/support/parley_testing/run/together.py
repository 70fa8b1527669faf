"""A pytest plugin that gives files which share a costly fixture to one worker of a run."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

FOLDERS = ("tests/integration/cli/",)
"""Folders whose tests share a whole stack: by two workers it would be started twice."""


class _LoadFolders(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        found = next((folder for folder in FOLDERS if folder in nodeid), None)
        return found or str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what deals out files, but for those that belong together."""
    return _LoadFolders(config, log) if config.getvalue("dist") == "loadfile" else None
