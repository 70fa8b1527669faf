"""Verdicts: a guardrail's judgement, asked for once in a turn and recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from parley.turns.attempt import Attempt
from parley.turns.scope import inside


async def judged_once(
    attempt: Attempt, name: str, judge: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Return the recorded verdict for where the caller stands, or the judge's, recorded.

    Args:
        attempt: On whose behalf.
        name: The guardrail's; several of one name are told apart by their order.
        judge: Gives the verdict as JSON. A model that it asks stands below the verdict's place.
    """
    position = attempt.journal.next_position(f"guardrail {name}")
    if (recorded := attempt.journal.verdicts.get(position)) is not None:
        return recorded
    with inside(f"guardrail {name}/{position.rpartition('/')[2]}"):
        verdict = await judge()
    await attempt.journal.record_verdict(position, verdict)
    return verdict
