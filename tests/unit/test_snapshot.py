"""What a process restored from a snapshot does first."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from parley.snapshot import reseed, reseed_after_restore


def test_elsewhere_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)

    reseed_after_restore()


def test_under_snapstart_reseeding_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Callable[[], None]] = []
    runtime = ModuleType("snapshot_restore_py")
    runtime.register_after_restore = registered.append  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", runtime)

    reseed_after_restore()

    assert registered == [reseed]


def test_copies_of_a_process_get_random_numbers_of_their_own() -> None:
    snapshot = random.getstate()
    numbers = set()
    for _ in range(2):
        random.setstate(snapshot)
        reseed()
        numbers.add(random.random())

    assert len(numbers) == 2
