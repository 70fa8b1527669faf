"""The whole of Parley, as `make dev` starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from parley_local.stack import LocalStack
from parley_testing.waiting import HANG_SECONDS


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One stack for the tests that leave it usable for others."""
    with LocalStack(tmp_path_factory.mktemp("stack") / "data", ready_within=HANG_SECONDS) as stack:
        yield stack
