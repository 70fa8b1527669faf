"""Many messages of one user at once, until the user's budget is at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from parley.errors import LimitReached, TurnFailed, TurnInProgress
from parley_testing.scenarios.parts import Parts
from parley_testing.scenarios.turns import Scenario
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import request

SCRIPTED = "_Scripted"
"""What the scripted model is called that an agent without a model of its own asks."""


async def spend(
    parts: Parts, scenario: Scenario, sends: Sequence[dict[str, str]], at_once: int
) -> dict[str, str]:
    """Send the scenario's text for each user, session and key given.

    Args:
        parts: This process's.
        scenario: What is said.
        sends: `user`, `session_id` and `key` of each message.
        at_once: How many are under way at a time.

    Returns:
        What came of each key: `replied`, `refused`, or why its turn failed.
    """
    free = asyncio.Semaphore(at_once)
    ends: dict[str, str] = {}

    async def send(session_id: str, user: str, key: str) -> None:
        message = request(UUID(session_id), scenario.text, user=user, key=key)
        async with free:
            while True:
                try:
                    await parts.sender.send(message, seconds=HANG_SECONDS)
                except TurnInProgress:
                    await asyncio.sleep(0.05)
                except LimitReached as refusal:
                    ends[key] = f"refused: {refusal.limit}"
                    return
                except TurnFailed as failure:
                    ends[key] = failure.code
                    return
                else:
                    ends[key] = "replied"
                    return

    async with asyncio.TaskGroup() as group:
        for message in sends:
            group.create_task(send(**message))
    return ends
