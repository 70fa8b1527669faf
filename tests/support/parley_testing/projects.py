"""Manifests of a test's own, in place of the project's."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from parley.agents import registry
from parley.manifest import MODULE, Manifest, manifest
from parley.user_tables import kept_of_users
from parley_testing.postgres.databases import connect


def offer(patch: pytest.MonkeyPatch, made: Manifest) -> None:
    """Make this process's manifest another one, until the patch is undone."""
    patch.setitem(sys.modules, MODULE, cast("Any", SimpleNamespace(MANIFEST=made)))
    forget()


def make_room(url: str) -> None:
    """Take the tables of the repository's own project out of a database, for another project's.

    Args:
        url: The database's, of whichever login.
    """
    with connect(url) as sql:
        sql.execute("DROP TABLE deleted_task_keys, parley_project_version")


def forget() -> None:
    """Have the manifest read, and its agents built, again."""
    manifest.cache_clear()
    kept_of_users.cache_clear()
    registry.load.cache_clear()
