"""Manifests of a test's own, in place of the project's."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from parley.agents import registry
from parley.manifest import MODULE, Manifest, manifest
from parley.user_tables import kept_of_users


def offer(patch: pytest.MonkeyPatch, made: Manifest) -> None:
    """Make this process's manifest another one, until the patch is undone."""
    patch.setitem(sys.modules, MODULE, cast("Any", SimpleNamespace(MANIFEST=made)))
    forget()


def forget() -> None:
    """Have the manifest read, and its agents built, again."""
    manifest.cache_clear()
    kept_of_users.cache_clear()
    registry.load.cache_clear()
