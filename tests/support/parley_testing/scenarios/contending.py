"""Many messages from one process, each sent again until it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from parley.errors import TurnInProgress
from parley_testing.scenarios.parts import Parts
from parley_testing.scenarios.turns import Scenario
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import request


async def contend(
    parts: Parts, scenario: Scenario, sends: Sequence[dict[str, str]], at_once: int
) -> dict[str, Any]:
    """Send the scenario's text for each user, session and key given.

    Args:
        parts: This process's.
        scenario: What is said.
        sends: `user`, `session_id` and `key` of each message.
        at_once: How many are under way at a time.

    Returns:
        `replies`: the turn's id and the reply by key; `refused_by`: the ids of the turns that
        were in the way, each time that one was.
    """
    free = asyncio.Semaphore(at_once)
    replies: dict[str, tuple[str, str]] = {}
    refused_by: list[str] = []

    async def send(session_id: str, user: str, key: str) -> None:
        message = request(UUID(session_id), scenario.text, user=user, key=key)
        async with free:
            while True:
                try:
                    sent = await parts.sender.send(message, seconds=HANG_SECONDS)
                except TurnInProgress as refusal:
                    refused_by.append(str(refusal.turn_id))
                    await asyncio.sleep(0.1)
                else:
                    break
        assert sent.view.reply is not None
        replies[key] = (str(sent.view.turn.id), sent.view.reply.content)

    async with asyncio.TaskGroup() as group:
        for message in sends:
            group.create_task(send(**message))
    return {"replies": replies, "refused_by": refused_by}
