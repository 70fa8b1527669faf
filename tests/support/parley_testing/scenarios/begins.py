"""Turns that one process begins at once, to be run in several."""

from __future__ import annotations

from collections.abc import Sequence

from parley.repository.fair_use import FairUse
from parley.repository.turns import TurnRepository, TurnRequest
from parley_testing.scenarios.at_once import at_once


def begin_at_once(url: str, limits: FairUse, requests: Sequence[TurnRequest]) -> list[str]:
    """Begin turns, each in a thread and on a connection of its own, and give the outcomes.

    Args:
        url: The database.
        limits: What one user may have.
        requests: The turns.
    """
    return at_once(
        url,
        len(requests),
        lambda database, number: (
            TurnRepository(database, window=100, fair_use=limits).begin(requests[number]).outcome
        ),
    )
