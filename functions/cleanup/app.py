"""Recovery and deletion, by schedule or by invocation.

Turns whose attempt died are carried on, and memory of deleted sessions is removed. The work is
done in batches until nothing is left or the invocation has to end; whoever comes next goes on
from there.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from parley import loop
from parley.composition import Composition
from parley.config import load_settings
from parley.observability import logger

BATCH = 20
MARGIN_SECONDS = 10.0
"""What an invocation keeps for letting go of a turn that will not end in time."""

parts = Composition(load_settings("database", "memory", "model"))
outbox, recovery = parts.outbox, parts.recovery


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Recover turns and drain the outbox.

    Args:
        event: `{"action": "recover"}`.
        context: Lambda's; says how much time there is.

    Returns:
        `turns`: how many were `ended`, taken `elsewhere` or left `unfinished`; `conversations`:
        how many were removed; `done`: whether nothing is left.

    Raises:
        ValueError: The event asks for something else.
        StoreUnavailable: A store cannot serve now; what is left stays to be done.
    """
    if event.get("action") != "recover":
        raise ValueError("expected {'action': 'recover'}")

    def left() -> float:
        seconds: float = context.get_remaining_time_in_millis() / 1000
        return seconds - MARGIN_SECONDS

    conversations, drained = 0, False
    while not drained and left() > 0:
        removed = outbox.drain(BATCH)
        conversations += removed
        drained = removed < BATCH
    turns = loop.run(recovery.recover(BATCH, seconds=left()))
    report = {
        "turns": asdict(turns),
        "conversations": conversations,
        "done": drained and not turns.unfinished,
    }
    logger().info("recovered", report=report)
    return report
