"""A data directory on which `make dev` has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_local.issuer import ensure_key


@pytest.fixture(autouse=True)
def _issuer(tmp_path: Path) -> None:
    ensure_key(tmp_path)
