"""The public workbench, as a project's own tests have it."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def parley_schema() -> str:
    """A project's own table."""
    return "CREATE TABLE bookings (id bigserial PRIMARY KEY, guest text, size int NOT NULL)"
