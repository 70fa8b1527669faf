"""The public workbench, as a project's own tests have it."""

from __future__ import annotations

import pytest

from parley.testing import survival
from parley_testing.some_places import chosen


@pytest.fixture(scope="session")
def parley_schema() -> str:
    """A project's own table."""
    return "CREATE TABLE bookings (id bigserial PRIMARY KEY, guest text, size int NOT NULL)"


@pytest.fixture
def killed_at_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `survives` kill at some places only, for tests that look at none of the others."""
    monkeypatch.setattr(survival, "places_to_kill", chosen)
