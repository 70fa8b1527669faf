"""A clock that tests move: memory expires without being waited for."""

from __future__ import annotations

import time

import pytest

DAY = 86_400.0


class MovingClock:
    """This machine's wall clock, as far ahead as a test has moved it.

    Attributes:
        ahead: By how many seconds.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.ahead)

    def move(self, *, days: float) -> None:
        """Let so many days go by."""
        self.ahead += days * DAY
