"""Turns that one process begins at once, to be run in several."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence

from parley.repository.fair_use import FairUse
from parley.repository.turns import TurnRepository, TurnRequest
from parley_testing.own_path import own_path
from parley_testing.scenarios.at_once import at_once


class Beginning:
    """A process of its own that begins turns, each in a thread and on a connection of its own."""

    def __init__(self, url: str, limits: FairUse, requests: Sequence[TurnRequest]) -> None:
        """Start it.

        Args:
            url: The database.
            limits: What one user may have.
            requests: The turns.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "parley_testing.scenarios.begins"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | own_path(),
        )
        assert self._process.stdin is not None
        pickle.dump((url, limits, requests), self._process.stdin)
        self._process.stdin.flush()

    def outcomes(self) -> list[str]:
        """Wait until it ends, and return what became of the turns."""
        told, _ = self._process.communicate()
        assert self._process.returncode == 0
        outcomes: list[str] = json.loads(told)
        return outcomes


def begin_at_once(url: str, limits: FairUse, requests: Sequence[TurnRequest]) -> list[str]:
    """Begin turns in this process and return the outcomes; see `Beginning`."""
    return at_once(
        url,
        len(requests),
        lambda database, number: (
            TurnRepository(database, window=100, fair_use=limits).begin(requests[number]).outcome
        ),
    )


if __name__ == "__main__":
    print(json.dumps(begin_at_once(*pickle.load(sys.stdin.buffer))))
