"""The marker of tests that a connection of an earlier one would mean something to."""

from __future__ import annotations

import pytest

_MARKER = "new_connections"


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}: a test whose database has no connections but its own, and whose connections"
        " are new and really closed, because it counts or breaks them",
    )


def may_keep(request: pytest.FixtureRequest) -> bool:
    """Return whether connections to a test's database may be an earlier test's."""
    return request.node.get_closest_marker(_MARKER) is None
