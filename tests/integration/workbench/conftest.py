"""The public workbench, as a project's own tests have it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from parley.testing import survival
from parley.testing.processes import Point, places_to_kill
from parley_testing.at_length import some


@pytest.fixture(scope="session")
def parley_schema() -> str:
    """A project's own table."""
    return "CREATE TABLE bookings (id bigserial PRIMARY KEY, guest text, size int NOT NULL)"


@pytest.fixture
def killed_at_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `survives` kill at every fourth place only, for tests that look at none of them."""

    def places(passed: Sequence[str], ledgers: Collection[str]) -> list[Point]:
        found = some(places_to_kill(passed, ledgers), one_in=4)
        assert found
        return found

    monkeypatch.setattr(survival, "places_to_kill", places)
